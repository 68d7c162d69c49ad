"""Run Fourfold's own commands as a user does, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from fourfold.errors import FourfoldError, ServiceError, shorten

__all__ = ["command", "environment", "run", "running"]

#: A command that does not stop within this time is killed.
STOP_TIMEOUT_S = 20
#: The most characters of a command's standard error in an error message.
MAX_ERROR_CHARACTERS = 2000


def environment() -> dict[str, str]:
    """Return the environment variables of a command: those of this process, and its import path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of `fourfold` with these arguments, for this process's Python."""
    return [sys.executable, "-m", "fourfold", *arguments]


def run(arguments: Sequence[str]) -> str:
    """Run a command to its end, and return its standard output.

    Raises:
        FourfoldError: it failed; the message holds its standard error.
    """
    completed = subprocess.run(command(arguments), env=environment(), capture_output=True, text=True, check=False)
    if completed.returncode:
        errors = completed.stderr.strip()[-MAX_ERROR_CHARACTERS:]
        raise FourfoldError(f"`fourfold {' '.join(arguments)}` ended with status {completed.returncode}: {errors}")
    return completed.stdout


@contextmanager
def running(arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run a command until the block ends; yield the JSON line that it prints when it is ready.

    Raises:
        ServiceError: it ended before it was ready; the message holds its standard error.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command(arguments), env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip():
                process.wait()
                raise ServiceError(f"`fourfold {arguments[0]}` did not start: {_tail(errors)}")
            yield _parse_ready_line(line)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _parse_ready_line(line: str) -> dict[str, Any]:
    try:
        ready: dict[str, Any] = json.loads(line)
    except ValueError:
        raise ServiceError(f"expected a line of JSON when the command is ready; got {shorten(line, 200)}") from None
    return ready


def _tail(file: IO[str]) -> str:
    file.seek(0)
    return file.read()[-MAX_ERROR_CHARACTERS:].strip() or "it printed no error"
