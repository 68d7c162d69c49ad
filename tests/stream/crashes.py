"""Streams from file to file that are killed: `python -m tests.stream.crashes steps|moments FOLDER INPUT`.

Every run is a process of its own, forked from this one so that hundreds take seconds, and killed by SIGKILL.

steps: for each call that changes a file, one folder in which a run was killed in that very call (a write in its
middle), and then finished by a second run.
moments: one folder in which runs were killed at random moments until one came to its end.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fourfold import stream
from tests.stream.model import predictor

#: The calls of `os` that change a file, or make a change last.
STEPS = ("write", "fsync", "ftruncate", "replace")
KILLS = 100


def run(source: Path, folder: Path, limits: stream.Limits) -> None:
    """One run, in this process."""
    stream.run(predictor(), stream.Job(source, folder / "out.jsonl", keep=("id",), limits=limits))


def in_child(work: Callable[[], None]) -> int:
    """Start the work in a process; its id."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def was_killed(pid: int) -> bool:
    """Wait for a process: whether it was killed; it must have ended well otherwise."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def kill_at(step: int) -> None:
    """Make this process kill itself in the middle of that step."""
    left = step

    def patched(call: Callable[..., Any], *, is_write: bool) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                if is_write:
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return wrapper

    for name in STEPS:
        setattr(os, name, patched(getattr(os, name), is_write=name == "write"))


def steps(folder: Path, source: Path) -> None:
    """Kill a run in each of its steps."""
    limits = stream.Limits(events=40, bytes=1, commit_bytes=4000, commit_seconds=60)
    killed, step = True, 0
    while killed:
        step += 1
        run_folder = folder / f"{step}"
        run_folder.mkdir()

        def work(step: int = step, run_folder: Path = run_folder) -> None:
            kill_at(step)
            run(source, run_folder, limits)

        killed = was_killed(in_child(work))
        assert not was_killed(in_child(lambda run_folder=run_folder: run(source, run_folder, limits)))  # type: ignore[misc]


def moments(folder: Path, source: Path) -> None:
    """Kill runs at random moments."""
    chance = random.Random(4)
    limits = stream.Limits(events=20, bytes=1, commit_seconds=0.002)
    kills, killed = 0, True
    while killed:
        pid = in_child(lambda: run(source, folder, limits))
        if kills < KILLS:
            time.sleep(chance.uniform(0.001, 0.01))
            os.kill(pid, signal.SIGKILL)
        killed = was_killed(pid)
        kills += killed
    (folder / "kills").write_text(str(kills))


if __name__ == "__main__":
    {"steps": steps, "moments": moments}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
