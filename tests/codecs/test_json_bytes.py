"""Strict JSON."""

from __future__ import annotations

import itertools
import json
import math
import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourfold.codecs import json_bytes
from fourfold.codecs.json_bytes import dump, json_values, parse
from fourfold.errors import DecodeError, SinkError
from fourfold.signature import Field
from tests.codecs.tables import TEXT

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | NUMBERS | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.sampled_from(["a:b", "c"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(value=VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_parse_gives_what_was_written(value: Any, indent: int | None, ascii_only: bool) -> None:
    """Whatever writes JSON, and however it spaces and escapes it, `parse` gives the value that was written."""
    found = parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode())
    assert repr(found) == repr(value)


@settings(deadline=None)
@given(value=VALUES)
def test_dump_gives_what_parse_reads(value: Any) -> None:
    """`dump` loses nothing that `parse` could give: a sign of zero, the size of an integer, the last bit of a float."""
    assert repr(parse(dump(value))) == repr(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"NaN", "malformed|early"),
        (b"[NaN]", r"malformed JSON: .*byte 1\), near b'\[NaN\]'"),
        (b"[Infinity]", "malformed"),
        (b"[1e400]", r"too large, '1e400' \(byte 1\)"),
        (b'["1e400", -1e999]', r"too large, '-1e999' \(byte 10\)"),
        (b"9" * 5000, "too large"),
        (b"[1] x", r"trailing characters \(byte \d\), near b'\[1\] x'"),
        (b"[1][2]", "trailing"),
        (b"[1,]", "trailing comma"),
        (b"[01]", "invalid number"),
        (b"[.5]", "invalid character"),
        (b"{1: 2}", "keys must be strings"),
        (b"\xef\xbb\xbf[1]", "byte-order mark"),
        (b'["\xff"]', r"UTF-8: byte 2 begins b'\\xff\"\]'"),
        (b'["\xed\xa0\x80"]', "UTF-8"),
        (b'["a\nb"]', "invalid character"),
        (b"", "got nothing"),
        (b" \n", "got nothing"),
        (b'[{"a": 1}, {"a"', r"too early, at byte 15: it ends b'\[\{\"a\": 1\}, \{\"a\"'"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'["\\ud800"]', "malformed|early"),
        (b'{"a": 1, "a": 2}', "key 'a' twice"),
        (b'{"a": 1, "a": "12:30"}', "key 'a' twice"),
        (b'[{"t": "12:30"}, {"a": {"b": 1, "b": 2}}]', "key 'b' twice"),
        (b'{"a": 1, "a": "\\u003A"}', "key 'a' twice"),
        (b'{"a": 1, "\\u0061": 2}', "key 'a' twice"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    """What is no strict JSON, or would lose something, is refused with a message that says where."""
    with pytest.raises(DecodeError, match=message):
        parse(data)


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(["a", "b", "a:b", "é"]), TEXT | st.sampled_from([":", "::"])), max_size=4),
    escaped=st.booleans(),
)
def test_a_key_is_refused_exactly_where_it_is_twice(pairs: list[tuple[str, str]], escaped: bool) -> None:
    """Colons in strings, plain or escaped, neither hide a key that is there twice nor make one up."""
    texts = [[json.dumps(part, ensure_ascii=escaped) for part in pair] for pair in pairs]
    if escaped:
        texts = [[part.replace(":", "\\u003a") for part in pair] for pair in texts]
    data = ("[{" + ",".join(f"{key} : {value}" for key, value in texts) + "}]").encode()
    if len({key for key, _ in pairs}) == len(pairs):
        assert parse(data) == [dict(pairs)]
    else:
        with pytest.raises(DecodeError, match="twice"):
            parse(data)


@pytest.mark.parametrize("text", [b"-0", b"[-0]", b'{"a":-0,"b":"x-01"}', b"[ -0 ,1]"])
def test_minus_zero_keeps_its_sign(text: bytes) -> None:
    """`-0`, as other programs write the float -0.0, is -0.0."""
    found = parse(text)
    (value, *_) = found.values() if isinstance(found, dict) else found if isinstance(found, list) else [found]
    assert math.copysign(1, value) == -1.0


def test_canonical_values_as_json() -> None:
    """Each dtype has one spelling."""
    fields = (
        Field("f", "float64", nullable=True),
        Field("g", "float32", shape=(2, 2)),
        Field("t", "timestamp", zone="Europe/Berlin"),
        Field("u", "timestamp"),
        Field("d", "date"),
        Field("b", "binary"),
    )
    row = {
        "f": float("-inf"),
        "g": [[0.1, float("nan")], [float("inf"), -0.0]],
        "t": datetime(2024, 1, 2, 3, 4, 5, tzinfo=ZoneInfo("Europe/Berlin")),
        "u": datetime(2024, 1, 2, 3, 4, 5, 60),
        "d": date(2024, 1, 2),
        "b": b"\x00\xff",
    }
    assert dump(json_values([row], fields)) == (
        b'[{"f":"-Infinity","g":[[0.1,"NaN"],["Infinity",-0.0]],"t":"2024-01-02T03:04:05+01:00",'
        b'"u":"2024-01-02T03:04:05.000060","d":"2024-01-02","b":"AP8="}]'
    )
    assert json_values([{}], fields[:1]) == [{"f": None}]


def test_an_offset_with_seconds_is_written_in_utc() -> None:
    """A local mean time, whose offset ISO 8601 cannot say, is written as the same instant in UTC."""
    field = Field("t", "timestamp", zone="Europe/Berlin")
    early = datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    (row,) = json_values([{"t": early}], [field])
    assert row["t"].endswith("+00:00")
    assert datetime.fromisoformat(row["t"]) == early
    assert json_values([{"t": datetime(1, 1, 2, tzinfo=UTC)}], [field]) == [{"t": "0001-01-02T00:00:00+00:00"}]
    west = datetime(2024, 1, 1, tzinfo=timezone(-timedelta(hours=3, minutes=30)))
    assert json_values([{"t": west}], [field]) == [{"t": "2024-01-01T00:00:00-03:30"}]


@pytest.mark.parametrize(
    ("dtype", "value"), [("float64", "x"), ("date", 3), ("binary", "x"), ("string", "\ud800"), ("string", object())]
)
def test_what_is_not_canonical_is_refused(dtype: str, value: Any) -> None:
    """A value that is not its field's is a `SinkError`, whatever it is."""
    with pytest.raises(SinkError):
        dump(json_values([{"a": value}], [Field("a", dtype)]))


def test_a_long_array_is_parsed_in_pieces_to_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an array holds, pieces of it give what the whole gives, or an error that names the row."""
    rows = [b'{"x": -0, "y": [1.5, {"a": "\\u003a:"}]}', b"null", b" [ ] ", b'"\\","', b"1e5", b"-0", b'{"": {}}'] * 3
    whole = b" [" + b" , ".join(rows) + b"] \n"
    expected = json_bytes.parse(whole)
    monkeypatch.setattr(json_bytes, "MAX_WHOLE_BYTES", 10)
    monkeypatch.setattr(json_bytes, "ELEMENTS_PER_PIECE", 4)
    assert repr(json_bytes.parse(whole)) == repr(expected)
    assert json_bytes.parse(b"[" + b" " * 20 + b"]") == []
    for wrong, message in {
        b'{"x": 1, "x": 2}': "row 21: JSON with the key 'x' twice",
        b"1e999": "row 21: JSON with a number that is too large",
        b"01": "malformed JSON",
        b"{]": "malformed JSON",
        b'"\xff"': "JSON must be UTF-8",
    }.items():
        with pytest.raises(DecodeError, match=message):
            json_bytes.parse(b"[" + b",".join([*rows, wrong]) + b"]")


def test_other_threads_run_while_a_long_array_is_parsed() -> None:
    """Numbers near the smallest take microseconds each: a body full of them holds up nobody for its whole length."""
    data = b"[" + b",".join([b"2.2250738585072011e-308"] * 200_000) + b"]"
    ticks = [time.perf_counter()]
    is_parsed = threading.Event()

    def tick() -> None:
        while not is_parsed.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    json_bytes.parse(data)
    took = time.perf_counter() - start
    is_parsed.set()
    thread.join()
    longest = max(later - earlier for earlier, later in itertools.pairwise([*ticks, time.perf_counter()]))
    assert longest < took / 2
