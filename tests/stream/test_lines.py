from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fourfold.stream.lines import HEAD_BYTES, EventBatch, LineSplitter, OversizedLine, Position

PIECES = st.lists(st.binary(max_size=9).map(lambda piece: piece.replace(b"\x00", b"\n")), max_size=20)


def batches(splitter: LineSplitter, most: int) -> list[EventBatch]:
    """Everything that can be taken, so many lines at a time."""
    found = []
    while (batch := splitter.take(most)) is not None:
        found.append(batch)
    return found


@given(PIECES, st.integers(1, 5))
def test_pieces_do_not_matter(pieces: list[bytes], most: int) -> None:
    """However the bytes are cut, the same lines come out, each at its own offset and with its own number."""
    data = b"".join(pieces)
    splitter = LineSplitter(Position(), 1000)
    found = []
    for piece in pieces:
        splitter.feed(piece)
        found += batches(splitter, most)
    splitter.finish()
    found += batches(splitter, most)
    lines = [line for batch in found for line in batch.lines]
    assert lines == (data.removesuffix(b"\n").split(b"\n") if data else [])
    places = [batch.location(index) for batch in found for index in range(len(batch.lines))]
    assert [place["line"] for place in places] == list(range(1, len(lines) + 1))
    for place, line in zip(places, lines, strict=True):
        assert isinstance(line, bytes)
        assert data[place["offset"] : place["offset"] + len(line)] == line
    if found:
        assert found[-1].position_after(len(found[-1].lines)) == Position(len(data), len(lines))


@given(PIECES, st.integers(0, 3))
def test_too_long_lines_keep_their_place(pieces: list[bytes], max_line: int) -> None:
    """A line that is too long is replaced by its head and its length, and every other line stays as it was."""
    data = b"".join(pieces)
    splitter = LineSplitter(Position(), max_line)
    for piece in pieces:
        splitter.feed(piece)
    splitter.finish()
    found = [line for batch in batches(splitter, 3) for line in batch.lines]
    expected = data.removesuffix(b"\n").split(b"\n") if data else []
    assert [len(line) for line in found] == [len(line) for line in expected]
    for line, whole in zip(found, expected, strict=True):
        assert line == whole if len(whole) <= max_line else line == OversizedLine(whole[:HEAD_BYTES], len(whole))


def test_memory_is_bounded() -> None:
    """Of a line without an end only its head is held."""
    splitter = LineSplitter(Position(), 10_000)
    for _ in range(1000):
        splitter.feed(b"x" * 1000)
    assert len(splitter._open) == HEAD_BYTES
    splitter.feed(b"y\n{}\n")
    batch = splitter.take(10)
    assert batch is not None
    assert batch.lines == [OversizedLine(b"x" * HEAD_BYTES, 1_000_001), b"{}"]
    assert batch.location(1) == {"offset": 1_000_002, "line": 2}


def test_after_counts_newlines() -> None:
    """The position behind some lines counts their newlines, and the last one's only where it came."""
    batch = EventBatch([b"ab", b"c"], Position(10, 3))
    assert [batch.position_after(count) for count in range(3)] == [Position(10, 3), Position(13, 4), Position(15, 5)]
    assert EventBatch([b"ab", b"c"], Position(10, 3), terminated=False).position_after(2) == Position(14, 5)
    assert EventBatch([b"ab", b"c"], Position(10, 3), terminated=False).position_after(1) == Position(13, 4)
