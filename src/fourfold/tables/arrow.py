"""Read and build Arrow tables: `pyarrow.Table`, `RecordBatch`, and any object with the Arrow C interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from fourfold.errors import EngineError, InputError, RowError, SignatureError, shorten
from fourfold.signature.columns import ColumnCoercer, arrow_type
from fourfold.signature.field import FLOATS, INTEGERS, Field
from fourfold.tables.types import dtype_of, type_from_json, type_to_json

__all__ = [
    "builder",
    "caster",
    "field_of",
    "form",
    "infer",
    "length",
    "one_array",
    "places",
    "read",
    "take",
    "write",
]

#: The years 1 to 9999 in microseconds from 1970: what Python, and so a row, can say.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999


def infer(data: Any) -> tuple[Field, ...]:
    """Return a field for every column; nullable where it holds a null."""
    table = _checked(data)
    return tuple(
        field_of(f"column {shorten(name)}", name, column, str(column.type))
        for name, column in zip(table.schema.names, table.columns, strict=True)
    )


def form(data: Any) -> dict[str, Any]:
    """Return the container, a batch or a table, and its schema."""
    table = _checked(data)
    columns = []
    for arrow_field in table.schema:
        name = arrow_field.name
        column = {"name": name, "type": type_to_json(f"column {shorten(name)}", arrow_field.type)}
        columns.append(column if arrow_field.nullable else {**column, "nullable": False})
    return {"container": "arrow", "batch": isinstance(table, pa.RecordBatch), "columns": columns}


def builder(form: Mapping[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], Any]:
    """Return the function from a canonical batch to a batch or table of the form's schema."""
    columns = form["columns"]
    types = [type_from_json(column["type"]) for column in columns]
    nullable = [column.get("nullable", True) for column in columns]
    order = places(fields, [column["name"] for column in columns])
    steps = [
        (index, caster(fields[index], kind, nullable=may))
        for index, kind, may in zip(order, types, nullable, strict=True)
    ]
    schema = pa.schema(
        [
            pa.field(column["name"], kind, nullable=may)
            for column, kind, may in zip(columns, types, nullable, strict=True)
        ]
    )
    container = pa.RecordBatch if form["batch"] else pa.Table

    def build(batch: Any) -> Any:
        return container.from_arrays([cast(batch.column(index)) for index, cast in steps], schema=schema)

    return build


def read(data: Any, fields: tuple[Field, ...], extra: Literal["forbid", "ignore"]) -> tuple[Any, list[RowError]]:
    """Coerce the columns; an object that streams batches is read to its end."""
    table = _table(data)
    if table is None:
        raise InputError([RowError(0, None, "type", "an Arrow table", _described(data))])
    return ColumnCoercer(fields, extra)(table)


def write(like: Any, outputs: Any, kept: Sequence[int] | None) -> Any:
    """Return the outputs as a batch where a batch came in, otherwise as a table."""
    return outputs if isinstance(like, pa.RecordBatch) else pa.Table.from_batches([outputs])


def length(data: Any) -> int:
    """Return the number of rows."""
    return int(_again(data).num_rows)


def take(data: Any, indices: Sequence[int]) -> Any:
    """Return the rows with these indices; an object of another library becomes a table."""
    table, wanted = _again(data), pa.array(indices, type=pa.int64())
    arrays = [_take(column, wanted) for column in table.columns]
    return type(table).from_arrays(arrays, schema=table.schema)


def field_of(where: str, name: str, array: Any, shown: str) -> Field:
    """Return the field of an Arrow column, nullable where it holds a null.

    Args:
        where: the column, in the words of an error.
        name: the field's name.
        array: the column, a `pyarrow.Array` or `ChunkedArray`.
        shown: the column's type, in the words of its container.

    Raises:
        SignatureError: no field holds such a type, or a timestamp is finer than a microsecond.
    """
    dtype, shape, zone = dtype_of(where, array.type, shown)
    if dtype == "timestamp":
        _check_instants(where, array)
    if pa.types.is_fixed_size_list(array.type):
        _check_whole(where, one_array(array))
    return Field(name, dtype, nullable=array.null_count > 0, shape=shape, zone=zone)


def one_array(column: Any) -> Any:
    """Return a column as one array; one chunk, the common case, is not copied."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def caster(field: Field, target: Any, *, nullable: bool) -> Callable[[Any], Any]:
    """Return the function from the field's canonical array to the Arrow type that the model's column has.

    Args:
        field: the field.
        target: the Arrow type.
        nullable: whether the column can say that a value is missing.

    Returns:
        A function of an array. It raises `EngineError` where a value is beyond what `target` can hold, which only
        timestamps and bytes of a fixed size can be.

    Raises:
        SignatureError: the field can hold values that the column cannot.
    """
    dtype, shape, zone = dtype_of(f"field {shorten(field.name)}", target, str(target))
    problem = _misfit(field, dtype, shape, zone, nullable=nullable)
    if problem:
        raise SignatureError(f"field {shorten(field.name)}: {problem}")
    if target == arrow_type(field):
        return _same
    if isinstance(target, pa.FixedShapeTensorType):
        return lambda array: _fixed_shape(array, target)
    if pa.types.is_dictionary(target):
        return lambda array: _encoded(array, target)
    return lambda array: _cast(array, target, field)


def places(fields: Sequence[Field], names: Sequence[str]) -> list[int]:
    """Return, for every column that the model was trained with, the index of its field in the signature's inputs.

    Raises:
        SignatureError: a column has no field, or a field no column.
    """
    by_name = {field.name: index for index, field in enumerate(fields)}
    for one, others, what in ((names, by_name, "no such input"), (by_name, set(names), "no such column")):
        lost = [name for name in one if name not in others]
        if lost:
            sides = f"the model was trained with {len(names)} columns, the signature has {len(fields)} inputs"
            raise SignatureError(f"{shorten(lost[0])}: there is {what}; {sides}")
    return [by_name[name] for name in names]


def _same(array: Any) -> Any:
    return array


def _misfit(field: Field, dtype: str, shape: tuple[int, ...], zone: str | None, *, nullable: bool) -> str | None:
    """Return why a field cannot fill a column of that dtype, or `None` where it can."""
    if field.nullable and not nullable:
        return f"it is nullable, but the model was trained with a column that cannot hold a missing {dtype}"
    if field.shape != shape:
        return f"its shape is {list(field.shape)}; the model was trained with {list(shape)}"
    if field.zone != zone:
        return f"its zone is {field.zone}; the model was trained with {zone}"
    if field.dtype == dtype or (field.dtype, dtype) == FLOATS:
        return None
    if field.dtype in INTEGERS:
        low, high = INTEGERS[field.dtype]
        # What a float holds exactly: 24 bits or 53 of them.
        bounds = {"float32": (-(2**24), 2**24), "float64": (-(2**53), 2**53), **INTEGERS}.get(dtype)
        if bounds and bounds[0] <= low and high <= bounds[1]:
            return None
    return f"it is {field.dtype}; the model was trained with {dtype}, which cannot hold all of its values"


def _cast(array: Any, target: Any, field: Field) -> Any:
    try:
        return array.cast(target)
    except pa.ArrowInvalid as error:
        at_fault = next((value for value in array if not _casts(value, target)), None)
        what = f"the values do not fit ({error})" if at_fault is None else f"{shorten(str(at_fault))} does not fit"
        raise EngineError(f"field {shorten(field.name)}: {what} {target}, which the model was trained with") from error


def _casts(value: Any, target: Any) -> bool:
    try:
        value.cast(target)
    except pa.ArrowInvalid:
        return False
    return True


def _encoded(array: Any, target: Any) -> Any:
    """Return a dictionary array; `cast` makes one only of text."""
    encoded = array.cast(target.value_type).dictionary_encode()
    try:
        indices = encoded.indices.cast(target.index_type)
    except pa.ArrowInvalid as error:
        values = len(encoded.dictionary)
        what = f"{values} values are more than {target}, which the model was trained with, can tell"
        raise EngineError(what) from error
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=target.ordered)


def _fixed_shape(array: Any, target: Any) -> Any:
    """Nested lists as Arrow's own tensors, which are stored flat."""
    inner = array
    while pa.types.is_fixed_size_list(inner.type):
        # Not `flatten`, which would drop the lists that are null and shift all that follow.
        size = inner.type.list_size
        inner = inner.values.slice(inner.offset * size, len(inner) * size)
    size = target.storage_type.list_size
    mask = array.is_null() if array.null_count else None
    storage = pa.FixedSizeListArray.from_arrays(inner.cast(target.value_type), size, mask=mask)
    return pa.ExtensionArray.from_storage(target, storage.cast(target.storage_type))


def _take(column: Any, wanted: Any) -> Any:
    # pyarrow cannot take from a view.
    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):
        plain = pa.large_string() if pa.types.is_string_view(column.type) else pa.large_binary()
        return column.cast(plain).take(wanted).cast(column.type)
    return column.take(wanted)


def _checked(data: Any) -> Any:
    table = None if isinstance(data, pa.RecordBatchReader) else _table(data)
    if table is None:
        raise SignatureError(f"expected an Arrow table; got {_described(data)}")
    names = table.schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SignatureError(f"the table has the column {shorten(twice)} twice; rename one of them")
    if not names or not table.num_rows:
        raise SignatureError(
            f"the table has {table.num_rows} rows and {len(names)} columns; infer a signature from the rows that the "
            "model is trained with"
        )
    return table


def _again(data: Any) -> Any:
    table = None if isinstance(data, pa.RecordBatchReader) else _table(data)
    if table is None:
        raise InputError([RowError(0, None, "type", "an Arrow table", _described(data))])
    return table


def _table(data: Any) -> Any | None:
    """Return the table that an object is or streams; `None` where what it streams are no rows of columns."""
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


def _described(data: Any) -> str:
    if isinstance(data, pa.RecordBatchReader):
        return "a RecordBatchReader, which can be read only once (its read_all() is a table)"
    return f"a {type(data).__module__}.{type(data).__qualname__}, which is no table of named columns"


def _check_instants(where: str, array: Any) -> None:
    unit = array.type.unit
    counts = array.cast(pa.int64())
    if unit == "ns":
        fine = pc.not_equal(pc.multiply(pc.divide(counts, 1000), 1000), counts)
        problem = "is finer than a microsecond; round the column to microseconds"
    else:
        per_unit = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
        # Python's floor division is the right bound on both sides: the first and the last whole unit of the years.
        fine = pc.or_(pc.less(counts, -(-_FIRST // per_unit)), pc.greater(counts, _LAST // per_unit))
        problem = "is outside the years 1 to 9999"
    row = pc.index(fine, True).as_py()
    if row >= 0:
        raise SignatureError(f"{where}: the timestamp in row {row} {problem}")


def _check_whole(where: str, array: Any) -> None:
    row = 0
    for row in range(len(array)) if _holes(array) else ():
        if array[row].is_valid and _holes(array.slice(row, 1)):
            raise SignatureError(
                f"{where}: the tensor in row {row} has a null element; only a whole tensor can be missing"
            )


def _holes(array: Any) -> bool:
    while pa.types.is_fixed_size_list(array.type):
        array = array.drop_null().flatten() if array.null_count else array.flatten()
    return bool(array.null_count)
