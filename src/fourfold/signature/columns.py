"""The coercion of columns: Arrow arrays to a field's canonical Arrow type.

The twin of `rows`: same rules, same errors. What Arrow can decide for a whole column at once is decided at once; what
it cannot (text that spells a timestamp, a decimal, a column with a value at fault) goes value by value through the row
coercer itself, so the twins can differ only in the conversions below, each of which the matrix of tests covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import DecodeError, RowError, shorten
from fourfold.signature.field import FLOATS, INTEGERS, Field
from fourfold.signature.rows import EXACT, Coerce, Mismatch, coercer, is_missing, unknown_field

__all__ = ["ColumnCoercer", "arrow_schema", "arrow_type", "columns_to_rows", "rows_to_columns"]

_SCALARS = {
    "bool": pa.bool_(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "binary": pa.binary(),
    **{name: getattr(pa, name)() for name in INTEGERS},
}
_EPOCH = datetime(1970, 1, 1)
_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
# What `datetime` and `date` can say: the years 1 to 9999. Rows cannot carry more, so columns may not either.
_DAYS = (date(1, 1, 1).toordinal() - date(1970, 1, 1).toordinal(), date.max.toordinal() - date(1970, 1, 1).toordinal())
#: The most bytes that a column may take once its values, stored once for many rows, stand there for each of them.
UNFOLDED = 2**30
#: The milliseconds of a day.
_A_DAY = 86_400_000
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)


def arrow_type(field: Field) -> Any:
    """The field's canonical Arrow type; a tensor is a nested `fixed_size_list`, outermost dimension first."""
    scalar = pa.timestamp("us", tz=field.zone) if field.dtype == "timestamp" else _SCALARS[field.dtype]
    for size in reversed(field.shape):
        scalar = pa.list_(scalar, size)
    return scalar


def arrow_schema(fields: Iterable[Field]) -> Any:
    """The canonical Arrow schema of fields, in their order."""
    return pa.schema([pa.field(each.name, arrow_type(each), nullable=each.nullable) for each in fields])


def rows_to_columns(fields: Sequence[Field], rows: Sequence[Mapping[str, Any]]) -> Any:
    """Canonical rows as a `pyarrow.RecordBatch` of the canonical schema, shape `(len(rows), len(fields))`."""
    arrays = [pa.array([row[each.name] for row in rows], type=arrow_type(each)) for each in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(fields))


def columns_to_rows(fields: Sequence[Field], batch: Any) -> list[dict[str, Any]]:
    """A canonical `pyarrow.RecordBatch` as canonical rows."""
    names = [each.name for each in fields]
    columns = [_values(each, batch.column(index)) for index, each in enumerate(fields)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(field: Field, array: Any) -> list[Any]:
    if field.dtype != "timestamp":
        values: list[Any] = array.to_pylist()
        return values
    # Not `to_pylist`: the class of what it gives depends on whether pandas is installed.
    instants = array.cast(pa.int64()).to_pylist()
    if field.zone is None:
        return [None if each is None else _EPOCH + timedelta(microseconds=each) for each in instants]
    coerce = coercer(field)
    start = _EPOCH.replace(tzinfo=UTC)
    return [None if each is None else coerce(start + timedelta(microseconds=each)) for each in instants]


class ColumnCoercer:
    """Coerces Arrow tables to the canonical columns of `fields`.

    Args:
        fields: the fields, in the order in which the coerced table holds them.
        extra: `forbid` makes a column that is no field an error of every row, `ignore` drops it.
    """

    def __init__(self, fields: Iterable[Field], extra: Literal["forbid", "ignore"] = "forbid") -> None:
        self.fields = tuple(fields)
        self.schema = arrow_schema(self.fields)
        self._columns = [_Column(each) for each in self.fields]
        self._names = frozenset(each.name for each in self.fields)
        self._forbid = extra == "forbid"

    def __call__(self, table: Any) -> tuple[Any, list[RowError]]:
        """Coerce every column.

        Args:
            table: a `pyarrow.RecordBatch` or `Table` of `n` rows.

        Returns:
            A `pyarrow.RecordBatch` of `n` rows with the canonical schema, null where a value was at fault; and every
            error, by row.

        Raises:
            DecodeError: a column is there twice, or would unfold to more than `UNFOLDED` bytes.
        """
        names = table.schema.names
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DecodeError(f"the table has the column {shorten(twice)} twice")
        errors: list[tuple[int, int, RowError]] = []
        arrays = []
        for order, column in enumerate(self._columns):
            array = _one_array(table.column(column.field.name)) if column.field.name in names else None
            coerced, found = column(array, table.num_rows)
            arrays.append(coerced)
            errors.extend((error.row, order, error) for error in found)
        if self._forbid:
            errors.extend(self._unknown(names, table.num_rows))
        errors.sort(key=lambda each: each[:2])
        # Nullability is not part of this schema: a value at fault is null, whatever its field allows.
        return pa.RecordBatch.from_arrays(arrays, names=list(self.schema.names)), [error for _, _, error in errors]

    def _unknown(self, names: Sequence[str], length: int) -> Iterable[tuple[int, int, RowError]]:
        order = len(self._columns)
        for name in names:
            if name not in self._names:
                for row in range(length):
                    yield row, order, unknown_field(row, name, self.fields)


class _Column:
    """The coercion of one field's arrays."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.type = arrow_type(field)
        self._coerce: Coerce = coercer(field)
        self._categories = None
        if field.categories is not None and not field.open:
            self._categories = pa.array(field.categories, type=self.type)

    def __call__(self, array: Any, length: int) -> tuple[Any, list[RowError]]:
        if array is None:
            return pa.nulls(length, self.type), self._missing(range(length), "nothing")
        array = _storage(array)
        errors: list[RowError] = []
        if array.null_count and not self.field.nullable:
            errors = self._missing((row for row, null in enumerate(array.is_null().to_pylist()) if null), "null")
        coerced = self._at_once(array)
        if coerced is None:
            coerced, found = self._one_by_one(array)
            errors.extend(found)
        return coerced, errors

    def _missing(self, rows: Iterable[int], got: str) -> list[RowError]:
        if self.field.nullable:
            return []
        return [RowError(row, self.field.name, "missing", self.field.expected, got) for row in rows]

    def _at_once(self, array: Any) -> Any | None:
        """The coerced array, or `None` where a value is at fault or Arrow alone cannot tell."""
        if array.null_count == len(array):
            return pa.nulls(len(array), self.type)
        if self.field.shape:
            return array if array.type == self.type and _whole(array) else None
        coerced = self._scalars(array)
        if coerced is not None and self._categories is not None:
            known = pc.is_in(coerced, value_set=self._categories)
            if not pc.all(pc.or_(known, coerced.is_null())).as_py():
                return None
        return coerced

    def _scalars(self, array: Any) -> Any | None:
        kind, dtype = array.type, self.field.dtype
        if dtype == "bool":
            return array if pa.types.is_boolean(kind) else None
        if dtype in INTEGERS:
            return _integers(array, self.type)
        if dtype in FLOATS:
            return _floats(array, self.type)
        if dtype == "string":
            return array.cast(pa.string()) if _is_text(kind) else None
        if dtype == "binary":
            return array.cast(pa.binary()) if _is_bytes(kind) else None
        if dtype == "date":
            return _dates(array)
        return _timestamps(array, self.field)

    def _one_by_one(self, array: Any) -> tuple[Any, list[RowError]]:
        out: list[Any] = []
        errors: list[RowError] = []
        for row, value in enumerate(_python(array, self.field)):
            if is_missing(value):
                out.append(None)
                continue
            try:
                if isinstance(value, Mismatch):
                    raise value
                out.append(self._coerce(value))
            except Mismatch as problem:
                out.append(None)
                errors.append(RowError(row, self.field.name, problem.code, problem.expected, problem.got))
        return pa.array(out, type=self.type), errors


def _one_array(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    # One chunk is the common case, and `combine_chunks` would copy it.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _storage(array: Any) -> Any:
    """The array without the wrappers that only change how values are stored."""
    if isinstance(array, pa.FixedShapeTensorArray):
        array = _nested(array)
    elif isinstance(array, pa.ExtensionArray):
        array = array.storage
    while pa.types.is_dictionary(array.type) or pa.types.is_run_end_encoded(array.type):
        _check_unfolded(array)
        if pa.types.is_dictionary(array.type) and (viewed := _VIEWS.get(array.type.value_type)):  # Arrow decodes none
            array = array.cast(pa.dictionary(array.type.index_type, viewed))
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else pc.run_end_decode(array)
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        _check_unfolded(array)
    return array


def _check_unfolded(array: Any) -> None:
    """Refuse a few bytes that stand for gigabytes, before they do.

    Raises:
        DecodeError: the column would take more than `UNFOLDED` bytes.
    """
    taken = len(array) * _longest(array)
    if taken > UNFOLDED and pa.types.is_dictionary(array.type) and _is_plain(array.dictionary.type):
        taken = pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0
    elif taken > UNFOLDED and (pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type)):
        taken = _viewed(array)
    if taken > UNFOLDED:
        raise DecodeError(
            f"a column of {len(array)} rows would take up to {taken} bytes where each row has its own value; expected "
            f"at most {UNFOLDED}: send fewer rows"
        )


def _viewed(array: Any) -> int:
    """The bytes that the views of an array show, all together; the first of a view's four integers is its length."""
    numbers = pa.Array.from_buffers(pa.int32(), 4 * len(array), [None, array.buffers()[1]], offset=4 * array.offset)
    lengths = pc.list_element(pa.FixedSizeListArray.from_arrays(numbers, 4), 0)
    return int(pc.sum(lengths.filter(array.is_valid()).cast(pa.int64())).as_py() or 0)


def _longest(array: Any) -> int:
    """The bytes of the longest value that a row of the array can stand for, or more."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _longest(array.dictionary)
    if pa.types.is_run_end_encoded(kind):
        return _longest(array.values)
    if _is_plain(kind):
        return pc.max(pc.binary_length(array)).as_py() or 0
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size * _longest(array.values))
    if pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind):
        return int(kind.bit_width + 7) // 8
    return int(array.nbytes)


def _is_plain(kind: Any) -> bool:
    """Whether the type is one of text or bytes with a length for each value."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _nested(array: Any) -> Any:
    """An array of Arrow's fixed-shape tensors, stored flat, as nested fixed-size lists."""
    present = array.drop_null()
    if array.type.permutation is not None and len(present):
        inner, shape = pa.array(present.to_numpy_ndarray().ravel()), present.to_numpy_ndarray().shape[1:]
    else:
        inner, shape = present.storage.flatten(), array.type.shape
    for size in reversed(shape):
        inner = pa.FixedSizeListArray.from_arrays(inner, size)
    if len(present) == len(array):
        return inner
    places = iter(range(len(present)))
    return inner.take(pa.array([next(places) if valid else None for valid in array.is_valid().to_pylist()], pa.int64()))


def _whole(array: Any) -> bool:
    """Whether no element of a nested fixed-size list is null, apart from rows that are null themselves."""
    while pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            array = array.drop_null()
        array = array.flatten()
    return bool(array.null_count == 0)


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _within(array: Any, low: int, high: int) -> bool:
    """Whether every value of an integer array that is not null lies within the bounds."""
    bounds = pc.min_max(array)
    least, most = bounds["min"].as_py(), bounds["max"].as_py()
    return least is None or (least >= low and most <= high)


def _integers(array: Any, target: Any) -> Any | None:
    if pa.types.is_integer(array.type):
        if not _within(array, *INTEGERS[str(target)]):
            return None
        return array.cast(target)
    if pa.types.is_floating(array.type):
        values = array.cast(pa.float64())
        fits = pc.and_(pc.equal(pc.floor(values), values), pc.less_equal(pc.abs(values), float(EXACT)))
        if not pc.all(fits).as_py():  # false for NaN and infinities too
            return None
        integers = values.cast(pa.int64())
        return integers.cast(target) if _within(integers, *INTEGERS[str(target)]) else None
    return None


def _floats(array: Any, target: Any) -> Any | None:
    if pa.types.is_integer(array.type):
        if not _within(array, -EXACT, EXACT):
            return None
        array = array.cast(pa.int64()).cast(pa.float64())
    if not pa.types.is_floating(array.type):
        return None
    if pa.types.is_float32(target) and pa.types.is_float64(array.type):
        rounded = array.cast(target)
        overflowed = pc.and_(pc.is_inf(rounded), pc.is_finite(array))
        return None if pc.any(overflowed).as_py() else rounded
    return array.cast(target)


def _dates(array: Any) -> Any | None:
    if pa.types.is_date64(array.type):
        counts = array.cast(pa.int64())
        whole = pc.equal(pc.multiply(pc.divide(counts, _A_DAY), _A_DAY), counts)
        if not pc.all(whole).as_py() or not _within(counts, _DAYS[0] * _A_DAY, _DAYS[1] * _A_DAY):
            return None
        return array.cast(pa.date32())
    if not pa.types.is_date32(array.type) or not _within(array.cast(pa.int32()), *_DAYS):
        return None
    return array


def _timestamps(array: Any, field: Field) -> Any | None:
    if not pa.types.is_timestamp(array.type) or (array.type.tz is None) != (field.zone is None):
        return None
    if array.type.unit == "ns" and not _whole_microseconds(array):
        return None
    per_unit = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}[array.type.unit]
    # On the first and the last day of all, a zone's own clock may be beyond the years: one by one, then.
    margin = 0 if field.zone is None else _A_DAY * 1000
    low, high = (_MICROSECONDS[0] + margin) // per_unit, (_MICROSECONDS[1] - margin) // per_unit
    if array.type.unit != "ns" and not _within(array.cast(pa.int64()), low, high):
        return None
    return array.cast(pa.timestamp("us", tz=array.type.tz)).cast(pa.timestamp("us", tz=field.zone))


def _whole_microseconds(array: Any) -> bool:
    whole = pc.multiply(pc.divide(array.cast(pa.int64()), 1000), 1000)
    return bool(pc.all(pc.equal(whole, array.cast(pa.int64()))).as_py())


def _python(array: Any, field: Field) -> Iterable[Any]:
    """The array's values as plain Python values for the row coercer; a `Mismatch` where Python has no such value."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return _instants(array, field)
    if pa.types.is_date(kind):
        return _days(array, field)
    leaf = kind
    while pa.types.is_list(leaf) or pa.types.is_large_list(leaf) or pa.types.is_fixed_size_list(leaf):
        leaf = leaf.value_type
    primitive = pa.types.is_primitive(leaf) and not pa.types.is_temporal(leaf)
    if primitive or pa.types.is_decimal(leaf) or _is_text(leaf) or _is_bytes(leaf):
        values: list[Any] = array.to_pylist()
        return values
    foreign = Mismatch("type", field.expected, f"a value of the Arrow type {shorten(str(kind))}")
    return [foreign if valid else None for valid in array.is_valid().to_pylist()]


def _days(array: Any, field: Field) -> Iterable[Any]:
    # Arrow has dates that count milliseconds, too, and nothing keeps it from counting a part of a day.
    milliseconds = pa.types.is_date64(array.type)
    for count in array.cast(pa.int64() if milliseconds else pa.int32()).to_pylist():
        if count is None:
            yield None
            continue
        days, rest = divmod(count, _A_DAY) if milliseconds else (count, 0)
        got = f"the date {count} {'ms' if milliseconds else 'days'} from 1970-01-01"
        if _DAYS[0] <= days <= _DAYS[1] and not rest:
            yield date(1970, 1, 1) + timedelta(days=days)
        elif field.dtype != "date":
            yield Mismatch("type", field.expected, got)
        elif not _DAYS[0] <= days <= _DAYS[1]:
            yield Mismatch("range", field.expected, got)
        else:
            yield Mismatch("precision", f"{field.expected}, in whole days", got)


def _instants(array: Any, field: Field) -> Iterable[Any]:
    unit = array.type.unit
    nanoseconds = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[unit]
    start = _EPOCH if array.type.tz is None else _EPOCH.replace(tzinfo=UTC)
    for count in array.cast(pa.int64()).to_pylist():
        if count is None:
            yield None
            continue
        microseconds, rest = divmod(count * nanoseconds, 1000)
        got = f"the timestamp {count} {unit} from 1970-01-01"
        if field.dtype != "timestamp":
            yield Mismatch("type", field.expected, got)
        elif rest:
            yield Mismatch("precision", f"{field.expected}, in whole microseconds", got)
        elif not _MICROSECONDS[0] <= microseconds <= _MICROSECONDS[1]:
            yield Mismatch("range", field.expected, got)
        else:
            yield start + timedelta(microseconds=microseconds)
