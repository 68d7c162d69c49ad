"""Processes of our own run with the Python of this one, and take no notice of what it takes none of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fourfold.interpreter import PYTHON_VARIABLE, find_python, python_flags


def test_the_interpreter_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is this one; inside of another program the installed one, or the one that is named; or there is none."""
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    assert find_python() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/sbin/httpd")
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    assert find_python() is None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_bytes(b"")
    assert find_python() == str(tmp_path / "bin" / "python3")
    monkeypatch.setenv(PYTHON_VARIABLE, "/opt/python")
    assert find_python() == "/opt/python"


@pytest.mark.parametrize("flags", [[], ["-E"], ["-s"], ["-I"]])
def test_what_is_ignored_is_ignored_by_a_child(flags: list[str], tmp_path: Path) -> None:
    """A module that `PYTHONPATH` puts in front is imported by a child only where this process would import it."""
    (tmp_path / "colorsys.py").write_text("raise SystemExit(9)")
    source = Path(__file__).parent.parent / "src"
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r}); import subprocess; "
        "from fourfold.interpreter import find_python, python_flags; "
        "sys.exit(subprocess.call([find_python(), *python_flags(), '-c', 'import colorsys']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, *flags, "-c", code]
    ended = subprocess.run(command, check=False, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert ended.returncode == (0 if flags in (["-E"], ["-I"]) else 9)


def test_the_working_folder_is_never_searched() -> None:
    """A child that would search it could import what a stranger put there."""
    assert python_flags()[0] == "-P"
