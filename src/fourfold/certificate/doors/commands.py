"""Running Fourfold's own commands, as a user would, each in a process of its own."""

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


def environment() -> dict[str, str]:
    """The environment of a command: this one's, with the path that this process imports from."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def command(arguments: Sequence[str]) -> list[str]:
    """The whole command line of `fourfold` with these arguments, on the Python that runs now."""
    return [sys.executable, "-m", "fourfold", *arguments]


def run(arguments: Sequence[str]) -> str:
    """Run a command to its end; gives its standard output.

    Raises:
        FourfoldError: it failed; the message is its own.
    """
    done = subprocess.run(command(arguments), env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise FourfoldError(
            f"`fourfold {' '.join(arguments)}` ended with status {done.returncode}: {done.stderr.strip()[-2000:]}"
        )
    return done.stdout


@contextmanager
def running(arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A command that runs until the block ends; gives the JSON line that it prints when it is ready.

    Raises:
        ServiceError: it ended before it was ready; the message is its own.
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
            yield _ready(line)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _ready(line: str) -> dict[str, Any]:
    try:
        ready: dict[str, Any] = json.loads(line)
    except ValueError:
        raise ServiceError(f"expected a line of JSON when the command is ready; got {shorten(line, 200)}") from None
    return ready


def _tail(file: IO[str]) -> str:
    file.seek(0)
    return file.read()[-2000:].strip() or "it said nothing"
