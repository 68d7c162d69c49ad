"""Hostile plans are refused, or answer inside their own memory; a short run of what `make fuzz` does for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.fuzz.running import built, fuzz, run_mutants


@pytest.mark.places
def test_hostile_plans_do_no_harm(tmp_path: Path) -> None:
    """Plans with changed words, and what a fuzzer makes of them, neither step outside of memory nor take too much."""
    program = built(tmp_path)
    run_mutants(program, tmp_path, 4_000, seed=1)
    fuzz(program, tmp_path, 8)
