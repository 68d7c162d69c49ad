from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fourfold.errors import SourceError
from fourfold.stream import Limits, open_source
from fourfold.stream.lines import Position
from fourfold.stream.sources.files import FileSource

LIMITS = Limits()


def opened(path: Path, *, follow: bool = False, position: Position | None = None) -> FileSource:
    """A file source, ready to be taken from."""
    source = FileSource(path, follow=follow, poll=0.01)
    source.open()
    source.seek(position or Position(), LIMITS.line)
    return source


def taken(source: FileSource, limits: Limits = LIMITS) -> list[object]:
    """The lines that are there now."""
    batch = source.take(limits)
    return [] if batch is None else list(batch.lines)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be opened any more is an error that names it."""
    path = tmp_path / "events.jsonl"
    path.touch()
    source = open_source(path)
    path.unlink()
    with pytest.raises(SourceError, match=r"events\.jsonl: No such file"):
        source.open()


def test_file_ends_with_its_last_line(tmp_path: Path) -> None:
    """Every line is taken, within the limits, and the last needs no newline."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"1\n2\n3\n4")
    source = opened(path)
    assert [taken(source, Limits(events=3)), source.ended] == [[b"1", b"2", b"3"], False]
    assert [taken(source), source.ended] == [[b"4"], True]
    assert taken(source) == []
    source.close()


def test_file_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    """One call takes no more bytes than the limit, give or take one read."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 99 + b"\n" + b"0123456789\n" * 400_000)
    source = opened(path)
    batch = source.take(Limits(events=10**9, bytes=1))
    assert batch is not None
    assert 0 < batch.position_after(len(batch.lines)).offset <= 2**20
    source.close()


def test_file_goes_on_at_a_position(tmp_path: Path) -> None:
    """A source that is sent to a position gives what follows it, numbered as before."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"a\nbb\nccc\n")
    source = opened(path, position=Position(5, 2))
    batch = source.take(LIMITS)
    assert batch is not None
    assert (batch.lines, batch.location(0)) == ([b"ccc"], {"offset": 5, "line": 3})
    source.close()


def test_rest_of_a_line_has_its_number(tmp_path: Path) -> None:
    """What was appended to a last line without a newline is the rest of that line, and the next line is the next."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"a\nbb")
    source = opened(path)
    batch = source.take(LIMITS)
    assert batch is not None
    end = batch.position_after(2)
    assert end == Position(4, 2)
    source.close()
    with path.open("ab") as file:
        file.write(b"\nccc\n")
    source = opened(path, position=end)
    batch = source.take(LIMITS)
    assert batch is not None
    assert (batch.lines, batch.location(1)) == ([b"", b"ccc"], {"offset": 5, "line": 3})
    source.close()


def test_followed_file_waits_for_newlines(tmp_path: Path) -> None:
    """A followed file gives whole lines as it grows, and never ends by itself."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"1\n2")
    source = opened(path, follow=True)
    stop = threading.Event()
    assert taken(source) == [b"1"]
    source.wait(stop)
    assert (taken(source), source.ended) == ([], False)
    with path.open("ab") as file:
        file.write(b"2\n3\n")
    source.wait(stop)
    assert taken(source) == [b"22", b"3"]
    source.close()


def test_rotated_file_is_refused_after_its_last_line(tmp_path: Path) -> None:
    """When another file takes the name of a followed one, the lines of the old one are given, and then an error."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"1\n")
    source = opened(path, follow=True)
    assert taken(source) == [b"1"]
    with path.open("ab") as file:
        file.write(b"2\n")
    path.rename(tmp_path / "events.jsonl.1")
    path.write_bytes(b"3\n")
    assert taken(source) == [b"2"]
    with pytest.raises(SourceError, match="another file now"):
        source.take(LIMITS)
    source.close()


@pytest.mark.parametrize("text", [b"", b"9\n", b"9\n9\n9\n9\n9\n"])
def test_truncated_file_is_refused(text: bytes, tmp_path: Path) -> None:
    """A followed file that was cut is an error, also where it has grown beyond the old place in between."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"1\n2\n3\n")
    source = opened(path, follow=True)
    assert taken(source) == [b"1", b"2", b"3"]
    path.write_bytes(text)
    with pytest.raises(SourceError, match="truncated or rewritten"):
        source.take(LIMITS)
    source.close()


def test_fingerprint_tells_contents_apart(tmp_path: Path) -> None:
    """Two files have the same fingerprint where they begin with the same bytes, and growing does not change it."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a" * 5000 + b"b" * 5000)
    two.write_bytes(b"a" * 5000 + b"c" * 5000)
    sources = [opened(one), opened(two)]
    for offset, same in ((0, True), (5000, True), (5001, False), (10_000, False)):
        first, second = (source.fingerprint(offset) for source in sources)
        assert (first == second) is same
    before = sources[0].fingerprint(10_000)
    with one.open("ab") as file:
        file.write(b"more")
    assert sources[0].fingerprint(10_000) == before
    with pytest.raises(SourceError, match="truncated"):
        sources[0].fingerprint(99_999)
    for source in sources:
        source.close()


def test_poll_is_positive(tmp_path: Path) -> None:
    """A followed file cannot be looked at every zero seconds."""
    with pytest.raises(SourceError, match="more than 0"):
        FileSource(tmp_path, follow=True, poll=0)
