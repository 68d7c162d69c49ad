"""The list of mutants: every fault can still be planted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.project.tree import ROOT


def test_every_mutant_can_be_planted() -> None:
    """Each text to be changed stands in its file once, and each test that should notice is there."""
    command: list[str | Path] = [sys.executable, ROOT / "scripts" / "mutants.py", "--check"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
