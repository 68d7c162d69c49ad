"""The import contracts of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.project.tree import ROOT, pyproject


def test_contracts_are_kept() -> None:
    """Imports go down only, and no contract of the import linter is broken."""
    command: list[str | Path] = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_contracts_are_sentences() -> None:
    """Every contract's name is a sentence: a person learns from it what must not happen."""
    names = [contract["name"] for contract in pyproject()["tool"]["importlinter"]["contracts"]]
    assert [name for name in names if len(name.split()) < 4 or not name[0].isupper()] == []
