"""Coerce columns: Arrow arrays to the canonical Arrow types of their fields.

The rules and errors are those of `rows`. Arrow converts whole columns where it can. Columns that it cannot convert
(text of timestamps, decimals, columns with an invalid value) go value by value through the row coercer. So columns
and rows can only differ in the conversions below, and the matrix of tests covers each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import MAX_ROW_ERRORS, ColumnError, DecodeError, RowError, RowErrors, TableError, shorten
from fourfold.signature.arrow_numbers import DAY_MS, DAY_RANGE, MICROSECOND_RANGE, dates, floats, integers, timestamps
from fourfold.signature.column_sizes import NUMBER_IDS, check_decoded_size
from fourfold.signature.field import FLOATS, INTEGERS, Extra, Field, first_duplicate
from fourfold.signature.rows import NON_FINITE, Coerce, Mismatch, coercer, is_missing
from fourfold.signature.table_columns import check_columns
from fourfold.signature.type_compatibility import can_hold

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
_NUMBERS = frozenset((*INTEGERS, *FLOATS))
_EPOCH = datetime(1970, 1, 1)
# Arrow cannot decode a dictionary of views; it casts it to a dictionary of these types.
_LARGE_TYPES = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
#: The values that are Python objects at the same time where a column goes value by value.
VALUES_AT_ONCE = 1 << 12
#: The most elements of a list in a row at fault that are unfolded to show it.
MAX_SHOWN_LEAVES = 1000
#: The rows from which on it pays to look for the distinct values of a column.
MIN_DISTINCT_ROWS = 64


def arrow_type(field: Field) -> Any:
    """Return the field's canonical Arrow type; a tensor is a nested `fixed_size_list`, outermost dimension first."""
    data_type = pa.timestamp("us", tz=field.zone) if field.dtype == "timestamp" else _SCALARS[field.dtype]
    for size in reversed(field.shape):
        data_type = pa.list_(data_type, size)
    return data_type


def arrow_schema(fields: Iterable[Field]) -> Any:
    """Return the canonical Arrow schema of fields, in their order."""
    return pa.schema([pa.field(field.name, arrow_type(field), nullable=field.nullable) for field in fields])


def rows_to_columns(fields: Sequence[Field], rows: Sequence[Mapping[str, Any]]) -> Any:
    """Convert canonical rows to a `pyarrow.RecordBatch` of the canonical schema."""
    arrays = [pa.array([row[field.name] for row in rows], type=arrow_type(field)) for field in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(fields))


def columns_to_rows(fields: Sequence[Field], batch: Any) -> list[dict[str, Any]]:
    """Convert a canonical `pyarrow.RecordBatch` to canonical rows."""
    names = [field.name for field in fields]
    columns = [_canonical_values(field, batch.column(index)) for index, field in enumerate(fields)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _canonical_values(field: Field, array: Any) -> list[Any]:
    if field.dtype != "timestamp":
        values: list[Any] = array.to_pylist()
        return values
    # Not `to_pylist`: the classes that it returns depend on the libraries installed (pandas' timestamps, pytz's zones).
    counts = array.cast(pa.int64()).to_pylist()
    if field.zone is None:
        return [None if count is None else _EPOCH + timedelta(microseconds=count) for count in counts]
    coerce = coercer(field)
    epoch = _EPOCH.replace(tzinfo=UTC)
    return [None if count is None else coerce(epoch + timedelta(microseconds=count)) for count in counts]


class _Faults(NamedTuple):
    """Hold the rows at fault of one column; an error is built only where it is to be shown.

    Attributes:
        mask: a `pyarrow.BooleanArray`, true where a row is at fault; `None` where all are.
        size: the number of rows at fault.
        build: returns the error of a row.
    """

    mask: Any
    size: int
    build: Callable[[int], RowError]

    def rows(self) -> Iterator[int]:
        """Yield the indices of the rows at fault."""
        if self.mask is None:
            yield from range(self.size)
            return
        indices = pc.indices_nonzero(self.mask)
        for start in range(0, len(indices), MAX_ROW_ERRORS):
            yield from indices.slice(start, MAX_ROW_ERRORS).to_pylist()


class ColumnCoercer:
    """Coerce Arrow tables to the canonical columns of fields.

    Args:
        fields: the fields, in the order of the coerced table's columns.
        extra: `forbid` makes a column that is no field an error, `ignore` drops it.
    """

    def __init__(self, fields: Iterable[Field], extra: Extra = "forbid") -> None:
        self.fields = tuple(fields)
        self.schema = arrow_schema(self.fields)
        self._columns = [_Column(field) for field in self.fields]
        self._names = frozenset(field.name for field in self.fields)
        self._extra = extra

    def __call__(
        self,
        table: Any,
        max_errors: int | None = None,
        values: Mapping[str, Sequence[Any]] | None = None,
        absent: Collection[str] = (),
    ) -> tuple[Any, RowErrors]:
        """Coerce every column.

        Args:
            table: a `pyarrow.RecordBatch` or `Table` of `n` rows.
            max_errors: the most errors that are built; the others are counted. `None` builds at most `MAX_ROW_ERRORS`
                of each row.
            values: columns of Python values, in the place of the table's columns of these names.
            absent: the nullable fields whose column may be absent: they are missing in every row.

        Returns:
            A `pyarrow.RecordBatch` of `n` rows with the canonical types, null where a value is invalid; and the errors,
            ordered by row.

        Raises:
            TableError: a field has no column and is not in `absent`, a column is no field and may not be, or a table
                of no rows has a column whose type fits no value of its field.
            DecodeError: two columns have the name of one field, or a column would decode to more than
                `MAX_DECODED_BYTES`.
        """
        names = table.schema.names
        known = set(names)
        if len(known) != len(names):
            duplicate = first_duplicate(name for name in names if name in self._names)
            if duplicate is not None:
                raise DecodeError(f"the table has the column {shorten(duplicate)} twice")
        if absent or not self._names <= known or (self._extra == "forbid" and len(known) > len(self._names)):
            check_columns(self.fields, names, self._extra, absent)
        if not table.num_rows:
            self._check_types(table, values or {})
        faults: list[_Faults] = []
        arrays = []
        for column in self._columns:
            name = column.field.name
            if values and name in values:
                coerced, column_faults = column.of_values(values[name])
            elif name in known:
                coerced, column_faults = column(_single_array(table.column(name)))
            else:
                coerced, column_faults = pa.nulls(table.num_rows, column.type), []
            arrays.append(coerced)
            faults.extend(column_faults)
        # Without the schema's nullability: an invalid value is null even where its field is not nullable.
        coerced = pa.RecordBatch.from_arrays(arrays, names=list(self.schema.names))
        return coerced, _build_errors([fault for fault in faults if fault.size], max_errors)

    def _check_types(self, table: Any, values: Mapping[str, Sequence[Any]]) -> None:
        """Check the types of a table of no rows, where no value can be at fault; raise `TableError`."""
        types = {field.name: field.type for field in table.schema if field.name in self._names - values.keys()}
        errors = [
            ColumnError(None, field.name, "type", field.expected, f"a column of {types[field.name]}")
            for field in self.fields
            if field.name in types
            and not pa.types.is_null(types[field.name])
            and not can_hold(types[field.name], field)
        ]
        if errors:
            raise TableError(errors)


def _build_errors(faults: Sequence[_Faults], max_errors: int | None) -> RowErrors:
    """Return the errors, ordered by row and then by column: `max_errors` of all, or `MAX_ROW_ERRORS` of each row."""
    if not faults:
        return RowErrors()
    total = sum(fault.size for fault in faults)
    at_fault = None
    for fault in faults:
        if fault.mask is None:
            rows = fault.size
            break
        at_fault = fault.mask if at_fault is None else pc.or_(at_fault, fault.mask)
    else:
        rows = pc.sum(at_fault).as_py()
    # Two entries of one row compare by the order of their columns, which differs: errors themselves never compare.
    ordered = merge(*(_ordered(fault, order) for order, fault in enumerate(faults)))
    errors = RowErrors(total=total, rows=rows)
    last_row, of_last_row = -1, 0
    for row, order in islice(ordered, max_errors):
        of_last_row = of_last_row + 1 if row == last_row else 1
        last_row = row
        if of_last_row <= MAX_ROW_ERRORS:
            errors.append(faults[order].build(row))
    return errors


def _ordered(fault: _Faults, order: int) -> Iterator[tuple[int, int]]:
    for row in fault.rows():
        yield row, order


class _Column:
    """Coerce the arrays of one field."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.type = arrow_type(field)
        self._coerce: Coerce = coercer(field)
        is_closed = field.categories is not None and not field.open
        self._categories = pa.array(field.categories, type=self.type) if is_closed else None

    def __call__(self, array: Any) -> tuple[Any, list[_Faults]]:
        array = _unwrap(array)
        faults = []
        if array.null_count and not self.field.nullable:
            mask = None if array.null_count == len(array) else array.is_null()
            faults.append(_Faults(mask, array.null_count, self._missing("null")))
        coerced = self._coerce_array(array)
        if coerced is None:
            coerced, mask = self._coerce_values(array)
            count = pc.sum(mask).as_py() or 0
            faults.append(_Faults(mask, count, lambda row: self._mismatch(array, row)))
        return coerced, faults

    def of_values(self, values: Sequence[Any]) -> tuple[Any, list[_Faults]]:
        """Coerce Python values."""
        array, is_wrong = self._coerce_python_values([values], len(values))
        faults = [_Faults(is_wrong, pc.sum(is_wrong).as_py() or 0, lambda row: self._wrong(row, values[row]))]
        if not self.field.nullable:
            is_null = pc.and_(array.is_null(), pc.invert(is_wrong))
            faults.append(_Faults(is_null, pc.sum(is_null).as_py() or 0, self._missing("null")))
        return array, faults

    def _wrong(self, row: int, value: Any) -> RowError:
        """Return the error of a row whose value does not fit the field."""
        mismatch = value
        if not isinstance(value, Mismatch):
            try:
                self._coerce(value)
            except Mismatch as error:
                mismatch = error
        return RowError(row, self.field.name, mismatch.code, mismatch.expected, mismatch.got)

    def _missing(self, got: str) -> Callable[[int], RowError]:
        return lambda row: RowError(row, self.field.name, "missing", self.field.expected, got)

    def _mismatch(self, array: Any, row: int) -> RowError:
        """Return the error of a row whose value does not fit the field."""
        mismatch = self._wrong_length(array, row)
        return self._wrong(row, mismatch or next(iter(_python_values(array.slice(row, 1), self.field))))

    def _wrong_length(self, array: Any, row: int) -> Mismatch | None:
        """Return what is wrong with a row's list where it is no tensor of the shape, or a very long one.

        It is not unfolded for that: a few bytes can hold a list of a billion elements.
        """
        if not _is_list(array.type):
            return None
        length = len(array[row])
        if self.field.shape and length != self.field.shape[0]:
            return Mismatch("shape", self.field.expected, f"{length} elements in dimension 0")
        leaves = _count_leaves(array.slice(row, 1))
        if leaves <= max(MAX_SHOWN_LEAVES, math.prod(self.field.shape)):
            return None
        if self.field.shape:
            return Mismatch("shape", self.field.expected, f"{leaves} elements in all")
        return Mismatch("type", self.field.expected, f"a list of {length} elements")

    def _coerce_array(self, array: Any) -> Any | None:
        """Return the coerced array; `None` where a value is invalid or Arrow alone cannot convert the array."""
        if array.null_count == len(array):
            return pa.nulls(len(array), self.type)
        if self.field.shape:
            return array if array.type == self.type and _has_no_null_elements(array) else None
        coerced = self._coerce_scalars(array)
        if coerced is not None and self._categories is not None:
            values = pc.add(coerced, 0.0) if self.field.dtype in FLOATS else coerced  # Arrow tells -0.0 from 0.0
            is_category = pc.is_in(values, value_set=self._categories)
            if not pc.all(pc.or_(is_category, coerced.is_null(nan_is_null=self.field.nullable))).as_py():
                return None
        return coerced

    def _coerce_scalars(self, array: Any) -> Any | None:
        data_type, dtype = array.type, self.field.dtype
        if dtype == "bool":
            return array if pa.types.is_boolean(data_type) else None
        if dtype in INTEGERS:
            return integers(array, self.type)
        if dtype in FLOATS:
            return floats(array, self.type)
        if dtype == "string":
            return array.cast(pa.string()) if _is_text(data_type) else None
        if dtype == "binary":
            return array.cast(pa.binary()) if _is_bytes(data_type) else None
        if dtype == "date":
            return dates(array)
        return timestamps(array, self.field)

    def _coerce_values(self, array: Any) -> tuple[Any, Any]:
        """Coerce value by value; return the array, null where a value is invalid, and a mask of the rows at fault."""
        if pa.types.is_union(array.type):  # it has no nulls of its own: those of its members fit no field either
            return pa.nulls(len(array), self.type), pa.repeat(pa.scalar(True), len(array))
        if _has_no_value_for_rows(array.type):
            return pa.nulls(len(array), self.type), array.is_valid()
        if _is_list(array.type) and not self.field.shape:
            return pa.nulls(len(array), self.type), array.is_valid()
        if self.field.dtype in _NUMBERS and not self.field.shape and _is_text(array.type):
            return self._coerce_texts_of_numbers(array)
        distinct = _distinct_values(array)
        if distinct is not None:
            coerced, is_wrong = self._coerce_one_by_one(distinct.dictionary)
            mask = is_wrong.take(distinct.indices)
            return coerced.take(distinct.indices), mask.fill_null(False)
        if _is_list(array.type):
            fits = self._fitting_lists(array)
            if not pc.all(fits).as_py():
                indices = pc.indices_nonzero(fits)
                coerced, is_wrong = self._coerce_one_by_one(array.take(indices))
                positions = pc.subtract(pc.cumulative_sum(fits.cast(pa.int64())), 1)
                positions = pc.if_else(fits, positions, None)
                return coerced.take(positions), is_wrong.take(positions).fill_null(True)
        return self._coerce_one_by_one(array)

    def _coerce_texts_of_numbers(self, array: Any) -> tuple[Any, Any]:
        """Coerce text where numbers are due, as `_coerce_values` does: the names of three floats fit a float field."""
        coerced = pa.nulls(len(array), self.type)
        is_wrong = array.is_valid()
        for name, number in NON_FINITE.items() if self.field.dtype in FLOATS else ():
            is_number = pc.equal(array, pa.scalar(name, array.type)).fill_null(False)
            coerced = pc.if_else(is_number, pa.scalar(number, self.type), coerced)
            is_wrong = pc.and_(is_wrong, pc.invert(is_number))
        return coerced, is_wrong

    def _fitting_lists(self, array: Any) -> Any:
        """Return which rows of a column of lists are null, or of the right length and not very long: a mask."""
        fits = pc.equal(pc.list_value_length(array), self.field.shape[0]).fill_null(True)
        most = max(MAX_SHOWN_LEAVES, math.prod(self.field.shape))
        if not _is_list(array.type.value_type):
            return fits  # the lengths of the lists are those of the rows
        are_short = [_count_leaves(array.slice(row, 1)) <= most for row in range(len(array))]
        return pc.and_(fits, pa.array(are_short, pa.bool_()))

    def _coerce_one_by_one(self, array: Any) -> tuple[Any, Any]:
        slices = (array.slice(start, VALUES_AT_ONCE) for start in range(0, len(array), VALUES_AT_ONCE))
        return self._coerce_python_values((_python_values(part, self.field) for part in slices), len(array))

    def _coerce_python_values(self, pieces: Iterable[Iterable[Any]], length: int) -> tuple[Any, Any]:
        """Coerce plain values that come in pieces; return the array, null where one is invalid, and a mask of these."""
        arrays: list[Any] = []
        flags = bytearray(length)
        row = -1
        for values in pieces:
            coerced: list[Any] = []
            for value in values:
                row += 1
                if is_missing(value):
                    coerced.append(None)
                    continue
                try:
                    if isinstance(value, Mismatch):
                        raise value
                    coerced.append(self._coerce(value))
                except Mismatch:
                    coerced.append(None)
                    flags[row] = 1
            arrays.append(pa.array(coerced, type=self.type))
        mask = pa.Array.from_buffers(pa.uint8(), length, [None, pa.py_buffer(flags)]).cast(pa.bool_())
        return pa.concat_arrays(arrays) if arrays else pa.nulls(0, self.type), mask


def _count_leaves(array: Any) -> int:
    """Return the number of elements of an array's lists, and of the lists in them."""
    while _is_list(array.type):
        array = array.flatten()
    return len(array)


def _distinct_values(array: Any) -> Any | None:
    """Return the array as a dictionary of its distinct values, `None` where its type has no such form.

    Each of them is coerced once, however many rows have it: a few bytes can hold one value a million times.
    """
    if pa.types.is_nested(array.type) or len(array) < MIN_DISTINCT_ROWS:
        return None
    try:
        return array.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def _single_array(column: Any) -> Any:
    if not isinstance(column, pa.ChunkedArray):
        return column
    # Most columns have one chunk, which `combine_chunks` would copy.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _unwrap(array: Any) -> Any:
    """Return the array without extension types, dictionaries and runs: they only change how values are stored."""
    if array.type.id in NUMBER_IDS:
        return array
    if isinstance(array, pa.FixedShapeTensorArray):
        array = _nested_lists(array)
    elif isinstance(array, pa.ExtensionArray):
        array = array.storage
    while pa.types.is_dictionary(array.type) or pa.types.is_run_end_encoded(array.type):
        check_decoded_size(array)
        if pa.types.is_dictionary(array.type) and (large := _LARGE_TYPES.get(array.type.value_type)):
            array = array.cast(pa.dictionary(array.type.index_type, large))
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else pc.run_end_decode(array)
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        check_decoded_size(array)
    return array


def _nested_lists(array: Any) -> Any:
    """Convert an array of Arrow's fixed-shape tensors, which are stored flat, to nested fixed-size lists."""
    present = array.drop_null()
    if array.type.permutation is not None and len(present):
        lists, shape = pa.array(present.to_numpy_ndarray().ravel()), present.to_numpy_ndarray().shape[1:]
    else:
        lists, shape = present.storage.flatten(), array.type.shape
    for size in reversed(shape):
        lists = pa.FixedSizeListArray.from_arrays(lists, size)
    if len(present) == len(array):
        return lists
    next_index = iter(range(len(present)))
    indices = [next(next_index) if is_valid else None for is_valid in array.is_valid().to_pylist()]
    return lists.take(pa.array(indices, pa.int64()))


def _has_no_null_elements(array: Any) -> bool:
    """Return whether no element of a nested fixed-size list is null; null rows do not count."""
    while pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            array = array.drop_null()
        array = array.flatten()
    return bool(array.null_count == 0)


def _is_text(data_type: Any) -> bool:
    return bool(
        pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    )


def _is_bytes(data_type: Any) -> bool:
    return bool(
        pa.types.is_binary(data_type)
        or pa.types.is_large_binary(data_type)
        or pa.types.is_fixed_size_binary(data_type)
        or pa.types.is_binary_view(data_type)
    )


def _python_values(array: Any, field: Field) -> Iterable[Any]:
    """Return the array's values as plain Python values for the row coercer; a `Mismatch` where Python has none."""
    data_type = array.type
    if pa.types.is_timestamp(data_type):
        return _python_timestamps(array, field)
    if pa.types.is_date(data_type):
        return _python_dates(array, field)
    if not _has_no_value_for_rows(data_type):
        values: list[Any] = array.to_pylist()
        return values
    mismatch = Mismatch("type", field.expected, f"a value of the Arrow type {shorten(str(data_type))}")
    is_union = pa.types.is_union(data_type)
    return [mismatch if is_valid or is_union else None for is_valid in array.is_valid().to_pylist()]


def _has_no_value_for_rows(data_type: Any) -> bool:
    """Return whether no value of an Arrow type can fit any field: none of them becomes a Python value."""
    if pa.types.is_timestamp(data_type) or pa.types.is_date(data_type):
        return False
    leaf = data_type
    while _is_list(leaf):
        leaf = leaf.value_type
    is_number = pa.types.is_primitive(leaf) and not pa.types.is_temporal(leaf)
    return not (is_number or pa.types.is_decimal(leaf) or _is_text(leaf) or _is_bytes(leaf))


def _is_list(data_type: Any) -> bool:
    """Return whether the type is a list, of any length or of a fixed one, as tensors come."""
    return bool(
        pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type)
    )


def _python_dates(array: Any, field: Field) -> Iterable[Any]:
    # Arrow's date64 counts milliseconds, and Arrow does not check that they are whole days.
    has_milliseconds = pa.types.is_date64(array.type)
    for count in array.cast(pa.int64() if has_milliseconds else pa.int32()).to_pylist():
        if count is None:
            yield None
            continue
        days, remainder = divmod(count, DAY_MS) if has_milliseconds else (count, 0)
        got = f"the date {count} {'ms' if has_milliseconds else 'days'} from 1970-01-01"
        if DAY_RANGE[0] <= days <= DAY_RANGE[1] and not remainder:
            yield date(1970, 1, 1) + timedelta(days=days)
        elif field.dtype != "date":
            yield Mismatch("type", field.expected, got)
        elif not DAY_RANGE[0] <= days <= DAY_RANGE[1]:
            yield Mismatch("range", field.expected, got)
        else:
            yield Mismatch("precision", f"{field.expected}, in whole days", got)


def _python_timestamps(array: Any, field: Field) -> Iterable[Any]:
    unit = array.type.unit
    unit_ns = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[unit]
    epoch = _EPOCH if array.type.tz is None else _EPOCH.replace(tzinfo=UTC)
    for count in array.cast(pa.int64()).to_pylist():
        if count is None:
            yield None
            continue
        microseconds, remainder = divmod(count * unit_ns, 1000)
        got = f"the timestamp {count} {unit} from 1970-01-01"
        if field.dtype != "timestamp":
            yield Mismatch("type", field.expected, got)
        elif remainder:
            yield Mismatch("precision", f"{field.expected}, in whole microseconds", got)
        elif not MICROSECOND_RANGE[0] <= microseconds <= MICROSECOND_RANGE[1]:
            yield Mismatch("range", f"{field.expected}, within the years 1 to 9999", got)
        else:
            yield epoch + timedelta(microseconds=microseconds)
