from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import RowError, SinkError
from fourfold.stream.dead_letters import DeadLetter, DeadLetterOutput, encode_dead_letter
from fourfold.stream.lines import HEAD_BYTES, Line, OversizedLine
from fourfold.stream.sinks.files import FileSink
from fourfold.stream.sinks.pipes import PipeSink

ERROR = RowError(7, "x", "type", "float64", "'one'")
LETTER = DeadLetter(3, "validate", [ERROR])
WHERE = {"offset": 120, "line": 4}


def encoded(event: Line, letter: DeadLetter = LETTER) -> dict[str, object]:
    """A dead letter, read back."""
    line = encode_dead_letter(letter, event, WHERE, "eta", "sha256:0")
    assert b"\n" not in line
    read: dict[str, object] = json.loads(line)
    return read


def test_letter_says_all() -> None:
    """A dead letter has the event's place, what failed and why, its text, and the package that was asked."""
    assert encoded(b'{"x":"one"}') == {
        "offset": 120,
        "line": 4,
        "stage": "validate",
        "errors": [{"field": "x", "code": "type", "expected": "float64", "got": "'one'"}],
        "event": '{"x":"one"}',
        "model": "eta",
        "digest": "sha256:0",
    }


@given(st.binary() | st.text().map(str.encode))
def test_event_comes_back_exactly(event: bytes) -> None:
    """The bytes of the event can be had back, whatever they are."""
    letter = encoded(event)
    if "event" in letter:
        assert str(letter["event"]).encode() == event
    else:
        assert base64.b64decode(str(letter["event_base64"])) == event


def test_long_event_is_cut() -> None:
    """Of a line that was too long the letter has the head, without half a character, and the length."""
    text = "é" * HEAD_BYTES
    letter = encoded(OversizedLine(b"x" + text.encode()[: HEAD_BYTES - 1], 10**9))
    assert (letter["event"], letter["event_bytes"]) == ("x" + "é" * ((HEAD_BYTES - 1) // 2), 10**9)
    assert encoded(OversizedLine(b"\xff", 5))["event_base64"] == "/w=="


def test_lone_surrogate_is_escaped() -> None:
    """A field whose name UTF-8 cannot hold does not fail the letter about it."""
    letter = DeadLetter(
        0, "validate", [RowError(0, "\ud800", "unknown", "one of the fields x", "a key that is no field")]
    )
    assert encoded(rb'{"\ud800":1}', letter)["errors"] == [
        {"field": "\ud800", "code": "unknown", "expected": "one of the fields x", "got": "a key that is no field"}
    ]


def test_file_is_made_for_the_first_letter(tmp_path: Path) -> None:
    """Where nothing dies no file is made."""
    path = tmp_path / "dead.jsonl"
    letters = DeadLetterOutput(FileSink(path))
    letters.open()
    letters.write(b"")
    letters.sync()
    assert not path.exists()
    letters.write(b"{}\n")
    letters.sync()
    letters.close()
    assert (path.read_bytes(), letters.length) == (b"{}\n", 3)


def test_letters_are_never_passed_over() -> None:
    """A pipe for dead letters that nobody reads is an error: events must not vanish."""
    reading, writing = os.pipe()
    os.close(reading)
    letters = DeadLetterOutput(PipeSink(writing, "pipe"))
    with pytest.raises(SinkError, match="what reads"):
        letters.write(b"{}\n")
    os.close(writing)
