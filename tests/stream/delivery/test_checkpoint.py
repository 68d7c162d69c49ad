from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fourfold.errors import SinkError
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.checkpoint import Checkpoint

SOME = Checkpoint("sha256:0", ("id",), "/in", "sha256:1", 10, 2, 30, "out.dead.jsonl", 4, Tally(2, 1, 2.5, 0.5))


def test_what_is_stored_is_read(tmp_path: Path) -> None:
    """The progress that was stored last is the one that is read."""
    path = tmp_path / "out.offsets"
    assert checkpoint.read(path) is None
    for each in (SOME, Checkpoint("", (), "", "", 0, 0, 0, "", 0, Tally())):
        checkpoint.store(path, each)
        assert checkpoint.read(path) == each
    assert [found.name for found in tmp_path.iterdir()] == ["out.offsets"]


@pytest.mark.parametrize(
    "change",
    [
        {"fourfold_stream": 2},
        {"offset": -1},
        {"offset": "1"},
        {"tally": {"x": 1}},
        {"tally": {"events": "1"}},
        {"more": 1},
        {"keep": 1},
    ],
)
def test_damaged_progress_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """A progress file that says something else is an error with advice, not a start from nowhere."""
    path = tmp_path / "out.offsets"
    path.write_text(json.dumps({**SOME.to_json(), **change}))
    with pytest.raises(SinkError, match=r"damaged.*replace"):
        checkpoint.read(path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"null"])
def test_other_bytes_are_refused(text: bytes, tmp_path: Path) -> None:
    """A progress file that is no JSON object is an error."""
    path = tmp_path / "out.offsets"
    path.write_bytes(text)
    with pytest.raises(SinkError, match="damaged"):
        checkpoint.read(path)


def test_old_progress_survives_a_failure(tmp_path: Path) -> None:
    """Where the new progress cannot be written, the old one is still there."""
    path = tmp_path / "out.offsets"
    checkpoint.store(path, SOME)
    (tmp_path / "out.offsets.new").mkdir()
    with pytest.raises(SinkError, match=r"out\.offsets"):
        checkpoint.store(path, SOME)
    assert checkpoint.read(path) == SOME
