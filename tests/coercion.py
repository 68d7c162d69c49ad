"""Hold the coercion table as data: what each kind of value becomes in each kind of field, through every door.

`json` and `csv` are the value's text in these formats, `arrow` its array; `None` where the format has no such value
(an Arrow column cannot hold a string and then a number; CSV has neither strings nor numbers, only text).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from fourfold.signature import Field

NOTHING = object()


@dataclass(frozen=True)
class Case:
    """Hold one value and its expected canonical value, or the code of its error."""

    name: str
    python: Any
    json: bytes | None
    csv: str | None
    arrow: Any | None
    expected: Any = NOTHING
    error: str = ""


def ok(name: str, python: Any, json: str | None, csv: str | None, arrow: Any | None, expected: Any) -> Case:
    """Return a case that every door accepts."""
    return Case(name, python, None if json is None else json.encode(), csv, arrow, expected)


def bad(name: str, python: Any, json: str | None, csv: str | None, arrow: Any | None, error: str) -> Case:
    """Return a case that every door refuses with the error code `error`."""
    return Case(name, python, None if json is None else json.encode(), csv, arrow, error=error)


def _one(value: Any, kind: Any) -> Any:
    return pa.array([value], type=kind)


INT32 = Field("x", "int32")
INT64 = Field("x", "int64")
UINT8 = Field("x", "uint8")
UINT64 = Field("x", "uint64")
FLOAT64 = Field("x", "float64")
FLOAT32 = Field("x", "float32")
BOOL = Field("x", "bool")
STRING = Field("x", "string")
CLOSED = Field("x", "string", categories=("a", "b"))
OPEN = Field("x", "string", categories=("a", "b"), open=True)
CODES = Field("x", "int64", categories=(1, 2))
SIZES = Field("x", "float64", nullable=True, categories=(0.0, 2.5))
FLAG = Field("x", "bool", categories=(True,))
ZONED = Field("x", "timestamp", zone="Europe/Berlin")
NAIVE = Field("x", "timestamp")
DATE = Field("x", "date")
BINARY = Field("x", "binary")
TENSOR = Field("x", "float64", shape=(2,))
NULLABLE_INT = Field("x", "int64", nullable=True)
NULLABLE_FLOAT = Field("x", "float64", nullable=True)
NULLABLE_STRING = Field("x", "string", nullable=True)

EPOCH_NS = 1_700_000_000_000_000_000  # a moment of 2023, in nanoseconds since 1970
_NOON = datetime(2024, 7, 1, 12, 0, tzinfo=UTC)
_BERLIN = datetime(2024, 7, 1, 14, 0, tzinfo=ZoneInfo("Europe/Berlin"))
_NAIVE_NOON = datetime(2024, 7, 1, 12, 0)

#: A database gives integers as decimals without a fraction; digits behind the point say that it is no integer.
WHOLE_DECIMAL = _one(Decimal(2**53 + 1), pa.decimal128(38, 0))
FINE_DECIMAL = _one(Decimal("9007199254740993.00"), pa.decimal128(38, 2))

#: Field, and its cases.
TABLE: list[tuple[str, Field, list[Case]]] = [
    (
        "int32",
        INT32,
        [
            ok("integer", 3, "3", "3", _one(3, pa.int32()), 3),
            ok("integral float", 3.0, "3.0", "3.0", _one(3.0, pa.float64()), 3),
            ok("integral float32", 3.0, "3.0", "3.0", _one(3.0, pa.float32()), 3),
            ok("exponent", 1e3, "1e3", "1e3", _one(1e3, pa.float64()), 1000),
            ok("negative zero", -0.0, "-0.0", "-0.0", _one(-0.0, pa.float64()), 0),
            ok("wider integer", -(2**31), "-2147483648", "-2147483648", _one(-(2**31), pa.int64()), -(2**31)),
            ok("unsigned integer", 7, "7", "7", _one(7, pa.uint8()), 7),
            ok("decimal", Decimal(4), None, None, _one(Decimal(4), pa.decimal128(5, 2)), 4),
            bad("fraction", 1.7, "1.7", "1.7", _one(1.7, pa.float64()), "precision"),
            bad("decimal fraction", Decimal("1.5"), None, None, _one(Decimal("1.5"), pa.decimal128(5, 2)), "precision"),
            bad("too large", 3_000_000_000, "3000000000", "3000000000", _one(3_000_000_000, pa.int64()), "range"),
            bad("too large a float", 3e9, "3e9", "3e9", _one(3e9, pa.float64()), "range"),
            bad("NaN", math.nan, None, None, _one(math.nan, pa.float64()), "range"),
            bad("infinity", math.inf, None, None, _one(math.inf, pa.float64()), "range"),
            bad("text", "three", '"three"', "three", _one("three", pa.string()), "type"),
            bad("digits as text", "3", '"3"', None, _one("3", pa.string()), "type"),
            bad("true", True, "true", "true", _one(True, pa.bool_()), "type"),
            bad("empty text", "", '""', None, _one("", pa.string()), "type"),
            bad("list", [3], "[3]", "[3]", _one([3], pa.list_(pa.int64())), "type"),
            bad("object", {"a": 3}, '{"a":3}', None, _one({"a": 3}, pa.struct([("a", pa.int64())])), "type"),
            bad("null", None, "null", "", _one(None, pa.int32()), "missing"),
            bad("timestamp", _NOON, None, None, _one(_NOON, pa.timestamp("ns", "UTC")), "type"),
        ],
    ),
    (
        "int64",
        INT64,
        [
            ok("largest", 2**63 - 1, str(2**63 - 1), str(2**63 - 1), _one(2**63 - 1, pa.int64()), 2**63 - 1),
            ok("smallest", -(2**63), str(-(2**63)), str(-(2**63)), _one(-(2**63), pa.int64()), -(2**63)),
            ok(
                "2^53 as a float",
                2.0**53,
                "9007199254740992.0",
                "9007199254740992.0",
                _one(2.0**53, pa.float64()),
                2**53,
            ),
            bad(
                "beyond 2^53 as a float",
                2.0**54,
                "18014398509481984.0",
                "18014398509481984.0",
                _one(2.0**54, pa.float64()),
                "precision",
            ),
            bad("one too large", 2**63, str(2**63), str(2**63), _one(2**63, pa.uint64()), "range"),
            bad("far too large", 10**30, "1" + "0" * 30, "1" + "0" * 30, None, "range"),
        ],
    ),
    (
        "uint8",
        UINT8,
        [
            ok("largest", 255, "255", "255", _one(255, pa.int64()), 255),
            bad("one too large", 256, "256", "256", _one(256, pa.int64()), "range"),
            bad("negative", -1, "-1", "-1", _one(-1, pa.int64()), "range"),
        ],
    ),
    (
        "uint64",
        UINT64,
        [
            ok("largest", 2**64 - 1, str(2**64 - 1), str(2**64 - 1), _one(2**64 - 1, pa.uint64()), 2**64 - 1),
            bad("negative", -1, "-1", "-1", _one(-1, pa.int64()), "range"),
        ],
    ),
    (
        "float64",
        FLOAT64,
        [
            ok("float", 0.1, "0.1", "0.1", _one(0.1, pa.float64()), 0.1),
            ok(
                "float32",
                0.10000000149011612,
                "0.10000000149011612",
                "0.10000000149011612",
                _one(0.1, pa.float32()),
                0.10000000149011612,
            ),
            ok("float16", 0.5, "0.5", "0.5", pa.array([0.5], pa.float32()).cast(pa.float16()), 0.5),
            ok("integer", 5, "5", "5", _one(5, pa.int32()), 5.0),
            ok("2^53", 2**53, str(2**53), str(2**53), _one(2**53, pa.int64()), 2.0**53),
            ok("negative zero", -0.0, "-0.0", "-0.0", _one(-0.0, pa.float64()), -0.0),
            ok("smallest subnormal", 5e-324, "5e-324", "5e-324", _one(5e-324, pa.float64()), 5e-324),
            ok(
                "largest",
                1.7976931348623157e308,
                "1.7976931348623157e308",
                "1.7976931348623157e308",
                _one(1.7976931348623157e308, pa.float64()),
                1.7976931348623157e308,
            ),
            ok("NaN", math.nan, '"NaN"', "NaN", _one(math.nan, pa.float64()), math.nan),
            ok("NaN as text", "NaN", '"NaN"', "NaN", _one("NaN", pa.string()), math.nan),
            ok("infinity as text", "Infinity", '"Infinity"', "Infinity", _one("Infinity", pa.string()), math.inf),
            ok("minus infinity", -math.inf, '"-Infinity"', "-Infinity", _one(-math.inf, pa.float64()), -math.inf),
            ok("decimal", Decimal("0.1"), None, None, _one(Decimal("0.1"), pa.decimal128(5, 2)), 0.1),
            ok("10^16", 10**16, "10000000000000000", "10000000000000000", _one(10**16, pa.int64()), 1e16),
            ok("epoch ns", EPOCH_NS, str(EPOCH_NS), str(EPOCH_NS), _one(EPOCH_NS, pa.int64()), float(EPOCH_NS)),
            ok("-2^62", -(2**62), str(-(2**62)), str(-(2**62)), _one(-(2**62), pa.int64()), -(2.0**62)),
            ok("-2^63", -(2**63), str(-(2**63)), str(-(2**63)), _one(-(2**63), pa.int64()), -(2.0**63)),
            ok("2^63", 2**63, str(2**63), str(2**63), _one(2**63, pa.uint64()), 2.0**63),
            ok("2^70", 2**70, str(2**70), str(2**70), None, 2.0**70),
            ok("10^16 in a decimal", Decimal(10**16), None, None, _one(Decimal(10**16), pa.decimal128(20, 0)), 1e16),
            bad("2^53 + 1 in a decimal", Decimal(2**53 + 1), None, None, WHOLE_DECIMAL, "precision"),
            ok("of two decimals", Decimal("9007199254740993.00"), None, None, FINE_DECIMAL, 2.0**53),
            bad("2^63 - 1", 2**63 - 1, str(2**63 - 1), str(2**63 - 1), _one(2**63 - 1, pa.int64()), "precision"),
            bad("2^64 - 1", 2**64 - 1, str(2**64 - 1), str(2**64 - 1), _one(2**64 - 1, pa.uint64()), "precision"),
            bad("2^63 + 1", 2**63 + 1, str(2**63 + 1), str(2**63 + 1), _one(2**63 + 1, pa.uint64()), "precision"),
            bad("10^30", 10**30, "1" + "0" * 30, "1" + "0" * 30, None, "precision"),
            bad("10^400", 10**400, "1" + "0" * 400, "1" + "0" * 400, None, "precision"),
            bad(
                "integer beyond 2^53",
                2**53 + 1,
                str(2**53 + 1),
                str(2**53 + 1),
                _one(2**53 + 1, pa.int64()),
                "precision",
            ),
            bad("digits as text", "3.5", '"3.5"', None, _one("3.5", pa.string()), "type"),
            bad("text", "abc", '"abc"', "abc", _one("abc", pa.string()), "type"),
            bad("other spelling", "nan?", '"nan?"', "nan?", _one("nan?", pa.string()), "type"),
            bad("false", False, "false", "false", _one(False, pa.bool_()), "type"),
            bad("null", None, "null", "", _one(None, pa.float64()), "missing"),
        ],
    ),
    (
        "float32",
        FLOAT32,
        [
            ok("rounds to nearest", 0.1, "0.1", "0.1", _one(0.1, pa.float64()), 0.10000000149011612),
            ok("integer", 16_777_217, "16777217", "16777217", _one(16_777_217, pa.int64()), 16_777_216.0),
            ok("infinity", math.inf, '"Infinity"', "Infinity", _one(math.inf, pa.float64()), math.inf),
            ok("underflow", 1e-60, "1e-60", "1e-60", _one(1e-60, pa.float64()), 0.0),
            bad("too large", 1e300, "1e300", "1e300", _one(1e300, pa.float64()), "range"),
        ],
    ),
    (
        "bool",
        BOOL,
        [
            ok("true", True, "true", "true", _one(True, pa.bool_()), True),
            ok("false", False, "false", "FALSE", _one(False, pa.bool_()), False),
            bad("one", 1, "1", "1", _one(1, pa.int64()), "type"),
            bad("zero", 0.0, "0.0", "0.0", _one(0.0, pa.float64()), "type"),
            bad("text", "false", '"false"', None, _one("false", pa.string()), "type"),
            bad("yes", "yes", '"yes"', "yes", _one("yes", pa.string()), "type"),
        ],
    ),
    (
        "string",
        STRING,
        [
            ok("text", "AA", '"AA"', "AA", _one("AA", pa.string()), "AA"),
            ok("non-ASCII", "Zürich ☃ 𝄞", '"Zürich ☃ 𝄞"', "Zürich ☃ 𝄞", _one("Zürich ☃ 𝄞", pa.string()), "Zürich ☃ 𝄞"),
            ok("empty", "", '""', '""', _one("", pa.string()), ""),
            ok("newline and quote", 'a\n"b"', '"a\\n\\"b\\""', '"a\n""b"""', _one('a\n"b"', pa.string()), 'a\n"b"'),
            ok("the text NaN", "NaN", '"NaN"', "NaN", _one("NaN", pa.string()), "NaN"),
            ok("large_string", "AA", '"AA"', "AA", _one("AA", pa.large_string()), "AA"),
            ok("dictionary", "AA", '"AA"', "AA", pa.array(["AA"]).dictionary_encode(), "AA"),
            bad("integer", 5, "5", None, _one(5, pa.int64()), "type"),
            bad("true", True, "true", None, _one(True, pa.bool_()), "type"),
            bad("NaN", math.nan, None, None, _one(math.nan, pa.float64()), "type"),
            bad("null", None, "null", "", _one(None, pa.string()), "missing"),
            bad("lone surrogate", "\ud800", None, None, None, "format"),
        ],
    ),
    (
        "closed categories",
        CLOSED,
        [
            ok("known", "b", '"b"', "b", _one("b", pa.string()), "b"),
            bad("unknown", "c", '"c"', "c", _one("c", pa.string()), "category"),
            bad("integer", 1, "1", None, _one(1, pa.int64()), "type"),
        ],
    ),
    ("open categories", OPEN, [ok("unknown", "c", '"c"', "c", _one("c", pa.string()), "c")]),
    (
        "integer categories",
        CODES,
        [
            ok("known", 2, "2", "2", _one(2, pa.int8()), 2),
            bad("unknown", 3, "3", "3", _one(3, pa.int64()), "category"),
        ],
    ),
    (
        "float categories",
        SIZES,
        [
            ok("known", 2.5, "2.5", "2.5", _one(2.5, pa.float32()), 2.5),
            ok("an integer", 0, "0", "0", _one(0, pa.int8()), 0.0),
            ok("negative zero", -0.0, "-0.0", "-0.0", _one(-0.0, pa.float64()), -0.0),
            ok("NaN, where it may be missing", math.nan, '"NaN"', "NaN", _one(math.nan, pa.float64()), math.nan),
            ok("null", None, "null", "", _one(None, pa.float64()), None),
            bad("unknown", 2.0, "2.0", "2.0", _one(2.0, pa.float64()), "category"),
            bad("text", "2.5", '"2.5"', None, _one("2.5", pa.string()), "type"),
        ],
    ),
    (
        "boolean categories",
        FLAG,
        [
            ok("known", True, "true", "true", _one(True, pa.bool_()), True),
            bad("unknown", False, "false", "false", _one(False, pa.bool_()), "category"),
            bad("one", 1, "1", None, _one(1, pa.int8()), "type"),
        ],
    ),
    (
        "timestamp with a zone",
        ZONED,
        [
            ok(
                "UTC",
                _NOON,
                '"2024-07-01T12:00:00Z"',
                "2024-07-01T12:00:00Z",
                _one(_NOON, pa.timestamp("us", "UTC")),
                _BERLIN,
            ),
            ok(
                "offset",
                _NOON,
                '"2024-07-01T14:00:00+02:00"',
                "2024-07-01 14:00:00+02:00",
                _one(_NOON, pa.timestamp("s", "Asia/Tokyo")),
                _BERLIN,
            ),
            ok(
                "microseconds",
                _NOON + timedelta(microseconds=1),
                '"2024-07-01T12:00:00.000001Z"',
                "2024-07-01T12:00:00.000001Z",
                _one(_NOON + timedelta(microseconds=1), pa.timestamp("ns", "UTC")),
                _BERLIN + timedelta(microseconds=1),
            ),
            ok(
                "as text",
                "2024-07-01T12:00:00Z",
                '"2024-07-01T12:00:00Z"',
                "2024-07-01T12:00:00Z",
                _one("2024-07-01T12:00:00Z", pa.string()),
                _BERLIN,
            ),
            bad(
                "naive",
                _NAIVE_NOON,
                '"2024-07-01T12:00:00"',
                "2024-07-01T12:00:00",
                _one(_NAIVE_NOON, pa.timestamp("us")),
                "format",
            ),
            bad(
                "nanoseconds",
                "2024-07-01T12:00:00.000000001Z",
                '"2024-07-01T12:00:00.000000001Z"',
                "2024-07-01T12:00:00.000000001Z",
                pa.array([1], pa.int64()).cast(pa.timestamp("ns", "UTC")),
                "precision",
            ),
            bad(
                "no such day",
                "2024-02-30T12:00:00Z",
                '"2024-02-30T12:00:00Z"',
                "2024-02-30T12:00:00Z",
                _one("2024-02-30T12:00:00Z", pa.string()),
                "format",
            ),
            bad("number", 1_719_835_200, "1719835200", None, _one(1_719_835_200, pa.int64()), "type"),
            bad("date", date(2024, 7, 1), None, None, _one(date(2024, 7, 1), pa.date32()), "type"),
            bad("date as text", "2024-07-01", '"2024-07-01"', "2024-07-01", _one("2024-07-01", pa.string()), "format"),
        ],
    ),
    (
        "timestamp without a zone",
        NAIVE,
        [
            ok(
                "naive",
                _NAIVE_NOON,
                '"2024-07-01T12:00:00"',
                "2024-07-01T12:00:00",
                _one(_NAIVE_NOON, pa.timestamp("ms")),
                _NAIVE_NOON,
            ),
            bad(
                "offset",
                _NOON,
                '"2024-07-01T12:00:00Z"',
                "2024-07-01T12:00:00Z",
                _one(_NOON, pa.timestamp("us", "UTC")),
                "format",
            ),
        ],
    ),
    (
        "date",
        DATE,
        [
            ok(
                "date",
                date(2024, 2, 29),
                '"2024-02-29"',
                "2024-02-29",
                _one(date(2024, 2, 29), pa.date32()),
                date(2024, 2, 29),
            ),
            ok(
                "date64",
                date(2024, 2, 29),
                '"2024-02-29"',
                "2024-02-29",
                _one(date(2024, 2, 29), pa.date64()),
                date(2024, 2, 29),
            ),
            bad("no such day", "2023-02-29", '"2023-02-29"', "2023-02-29", _one("2023-02-29", pa.string()), "format"),
            bad("timestamp", _NAIVE_NOON, None, None, _one(_NAIVE_NOON, pa.timestamp("us")), "type"),
            bad("number", 19_000, "19000", None, _one(19_000, pa.int64()), "type"),
        ],
    ),
    (
        "binary",
        BINARY,
        [
            ok("bytes", b"\x00\xff", '"AP8="', "AP8=", _one(b"\x00\xff", pa.binary()), b"\x00\xff"),
            ok("large binary", b"hi", '"aGk="', "aGk=", _one(b"hi", pa.large_binary()), b"hi"),
            bad("no base64", "a*", '"a*"', "a*", _one("a*", pa.string()), "format"),
            bad("number", 5, "5", None, _one(5, pa.int64()), "type"),
        ],
    ),
    (
        "tensor of 2 float64",
        TENSOR,
        [
            ok("list", [1, 2.5], "[1,2.5]", '"[1,2.5]"', _one([1.0, 2.5], pa.list_(pa.float64())), [1.0, 2.5]),
            ok(
                "fixed-size list",
                [1.0, 2.5],
                "[1.0,2.5]",
                '"[1.0,2.5]"',
                _one([1.0, 2.5], pa.list_(pa.float64(), 2)),
                [1.0, 2.5],
            ),
            ok("integers", [1, 2], "[1,2]", '"[1,2]"', _one([1, 2], pa.list_(pa.int64())), [1.0, 2.0]),
            ok(
                "NaN inside",
                [1.0, math.nan],
                '[1.0,"NaN"]',
                '"[1.0,""NaN""]"',
                _one([1.0, math.nan], pa.list_(pa.float64())),
                [1.0, math.nan],
            ),
            bad("too short", [1.0], "[1.0]", '"[1.0]"', _one([1.0], pa.list_(pa.float64())), "shape"),
            bad(
                "too deep",
                [[1.0], [2.0]],
                "[[1.0],[2.0]]",
                '"[[1.0],[2.0]]"',
                _one([[1.0], [2.0]], pa.list_(pa.list_(pa.float64()))),
                "shape",
            ),
            bad(
                "null inside",
                [1.0, None],
                "[1.0,null]",
                '"[1.0,null]"',
                _one([1.0, None], pa.list_(pa.float64())),
                "missing",
            ),
            bad(
                "text inside",
                ["a", "b"],
                '["a","b"]',
                '"[""a"",""b""]"',
                _one(["a", "b"], pa.list_(pa.string())),
                "type",
            ),
            bad("number", 1.0, "1.0", "1.0", _one(1.0, pa.float64()), "type"),
        ],
    ),
    (
        "nullable int64",
        NULLABLE_INT,
        [
            ok("null", None, "null", "", _one(None, pa.int64()), None),
            ok("null column", None, "null", "", pa.nulls(1), None),
            ok("null in a column of another type", None, "null", "", _one(None, pa.string()), None),
            bad("NaN", math.nan, None, None, _one(math.nan, pa.float64()), "range"),
            bad("NaN as text", "NaN", '"NaN"', "NaN", _one("NaN", pa.string()), "type"),
        ],
    ),
    (
        "nullable float64",
        NULLABLE_FLOAT,
        [
            ok("null", None, "null", "", _one(None, pa.float64()), None),
            ok("NaN is no null", math.nan, '"NaN"', "NaN", _one(math.nan, pa.float64()), math.nan),
        ],
    ),
    (
        "nullable string",
        NULLABLE_STRING,
        [
            ok("null", None, "null", "", _one(None, pa.string()), None),
            ok("empty is no null", "", '""', '""', _one("", pa.string()), ""),
        ],
    ),
]

#: Every case with its field, for `pytest.mark.parametrize`.
CASES = [(field, case) for _, field, cases in TABLE for case in cases]
IDS = [f"{name}: {case.name}" for name, _, cases in TABLE for case in cases]
