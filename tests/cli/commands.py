"""Run `fourfold` in a process of its own, or in the test's."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest

from fourfold.cli import main


def run(
    *arguments: object, ok: int = 0, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in a process of its own, and check its exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "fourfold", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    text = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert text.returncode == ok, text.stderr + text.stdout
    assert "Traceback" not in text.stderr
    return text


def call(*arguments: object, ok: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which saves the seconds that its libraries take to import."""
    words = list(map(str, arguments))
    out, err = StringIO(), StringIO()
    with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("ignore")  # in a process of its own a library's warning is printed, and fails nothing
        with pytest.raises(SystemExit) as ended:
            main(words)
    done = subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())
    assert done.returncode == ok, done.stderr + done.stdout
    return done
