"""Read the cells of a CSV file: text to values, by the dtype of the cell's field.

Each dtype has one grammar and two readers. `column` reads a whole column with Arrow, if every cell fits the common part
of the grammar; `cell` reads any single cell. After coercion both give the same values; a property test checks that. A
cell that does not fit its grammar stays text, and the coercion reports it by row and field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.codecs.json_bytes import parse
from fourfold.errors import DecodeError
from fourfold.signature.field import FLOATS, INTEGERS, Field

__all__ = ["cell", "column", "infer"]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_WORD = re.compile(r"nan|-?inf(?:inity)?", re.IGNORECASE | re.ASCII)

# For Arrow (RE2). An integer of at most 15 digits is the same number whether it is read as int64 or as float64.
_INTEGERS = r"\A-?(?:0|[1-9][0-9]{0,18})\z"
_UNSIGNED = r"\A(?:0|[1-9][0-9]{0,19})\z"
_NEGATIVE_ZERO = r"\A-0\z"
_PLAIN = r"-?(?:0|[1-9][0-9]{0,14})|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)"
_INFINITY = r"(?i:-?inf(?:inity)?)"
_NUMBERS = rf"\A(?:{_PLAIN})\z"
_NUMBERS_OR_WORDS = rf"\A(?:{_PLAIN}|{_INFINITY}|(?i:nan))\z"
_BOOLEANS = r"\A(?i:true|false)\z"
# The form that `csv.encode` writes, in the years 1000 to 2999: no offset moves these out of Python's years 1 to 9999.
_DATES = r"\A[12][0-9]{3}-[01][0-9]-[0-3][0-9]\z"
_CLOCK = r"T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_NAIVE = rf"\A[12][0-9]{{3}}-[01][0-9]-[0-3][0-9]{_CLOCK}\z"
_ZONED = rf"\A[12][0-9]{{3}}-[01][0-9]-[0-3][0-9]{_CLOCK}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\z"


def cell(field: Field | None) -> Callable[[str], Any] | None:
    """Return the function that reads a non-missing cell of a field; `None` where the text itself is the value.

    It is for strings, timestamps, dates and bytes, which the coercion converts, and for a column that is no field.
    """
    if field is None:
        return None
    if field.shape:
        return _tensor
    if field.dtype in INTEGERS:
        return _number
    if field.dtype in FLOATS:
        return _float
    return _bool if field.dtype == "bool" else None


def _number(text: str) -> int | float | str:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > 4300:  # Python reads no longer integer
        return text
    if match[1] is None and match[2] is None:
        return -0.0 if text == "-0" else int(text)
    value = float(text)
    return text if math.isinf(value) else value


def _float(text: str) -> int | float | str:
    return float(text) if _WORD.fullmatch(text) else _number(text)


def _bool(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text) if text.isascii() else text


def _tensor(text: str) -> Any:
    try:
        value = parse(text.encode())
    except DecodeError:
        return text
    return value if isinstance(value, list) else text


def column(field: Field | None, texts: Any) -> Any | None:
    """Return a column's values as one Arrow array; `None` where its cells must be read one by one.

    Args:
        field: the column's field, or `None` for a column that is no field, which stays text.
        texts: its cells, a `pyarrow.StringArray`, null where a cell is missing.
    """
    if field is None:
        return texts
    if field.shape:
        return _tensors(field, texts)
    if field.dtype in INTEGERS:
        return _integers(field, texts)
    if field.dtype in FLOATS:
        values = _floats(texts, _NUMBERS_OR_WORDS)
        return _long_integers(texts) if values is None else values
    if field.dtype == "bool":
        return pc.equal(pc.ascii_lower(texts), "true") if _all_match(texts, _BOOLEANS) else None
    if field.dtype == "date":
        return _instants(texts, _DATES, pa.date32())
    if field.dtype == "timestamp" and field.zone is None:
        return _instants(texts, _NAIVE, pa.timestamp("us"))
    if field.dtype == "timestamp":
        return _instants(texts, _ZONED, pa.timestamp("us", tz="UTC"))
    return texts


def _all_match(texts: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def _any_match(texts: Any, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def _integers(field: Field, texts: Any) -> Any | None:
    is_unsigned = field.dtype == "uint64" and _all_match(texts, _UNSIGNED)
    if not is_unsigned and not _all_match(texts, _INTEGERS):
        return _floats(texts, _NUMBERS)  # 3.0 is an integer too
    try:
        return texts.cast(pa.uint64() if is_unsigned else pa.int64())  # -0 becomes 0, as it does in an integer field
    except pa.ArrowInvalid:  # beyond 64 bits
        return None


def _floats(texts: Any, pattern: str) -> Any | None:
    if not _all_match(texts, pattern):
        return None
    values = texts.cast(pa.float64())
    is_infinite = pc.is_inf(values)
    if (
        pc.any(is_infinite, min_count=0).as_py()
        and not pc.all(pc.match_substring_regex(texts.filter(is_infinite), rf"\A{_INFINITY}\z"), min_count=0).as_py()
    ):
        return None  # 1e400 is too large for a float64, and not the word for infinity
    return values


def _long_integers(texts: Any) -> Any | None:
    """Return integers as int64, which the coercion looks at before they become floats; `None` where one is none."""
    if not _all_match(texts, _INTEGERS) or _any_match(texts, _NEGATIVE_ZERO):
        return None
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits
        return None


def _instants(texts: Any, pattern: str, data_type: Any) -> Any:
    if not _all_match(texts, pattern):
        return texts
    try:
        return texts.cast(data_type)
    except pa.ArrowInvalid:  # the 30th of February
        return texts


def _tensors(field: Field, texts: Any) -> Any | None:
    """Return nested lists of one type of number that the coercion converts without loss; `None` for all others."""
    values = [None if text is None else _tensor(text) for text in texts.to_pylist()]
    number_types: set[type] = set()
    for value in values:
        if value is None:
            continue
        items = [value]
        for _ in field.shape:
            if any(type(item) is not list for item in items):
                return None
            items = [element for item in items for element in item]
        number_types.update(map(type, items))
        if int in number_types and any(type(number) is int and abs(number) > 2**53 for number in items):
            return None
    is_mixed = len(number_types) > 1 and not (number_types == {int, float} and field.dtype in FLOATS)
    if is_mixed or not number_types <= {bool, int, float}:
        return None
    data_type = (
        pa.float64() if float in number_types or not number_types else pa.int64() if int in number_types else pa.bool_()
    )
    for _ in field.shape:
        data_type = pa.list_(data_type)
    return pa.array(values, type=data_type)


def infer(names: Sequence[str], columns: Sequence[Any]) -> tuple[Field, ...]:
    """Infer fields from cells: the first of bool, int64, float64, date and timestamp that fits every cell, else string.

    Numbers with a leading zero or a plus sign are text, `NA` and `null` are text, and 0 and 1 are integers.
    """
    # A column without a name is no field; it stays text.
    name_in_errors = [(name, texts) for name, texts in zip(names, columns, strict=True) if name]
    return tuple(Field(name, nullable=True, **_infer_dtype(texts)) for name, texts in name_in_errors)


def _infer_dtype(texts: Any) -> dict[str, Any]:
    if texts.null_count == len(texts):
        return {"dtype": "string"}
    if _all_match(texts, _BOOLEANS):
        return {"dtype": "bool"}
    if _all_match(texts, _INTEGERS) and not _any_match(texts, _NEGATIVE_ZERO) and _fits_int64(texts):
        return {"dtype": "int64"}
    if _floats(texts, _NUMBERS_OR_WORDS) is not None:
        return {"dtype": "float64"}
    for dtype, zone in (("date", None), ("timestamp", None), ("timestamp", "UTC")):
        read = column(Field("cells", dtype, zone=zone), texts)
        if read is not None and not pa.types.is_string(read.type):
            return {"dtype": dtype, "zone": zone}
    return {"dtype": "string"}


def _fits_int64(texts: Any) -> bool:
    try:
        texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True
