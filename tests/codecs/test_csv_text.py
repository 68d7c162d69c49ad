"""The structure of CSV."""

from __future__ import annotations

import csv as standard
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourfold.codecs import csv_text
from fourfold.codecs.csv_text import Reader
from fourfold.errors import DecodeError
from tests.codecs.tables import TEXT


def _read(data: bytes, block: int = csv_text.BLOCK_BYTES) -> tuple[list[str], list[tuple[str | None, ...]]]:
    reader = Reader(io.BytesIO(data), block)
    rows = [tuple(row) for batch in reader.batches() for row in zip(*(each.to_pylist() for each in batch), strict=True)]
    return reader.names, rows


@settings(deadline=None)
@given(
    rows=st.integers(2, 4).flatmap(lambda width: st.lists(st.tuples(*[TEXT] * width), min_size=1, max_size=6)),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    block=st.integers(1, 60),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_what_the_standard_library_writes(rows: list[tuple[str, ...]], ending: str, block: int, bom: bytes) -> None:
    """Quoted text of any kind comes back whole, wherever the blocks end."""
    file = io.StringIO(newline="")
    names = [f"c{place}" for place in range(len(rows[0]))]
    standard.writer(file, lineterminator=ending, quoting=standard.QUOTE_ALL).writerows([names, *rows])
    assert _read(bom + file.getvalue().encode(), block) == (names, rows)


@settings(deadline=None)
@given(data=st.text('a,"\n\r', max_size=14), block=st.integers(1, 9))
def test_blocks_make_no_difference(data: str, block: int) -> None:
    """However the file is cut into blocks, well-formed text gives the same rows and malformed text is refused."""
    whole = ("x,y\n" + data).encode()

    def outcome(size: int) -> object:
        try:
            return _read(whole, size)
        except DecodeError:
            return "refused"

    assert outcome(block) == outcome(csv_text.BLOCK_BYTES)


@pytest.mark.parametrize("block", range(1, 12))
def test_a_cr_lf_in_two_blocks_ends_one_record(block: int) -> None:
    """A CR LF that two blocks share makes no empty record, which would be a missing cell of a table of one column."""
    assert _read(b"x\r\n1\r\n2\r\n", block) == (["x"], [("1",), ("2",)])


def test_quoted_and_unquoted_empty_cells_differ() -> None:
    """An unquoted empty cell is missing, a quoted one is empty text, at every place of a record and of the file."""
    assert _read(b'a,b,c\n,"",\n"",,""\n"x","",') == (
        ["a", "b", "c"],
        [(None, "", None), ("", None, ""), ("x", "", None)],
    )


def test_empty_lines() -> None:
    """An empty line is passed over, except where there is one column: there it is a missing value."""
    assert _read(b"a,b\n\n1,2\n\r\n\n") == (["a", "b"], [("1", "2")])
    assert _read(b"a,b\n\n\n") == (["a", "b"], [])
    assert _read(b"a\n1\n\n2\n") == (["a"], [("1",), (None,), ("2",)])


def test_headers() -> None:
    """A header's names may be quoted, and a file may be a header alone."""
    assert _read(b'"a ""b""","c\nd",e') == (['a "b"', "c\nd", "e"], [])
    assert _read(b'"a","c\nd"\r\n1,2', 4) == (["a", "c\nd"], [("1", "2")])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a header line"),
        (b"\n1\n", "expected a header line"),
        (b"\xef\xbb\xbf", "expected a header line"),
        (b"a,a\0b\n", "line 1: a column's name has a NUL"),
        (b"a,\xff\n", "line 1: the header must be UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-8|header"),
        (b"a,b\n1,2\n3\n", "line 3: expected 2 cells, got 1"),
        (b'a,b\n1,"x\ny"\n\n1,2,3\n', "line 5: expected 2 cells, got 3"),
        (b"a,b\n1,2\n1,\xff\n", "line 3: CSV must be UTF-8"),
        (b'a,b\n1,2\n1,"x\n', "line 3: a quote that never closes"),
        (b'a,b\n1,5" pipe\n', "line 2: a quote out of place"),
        (b'a,b\n1,"x" y\n', "line 2: a quote out of place"),
        (b'a,b\n1,"x"y"z"\n', "line 2: a quote out of place"),
        (b'a,"b\n1,2\n', "line 1: a quote that never closes"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    """What is not well-formed CSV is refused, with its line, and in small blocks as in large ones."""
    for block in (csv_text.BLOCK_BYTES, 3):
        with pytest.raises(DecodeError, match=message):
            _read(data, block)


def test_lines_are_counted_over_blocks() -> None:
    """The line of an error counts from the start of the file, whatever block it is in."""
    data = b"a,b\n" + b'1,"x\ny"\n' * 50 + b"1,2,3\n"
    with pytest.raises(DecodeError, match="line 102: expected 2 cells, got 3"):
        _read(data, 20)


def test_a_header_longer_than_a_block() -> None:
    """A header of any length is read, in time that grows with it and not with its square."""
    names = [f"column_{place}" for place in range(100_000)]
    assert len(",".join(names)) > csv_text.BLOCK_BYTES
    assert _read((",".join(names) + "\n").encode()) == (names, [])


def test_a_record_has_a_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote that never closes does not bring the whole file into memory."""
    monkeypatch.setattr(csv_text, "MAX_RECORD_BYTES", 1000)
    with pytest.raises(DecodeError, match="a record of more than 1000 bytes, or a quote that never closes"):
        _read(b'a,b\n1,"' + b"x,y\n" * 10_000, 10)


def test_a_record_of_quotes_alone_is_read_whole() -> None:
    """A cell of six million quotes is text of three million; one quote more is out of place."""
    cell = b'"' * 6_000_002
    reader = Reader(io.BytesIO(b"a,b\n1," + cell + b"\n2,3\n"))
    texts = [text for batch in reader.batches() for text in batch.column(1).to_pylist()]
    assert texts == ['"' * 3_000_000, "3"]
    with pytest.raises(DecodeError, match="line 2: a quote out of place"):
        list(Reader(io.BytesIO(b"a,b\n1," + cell + b'"\n2,3\n')).batches())
