"""Check whether processes of our own can start: the client of a bucket is one, and so is the trial of an ONNX model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

from fourfold.checks import Check
from fourfold.errors import shorten
from fourfold.interpreter import PYTHON_VARIABLE, find_python, python_flags

__all__ = ["check_processes"]

#: How long a process may take to start.
START_TIMEOUT_S = 60.0
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import fourfold; print(fourfold.__version__)"


def check_processes(version: str) -> Iterator[Check]:
    """Yield whether a process of our own starts, and finds Fourfold of the same version."""
    name = "processes"
    python = find_python()
    mend = f"export {PYTHON_VARIABLE}=/path/to/python3"
    if python is None:
        text = "no Python is found that could run the client of a bucket or the trial of an ONNX model"
        yield Check(name, "problem", text, mend)
        return
    path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
    try:
        done = subprocess.run(
            [python, *python_flags(), "-c", _CHILD, path],
            capture_output=True,
            text=True,
            check=True,
            timeout=START_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"status {error.returncode}"]
        yield Check(name, "problem", f"{python} does not run Fourfold: {shorten(lines[-1], 200)}", mend)
    except subprocess.TimeoutExpired:
        yield Check(name, "problem", f"{python} does not run Fourfold within {START_TIMEOUT_S:g} s", mend)
    except OSError as error:
        yield Check(name, "problem", f"{python} does not start: {error.strerror or error}", mend)
    else:
        found_version = done.stdout.strip()
        if found_version == version:
            yield Check(name, "ok", f"{python} runs Fourfold {version}")
        else:
            yield Check(
                name, "problem", f"{python} runs Fourfold {shorten(found_version)}, and this is {version}", mend
            )
