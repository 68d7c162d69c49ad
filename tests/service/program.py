"""A service as a process, for the tests to start, kill and watch: `program.py FOLDER SETTINGS`.

SETTINGS is JSON: the service's `Job`, and how it loads and answers. The process says where it is in lines of its own
on stdout, and meets its test through files in FOLDER.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from fourfold import service
from fourfold.errors import CorruptPackage, FourfoldError
from fourfold.predictor import Predictor
from tests.support import make_predictor

#: An x that the engine answers only once the file `go` is there.
SLOW = 1000.0
#: An x whose y is the process that answers.
WHO = 2000.0


def wait_for(path: Path) -> None:
    """Wait until a file is there, or until it is clear that it never will be."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.01)


def load(folder: Path, how: str) -> Predictor:
    """What the service is started with: it waits for the file `load`, and loads or fails, as `how` says."""
    wait_for(folder / "load")
    if how == "corrupt":
        raise CorruptPackage("the package is torn in two")
    if how == "bug":
        raise ZeroDivisionError("nobody thought of this")

    def called(rows: list[dict[str, Any]]) -> None:
        if any(row["x"] == SLOW for row in rows):
            (folder / "entered").touch()
            wait_for(folder / "go")

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        return {"y": os.getpid() if row["x"] == WHO else row["x"] * 2, "word": None}

    return make_predictor(answer, golden=[{"x": 1.0}], called=called)


def say(*words: object) -> None:
    print(*words, flush=True)


def main() -> None:
    """Serve, and end with the status of the error that ended it."""
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    source = functools.partial(load, folder, settings.pop("how", "well"))
    try:
        job = service.Job(port=0, **settings)
        service.serve(source, job, opened=functools.partial(say, "opened"), ready=functools.partial(say, "ready"))
    except FourfoldError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    say("stopped")


if __name__ == "__main__":
    main()
