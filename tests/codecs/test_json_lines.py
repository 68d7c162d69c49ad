from __future__ import annotations

from pathlib import Path

import pytest

from fourfold.codecs import json_lines
from fourfold.errors import DecodeError
from fourfold.signature import Field

FIELDS = (Field("a", "int64"),)


def test_a_line_is_an_object() -> None:
    """`decode_line` gives the row of a line, with or without the line's end."""
    assert json_lines.decode_line(b'{"a": 1}') == {"a": 1}
    assert json_lines.decode_line(b'{"a": 1}\r\n') == {"a": 1}


@pytest.mark.parametrize("line", [b"", b"[1]", b"5", b'{"a": 1', b'{"a": 1} {"a": 2}', b'{"a": 1, "a": 2}'])
def test_a_line_that_is_none(line: bytes) -> None:
    """A line that is no object, or more than one, is a `DecodeError` of that line alone."""
    with pytest.raises(DecodeError):
        json_lines.decode_line(line)


def test_the_whole_names_the_line() -> None:
    """An error of the whole gives the number of the line, counting empty ones."""
    with pytest.raises(DecodeError, match="line 4: malformed"):
        json_lines.decode(b'{"a": 1}\n\n{"a": 2}\n{"a": x}\n{"a": 3}\n')


def test_lines_end_with_lf_or_cr_lf_and_may_be_empty() -> None:
    """Both line ends are taken, empty lines are passed over, and the last line may lack its end."""
    assert json_lines.decode(b'{"a": 1}\r\n\r\n \n{"a": 2}') == [{"a": 1}, {"a": 2}]


def test_a_document_ends_with_its_line() -> None:
    """Objects that span lines are refused: which line belongs to which row would be a guess."""
    with pytest.raises(DecodeError, match="line 1"):
        json_lines.decode(b'{"a":\n1}\n')


def test_the_bytes() -> None:
    """Each row is one line, ended by LF."""
    assert json_lines.encode([{"a": 1}, {"a": 2}], FIELDS) == b'{"a":1}\n{"a":2}\n'


def test_a_file_s_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    """The rows before the broken line come out; the error names the file and the line."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": }\n')
    chunks = json_lines.read(path, FIELDS, 1)
    assert next(chunks) == [{"a": 1}]
    with pytest.raises(DecodeError, match=r"rows\.jsonl: line 2: malformed"):
        next(chunks)


def test_blank_lines_without_end_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many lines those that hold nothing cost next to nothing, and the others keep their numbers."""
    monkeypatch.setattr(json_lines, "MAX_SPLIT_LINES", 2)
    assert json_lines.decode(b'\r\n \t\r\n  {"x":1}\r\n\r\n\n{"x":2} \n') == [{"x": 1}, {"x": 2}]
    with pytest.raises(DecodeError, match="line 5: "):
        json_lines.decode(b'\r\n\n\r\n{"x":1}\n\t{\n')
