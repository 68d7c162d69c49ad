"""`fourfold.show`: what the command prints, in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import fourfold

FRAME = pd.DataFrame({"x": [0.5, 1.5, 2.5, 3.5]})


def test_python_shows_what_the_command_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a package, its path and its reference; of what was measured in this process, the figures too."""
    package = fourfold.pack(LinearRegression().fit(FRAME, FRAME["x"]), name="eta", rows=FRAME)
    path = package.save(tmp_path / "eta.fourfold")
    fourfold.push(package, tmp_path / "models")
    texts = []
    for arguments in ((package,), (path,), ("eta", tmp_path / "models")):
        fourfold.show(*arguments)
        texts.append(capsys.readouterr().out)
    command = [sys.executable, "-m", "fourfold", "show", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ}).stdout
    assert texts[0] == texts[1] == printed
    assert texts[2] == printed.replace("eta\n", "eta:1\n", 1)
    assert "plan (chosen)" in printed
    package.figures = {"plan": {"one_row": 1e-6, "rows_per_second": 1e6, "start_up": 0.1, "memory": 1.0, "size": 10.0}}
    fourfold.show(package)
    assert "rows/s" in capsys.readouterr().out
