"""Read and build Arrow tables: `pyarrow.Table`, `RecordBatch`, and any object with the Arrow C interface."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import EngineError, InputError, RowError, RowErrors, SignatureError, shorten
from fourfold.signature.columns import ColumnCoercer, arrow_type
from fourfold.signature.field import FLOATS, INTEGERS, Extra, Field
from fourfold.tables.types import dtype_of, type_from_json, type_to_json

__all__ = [
    "builder",
    "caster",
    "field_indices",
    "field_of",
    "form",
    "infer",
    "length",
    "read",
    "single_array",
    "take",
    "write",
]

# The years 1 to 9999 in microseconds since 1970: Python's datetimes, and so rows, hold no others.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def infer(data: Any) -> tuple[Field, ...]:
    """Return a field for every column; nullable where it holds a null."""
    table = _training_table(data)
    return tuple(
        field_of(f"column {shorten(name)}", name, column, str(column.type))
        for name, column in zip(table.schema.names, table.columns, strict=True)
    )


def form(data: Any) -> dict[str, Any]:
    """Return the container, a batch or a table, and its schema."""
    table = _training_table(data)
    columns = []
    for arrow_field in table.schema:
        name = arrow_field.name
        column = {"name": name, "type": type_to_json(f"column {shorten(name)}", arrow_field.type)}
        columns.append(column if arrow_field.nullable else {**column, "nullable": False})
    return {"container": "arrow", "batch": isinstance(table, pa.RecordBatch), "columns": columns}


def builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], Any]:
    """Return the function that converts a canonical batch to a batch or table of the form's schema."""
    columns = form["columns"]
    types = [type_from_json(column["type"]) for column in columns]
    nullable = [column.get("nullable", True) for column in columns]
    order = field_indices(fields, [column["name"] for column in columns])
    steps = [
        (index, caster(fields[index], data_type, nullable=is_nullable))
        for index, data_type, is_nullable in zip(order, types, nullable, strict=True)
    ]
    schema = pa.schema(
        [
            pa.field(column["name"], data_type, nullable=is_nullable)
            for column, data_type, is_nullable in zip(columns, types, nullable, strict=True)
        ]
    )
    container = pa.RecordBatch if form["batch"] else pa.Table

    def build(batch: Any) -> Any:
        return container.from_arrays([cast(batch.column(index)) for index, cast in steps], schema=schema)

    return build


def read(
    data: Any,
    fields: tuple[Field, ...],
    extra: Extra,
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[Any, RowErrors]:
    """Coerce the columns; an object that streams batches is read to its end."""
    table = _to_table(data)
    if table is None:
        raise InputError([RowError(0, None, "type", "an Arrow table", _describe(data))])
    return ColumnCoercer(fields, extra)(table, max_errors, absent=absent)


def write(like: Any, outputs: Any, indices: Sequence[int] | None) -> Any:
    """Return the outputs as a batch if the caller's table is a batch, otherwise as a table."""
    return outputs if isinstance(like, pa.RecordBatch) else pa.Table.from_batches([outputs])


def length(data: Any) -> int:
    """Return the number of rows."""
    return int(_require_table(data).num_rows)


def take(data: Any, indices: Sequence[int]) -> Any:
    """Return the rows with these indices; an object of another library becomes a table."""
    table, index_array = _require_table(data), pa.array(indices, type=pa.int64())
    arrays = [_take(column, index_array) for column in table.columns]
    return type(table).from_arrays(arrays, schema=table.schema)


def field_of(where: str, name: str, array: Any, shown: str) -> Field:
    """Return the field of an Arrow column, nullable where it holds a null.

    Args:
        where: the column, as error messages name it.
        name: the field's name.
        array: the column, a `pyarrow.Array` or `ChunkedArray`.
        shown: the column's type, as its container names it.

    Raises:
        SignatureError: no field has the type, a timestamp is finer than a microsecond or outside the years 1 to 9999,
            or an element of a tensor is null.
    """
    dtype, shape, zone = dtype_of(where, array.type, shown)
    if dtype == "timestamp":
        _check_timestamps(where, array)
    if pa.types.is_fixed_size_list(array.type):
        _check_null_elements(where, single_array(array))
    return Field(name, dtype, nullable=array.null_count > 0, shape=shape, zone=zone)


def single_array(column: Any) -> Any:
    """Return a column as a single array; a column of one chunk, the common case, is not copied."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def caster(field: Field, target: Any, *, nullable: bool) -> Callable[[Any], Any]:
    """Return the function that converts a field's canonical array to the Arrow type of the model's column.

    Args:
        field: the field.
        target: the Arrow type.
        nullable: whether the column can hold missing values.

    Returns:
        A function of an array. It raises `EngineError` where `target` cannot hold a value; that happens only with
        timestamps, bytes of a fixed size, and dictionaries with more values than their indices can count.

    Raises:
        SignatureError: the field can hold values that the column cannot.
    """
    dtype, shape, zone = dtype_of(f"field {shorten(field.name)}", target, str(target))
    problem = _mismatch(field, dtype, shape, zone, nullable=nullable)
    if problem:
        raise SignatureError(f"field {shorten(field.name)}: {problem}")
    if target == arrow_type(field):
        return _identity
    if isinstance(target, pa.FixedShapeTensorType):
        return lambda array: _to_tensors(array, target)
    if pa.types.is_dictionary(target):
        return lambda array: _encode_dictionary(array, target)
    return lambda array: _cast(array, target, field)


def field_indices(fields: Sequence[Field], names: Sequence[str]) -> list[int]:
    """Return, for every column of training, the index of the signature's input with its name.

    Raises:
        SignatureError: a column has no field, or a field no column.
    """
    by_name = {field.name: index for index, field in enumerate(fields)}
    for side, others, problem in ((names, by_name, "no such input"), (by_name, set(names), "no such column")):
        unmatched = [name for name in side if name not in others]
        if unmatched:
            sides = f"the model was trained with {len(names)} columns, the signature has {len(fields)} inputs"
            raise SignatureError(f"{shorten(unmatched[0])}: there is {problem}; {sides}")
    return [by_name[name] for name in names]


def _identity(array: Any) -> Any:
    return array


def _mismatch(field: Field, dtype: str, shape: tuple[int, ...], zone: str | None, *, nullable: bool) -> str | None:
    """Return why a field cannot fill a column of that dtype; `None` where it can."""
    if field.nullable and not nullable:
        return f"it is nullable, but the model was trained with a column that cannot hold a missing {dtype}"
    if field.shape != shape:
        return f"its shape is {list(field.shape)}; the model was trained with {list(shape)}"
    if field.zone != zone:
        return f"its zone is {field.zone}; the model was trained with {zone}"
    if field.dtype == dtype or (field.dtype, dtype) == FLOATS:
        return None
    if field.nullable and dtype == "float64" and field.dtype in ("bool", *INTEGERS):
        return None  # a column that misses some of its integers is one of floats, and the model was given these
    if field.dtype in INTEGERS:
        low, high = INTEGERS[field.dtype]
        # A float32 holds integers of 24 bits exactly, a float64 integers of 53 bits.
        bounds = {"float32": (-(2**24), 2**24), "float64": (-(2**53), 2**53), **INTEGERS}.get(dtype)
        if bounds and bounds[0] <= low and high <= bounds[1]:
            return None
    return f"it is {field.dtype}; the model was trained with {dtype}, which cannot hold all of its values"


def _cast(array: Any, target: Any, field: Field) -> Any:
    if pa.types.is_float64(target) and not pa.types.is_floating(array.type):
        return array.cast(target, safe=False)  # rounded beyond 2^53, as a frame rounds integers with a gap
    try:
        return array.cast(target)
    except pa.ArrowInvalid as error:
        invalid = next((value for value in array if not _can_cast(value, target)), None)
        problem = f"the values do not fit ({error})" if invalid is None else f"{shorten(str(invalid))} does not fit"
        raise EngineError(
            f"field {shorten(field.name)}: {problem} {target}, which the model was trained with"
        ) from error


def _can_cast(value: Any, target: Any) -> bool:
    try:
        value.cast(target)
    except pa.ArrowInvalid:
        return False
    return True


def _encode_dictionary(array: Any, target: Any) -> Any:
    """Convert an array to a dictionary array; pyarrow's `cast` does so only for text."""
    encoded = array.cast(target.value_type).dictionary_encode()
    try:
        indices = encoded.indices.cast(target.index_type)
    except pa.ArrowInvalid as error:
        count = len(encoded.dictionary)
        problem = f"{count} values are more than {target}, which the model was trained with, can tell"
        raise EngineError(problem) from error
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=target.ordered)


def _to_tensors(array: Any, target: Any) -> Any:
    """Convert nested lists to Arrow's fixed-shape tensors, which are stored flat."""
    values = array
    while pa.types.is_fixed_size_list(values.type):
        # Not `flatten`: it drops null lists, which would shift all lists after them.
        size = values.type.list_size
        values = values.values.slice(values.offset * size, len(values) * size)
    size = target.storage_type.list_size
    mask = array.is_null() if array.null_count else None
    storage = pa.FixedSizeListArray.from_arrays(values.cast(target.value_type), size, mask=mask)
    return pa.ExtensionArray.from_storage(target, storage.cast(target.storage_type))


def _take(column: Any, indices: Any) -> Any:
    # pyarrow cannot take from a view.
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        large_type = pa.large_string() if pa.types.is_string_view(column.type) else pa.large_binary()
        return column.cast(large_type).take(indices).cast(column.type)
    return column.take(indices)


def _training_table(data: Any) -> Any:
    table = None if isinstance(data, pa.RecordBatchReader) else _to_table(data)
    if table is None:
        raise SignatureError(f"expected an Arrow table; got {_describe(data)}")
    names = table.schema.names
    if len(set(names)) != len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise SignatureError(f"the table has the column {shorten(duplicate)} twice; rename one of them")
    if not names or not table.num_rows:
        raise SignatureError(
            f"the table has {table.num_rows} rows and {len(names)} columns; infer a signature from the rows that the "
            "model is trained with"
        )
    return table


def _require_table(data: Any) -> Any:
    table = None if isinstance(data, pa.RecordBatchReader) else _to_table(data)
    if table is None:
        raise InputError([RowError(0, None, "type", "an Arrow table", _describe(data))])
    return table


def _to_table(data: Any) -> Any | None:
    """Return an object with the Arrow C interface as a table or batch; `None` where it holds no named columns."""
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        return data
    if isinstance(data, pa.RecordBatchReader):
        return data.read_all()
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(data).read_all()
        return pa.Table.from_batches([pa.record_batch(data)])
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        return None


def _describe(data: Any) -> str:
    if isinstance(data, pa.RecordBatchReader):
        return "a RecordBatchReader, which can be read only once (its read_all() is a table)"
    return f"a {type(data).__module__}.{type(data).__qualname__}, which is no table of named columns"


def _check_timestamps(where: str, array: Any) -> None:
    unit = array.type.unit
    counts = array.cast(pa.int64())
    if unit == "ns":
        is_invalid = pc.not_equal(pc.multiply(pc.divide(counts, 1000), 1000), counts)
        problem = "is finer than a microsecond; round the column to microseconds"
    else:
        unit_us = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
        # The first and the last whole unit within the years: `-(-a // b)` rounds up, `a // b` rounds down.
        is_invalid = pc.or_(pc.less(counts, -(-_FIRST_US // unit_us)), pc.greater(counts, _LAST_US // unit_us))
        problem = "is outside the years 1 to 9999"
    row = pc.index(is_invalid, True).as_py()
    if row >= 0:
        raise SignatureError(f"{where}: the timestamp in row {row} {problem}")


def _check_null_elements(where: str, array: Any) -> None:
    row = 0
    for row in range(len(array)) if _has_null_elements(array) else ():
        if array[row].is_valid and _has_null_elements(array.slice(row, 1)):
            raise SignatureError(
                f"{where}: the tensor in row {row} has a null element; only a whole tensor can be missing"
            )


def _has_null_elements(array: Any) -> bool:
    while pa.types.is_fixed_size_list(array.type):
        array = array.drop_null().flatten() if array.null_count else array.flatten()
    return bool(array.null_count)
