"""Changed model files are refused or answered; a short run of what `make fuzz` does for longer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.project.tree import ROOT


@pytest.mark.parametrize(("target", "mutants"), [("lightgbm", 300), ("xgboost", 200), ("catboost", 40), ("onnx", 6)])
def test_changed_files_do_no_harm(target: str, mutants: int) -> None:
    """No changed file ends or holds up a process, takes gigabytes, or raises what is none of our errors."""
    words = [sys.executable, "-m", "tests.fuzz", target, "--seed", "11", "--mutants", str(mutants)]
    run = subprocess.run(words, check=False, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "nothing found" in run.stdout
