from __future__ import annotations

from pathlib import Path

import pytest

from fourfold.errors import OutputExists
from fourfold.stream.dead_letters import DeadLetterOutput
from fourfold.stream.delivery.protocol import CommitClock, check_empty, close_all
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position
from fourfold.stream.sinks.files import FileSink


def test_commit_is_due_by_bytes() -> None:
    """A commit is due once so many bytes were delivered, and not before."""
    clock = CommitClock(Limits(commit_bytes=100, commit_seconds=3600))
    clock.restart(Position(1000, 5))
    assert (clock.is_settled, clock.is_due) == (True, False)
    clock.record_delivery(Position(1099, 6))
    assert (clock.is_settled, clock.is_due) == (False, False)
    clock.record_delivery(Position(1100, 7))
    assert clock.is_due
    clock.restart()
    assert (clock.is_settled, clock.is_due) == (True, False)


def test_commit_is_due_by_time() -> None:
    """A commit is due some time after a delivery, never where there was none."""
    clock = CommitClock(Limits(commit_seconds=0))
    assert not clock.is_due
    clock.record_delivery(Position(1, 1))
    assert clock.is_due


def test_only_empty_files_are_taken(tmp_path: Path) -> None:
    """A file with something in it is nobody's to overwrite, neither an output nor dead letters."""
    letters = DeadLetterOutput(FileSink(tmp_path / "dead"))
    check_empty(tmp_path / "out", 0, letters)
    with pytest.raises(OutputExists, match="out exists"):
        check_empty(tmp_path / "out", 1, letters)
    (tmp_path / "dead").write_bytes(b"{}\n")
    letters.open()
    with pytest.raises(OutputExists, match="dead exists"):
        check_empty(tmp_path / "out", 0, letters)
    letters.close()


def test_everything_is_closed() -> None:
    """What was never opened is passed over."""
    closed: list[int] = []
    close_all(lambda: closed.append(1), None, lambda: closed.append(2))
    assert closed == [1, 2]
