from __future__ import annotations

import json
import os
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
        {"keep": [1]},
        {"offset": True},
        {"offset": 2**63},
        {"output_bytes": 10**400},
        {"dead_letters": ["x"]},
        {"fingerprint": None},
        {"tally": {"events": True}},
        {"tally": {"events": 10**400}},
        {"tally": {"recent_events": float("nan")}},
        {"tally": {"recent_dead": -1.0}},
    ],
)
def test_damaged_progress_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """A progress file that says something else is an error with advice, not a start from nowhere."""
    path = tmp_path / "out.offsets"
    path.write_text(json.dumps({**SOME.to_json(), **change}))
    with pytest.raises(SinkError, match=r"damaged.*replace"):
        checkpoint.read(path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000])
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


def test_progress_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A named pipe is not waited for, a link not followed, and a file of a tebibyte not read."""
    path = tmp_path / "out.offsets"
    os.mkfifo(path)
    with pytest.raises(SinkError, match=r"expected a file, got a named pipe; start over with replace"):
        checkpoint.read(path)
    path.unlink()
    checkpoint.store(tmp_path / "other", SOME)
    path.symlink_to("other")
    with pytest.raises(SinkError, match="got a symbolic link"):
        checkpoint.read(path)
    path.unlink()
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(SinkError, match="1,099,511,627,776 bytes; expected at most"):
        checkpoint.read(path)


def test_progress_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Links in the place of the file, or of the one that becomes it, give way; what they lead to stays as it is."""
    (tmp_path / "precious").write_text("data")
    path = tmp_path / "out.offsets"
    for name in ("out.offsets", "out.offsets.new"):
        (tmp_path / name).symlink_to("precious")
        checkpoint.store(path, SOME)
        assert checkpoint.read(path) == SOME
    assert (tmp_path / "precious").read_text() == "data"
