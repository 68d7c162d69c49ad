"""Convert tables of pandas, polars, Arrow, NumPy and plain rows (the containers) to canonical tables and back.

Each container has a module: `pandas`, `polars`, `arrow`, `numpy` and `rows` have the same functions. The functions here
choose the module by the type of the object, so no library is imported before it is needed.

    infer    a training table              -> the input fields of a signature
    form     a training table              -> JSON: the container, dtypes, labels, memory order and missing values
    build    a form and a canonical batch  -> the container again, as in training
    read     a caller's table              -> canonical columns (or rows), and the errors
    write    canonical outputs             -> a table of the caller's container
    length   a table                       -> its number of rows
    take     a table and indices           -> some of its rows
    of_file, of_arrow                      -> a training table from a file
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from fourfold.errors import InputError, RowError, RowErrors, SignatureError, naming_missing_library, shorten
from fourfold.signature.field import Extra, Field
from fourfold.signature.label_columns import LabelColumns

__all__ = [
    "KINDS",
    "array_of",
    "as_array",
    "build",
    "builder",
    "columns_of",
    "form",
    "infer",
    "kind_of",
    "length",
    "of_arrow",
    "of_file",
    "read",
    "take",
    "write",
]

#: The containers.
KINDS = ("pandas", "polars", "numpy", "arrow", "rows")
#: Those that hold outputs with labels as one column for each label.
_FRAMES = ("pandas", "polars")

_CLASSES = {("pandas", "DataFrame"): "pandas", ("polars", "DataFrame"): "polars", ("numpy", "ndarray"): "numpy"}
_EXPECTED = "a pandas or polars DataFrame, an Arrow table, a NumPy array of shape (rows, columns) or a list of dicts"


def kind_of(data: object) -> str | None:
    """Return the container that an object is, one of `KINDS`, or `None` if it is none; import nothing to find out.

    Any object with the Arrow C interface (`__arrow_c_stream__` or `__arrow_c_array__`) is `arrow`; a list or tuple is
    `rows`, whatever its elements are.
    """
    roots = set()
    for base in type(data).__mro__:
        root = base.__module__.partition(".")[0]
        roots.add(root)
        kind = _CLASSES.get((root, base.__name__))
        if kind is not None:
            return kind
    if roots & {"pandas", "polars"}:  # a Series or LazyFrame: some have the Arrow C interface, but none is a table
        return None
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return "arrow"
    return "rows" if isinstance(data, (list, tuple)) else None


def infer(data: Any) -> tuple[Field, ...]:
    """Return the input fields of a signature, from the table that a model is trained with.

    A field is nullable where the table has a missing value (in a pandas or NumPy float column, NaN counts as one).

    Args:
        data: a container of any kind, with at least one row and one column.

    Returns:
        A field for every column, in their order.

    Raises:
        SignatureError: a column's type fits no field, its values have two types, or it has no value at all; the error
            names the column and says what to do.
        MissingLibrary: a library that the container needs is not installed.
    """
    data = as_array(data)
    fields: tuple[Field, ...] = _training_module(data).infer(data)
    return fields


def form(data: Any) -> dict[str, Any]:
    """Return the form of a training table: its container, dtypes, labels, memory order and kinds of missing values.

    Args:
        data: the table that the model is trained with.

    Returns:
        JSON values, for `build` and `builder`.

    Raises:
        SignatureError: the table holds something that could not be built again.
        MissingLibrary: a library that the container needs is not installed.
    """
    data = as_array(data)
    description: dict[str, Any] = _training_module(data).form(data)
    return description


def builder(form: Mapping[str, Any], fields: Sequence[Field]) -> Callable[[Any], Any]:
    """Return the function that builds a form's container from canonical batches: make it once, call it many times.

    Args:
        form: the result of `form`.
        fields: the signature's inputs, one for each column of the form, matched by name (NumPy: by position).

    Returns:
        A function that takes a `pyarrow.RecordBatch` of the canonical schema of `fields` and returns the container, as
        the form describes it. Any number of threads may call it. It raises `EngineError` where a timestamp is out of
        range, or too fine, for the unit of training.

    Raises:
        SignatureError: a field can hold values that its column cannot, or `form` is not a form.
        MissingLibrary: the library of the container is not installed.
    """
    kind = form.get("container")
    if kind not in KINDS:
        raise SignatureError(f"expected the form of one of {', '.join(KINDS)}; got {shorten(kind)}")
    build_container: Callable[[Any], Any] = _module(kind, f"a model trained on {kind}").builder(form, tuple(fields))
    return build_container


def build(form: Mapping[str, Any], fields: Sequence[Field], batch: Any) -> Any:
    """Build the container of a form from one canonical batch; raise as `builder` and its function do."""
    return builder(form, fields)(batch)


def read(
    data: Any,
    fields: Sequence[Field],
    extra: Extra = "forbid",
    max_errors: int | None = None,
    absent: Collection[str] = (),
) -> tuple[Any, RowErrors]:
    """Convert a caller's table to canonical columns, or rows, by the coercion table.

    Args:
        data: a container of any kind, of `n` rows.
        fields: the signature's inputs.
        extra: `forbid` makes a column that is no field an error, `ignore` drops it.
        max_errors: the most errors that are built; the others are counted. `None` builds at most a hundred of each row.
        absent: the nullable fields whose column may be absent: they are missing in every row.

    Returns:
        A `pyarrow.RecordBatch` of `n` rows, null where a value is invalid; for a list of dicts, a list of `n`
        canonical rows, `None` for each row that has an error. And the errors, ordered by row.

    Raises:
        InputError: `data` is no table, or an array has another number of columns than there are fields.
        TableError: a field has no column and is not in `absent`, or a column is no field and may not be.
        DecodeError: two columns have the name of one field.
        MissingLibrary: a library that the container needs is not installed.
    """
    data = as_array(data)
    table, errors = _module_of(data).read(data, tuple(fields), extra, max_errors, absent)
    return table, errors


def write(
    like: Any, outputs: Any, indices: Sequence[int] | None = None, *, label_columns: LabelColumns | None = None
) -> Any:
    """Convert canonical outputs to the container of the caller's table.

    Args:
        like: the caller's table.
        outputs: a `pyarrow.RecordBatch`; for a list of dicts, also canonical rows.
        indices: the rows of `like` that the outputs belong to; `None` for all of them.
        label_columns: what splits outputs with labels into columns of a frame; with `None` they are one of arrays.

    Returns:
        pandas: a frame with the index of `like`, of NumPy dtypes, or pandas' nullable dtypes where a value is missing.
        polars: a frame. Arrow: a `RecordBatch` for a `RecordBatch`, a `Table` otherwise. NumPy: an array for one
        output, a dict of arrays by name for several. Rows: a list of dicts.

    Raises:
        InputError: `like` is no table.
    """
    like = as_array(like)
    if label_columns is not None and kind_of(like) in _FRAMES:
        return _module_of(like).write(like, outputs, indices, label_columns)
    return _module_of(like).write(like, outputs, indices)


def of_file(path: Path, text: Sequence[str] = ()) -> Any:
    """Return a Parquet, CSV, JSON lines or Arrow file as a pandas frame, read by pandas.

    Args:
        path: the file.
        text: columns whose cells stay the text that they are in a CSV file, such as `00501`.

    Raises:
        SourceError: the file cannot be read, or pandas has no reader for its suffix.
        MissingLibrary: pandas is not installed.
    """
    return _module("pandas", "a file of training rows").from_file(path, text)


def of_arrow(kind: Literal["polars", "numpy"], table: Any) -> Any:
    """Convert an Arrow table to a container of that kind; raise `MissingLibrary` where its library is not installed."""
    return _module(kind, f"a table of {kind}").of_arrow(table)


def array_of(outputs: Any, field: Field) -> Any:
    """Return one output as a NumPy array of shape `(rows, *shape)`.

    Args:
        outputs: canonical outputs: a `pyarrow.RecordBatch`, or a list of rows.
        field: the output.

    Raises:
        MissingLibrary: NumPy or pyarrow is not installed.
    """
    return _module("numpy", "an array of answers").array_of(outputs, field)


def columns_of(frame: Any) -> ModuleType:
    """Return the module that changes the columns of such a frame: `pandas_columns` or `polars_columns`."""
    return import_module(f"fourfold.tables.{kind_of(frame)}_columns")


def length(data: Any) -> int:
    """Return the number of rows; raise `InputError` where `data` is no table, or one that can be read only once."""
    rows: int = _module_of(data).length(data)
    return rows


def take(data: Any, indices: Sequence[int]) -> Any:
    """Return the rows with these indices, in a container that has the same `form`.

    Raises:
        InputError: `data` is no table, or one that can be read only once.
    """
    data = as_array(data)
    return _module_of(data).take(data, indices)


def as_array(data: Any) -> Any:
    """Return a list of lists of numbers, and a `numpy.matrix`, as the array that they stand for; all else as it is.

    Raises:
        InputError: the lists differ in length.
    """
    if isinstance(data, (list, tuple)):
        if not data or type(data[0]) not in (list, tuple):
            return data
        lengths = {len(row) if type(row) in (list, tuple) else None for row in data}
        if len(lengths) > 1:
            got = f"rows of {', '.join(sorted(map(str, lengths)))} values".replace("None", "no")
            raise InputError([RowError(0, None, "shape", "lists of one length", got)])
        numpy = _module("numpy", "a list of lists")
        return numpy.of_lists(data)
    if type(data).__name__ == "matrix" and type(data).__module__.partition(".")[0] == "numpy":
        return data.A  # a matrix has two dimensions even where one column is taken
    return data


def _training_module(data: Any) -> ModuleType:
    kind = kind_of(data)
    if kind is None:
        raise SignatureError(f"expected {_EXPECTED}; got {_describe(data)}")
    return _module(kind, f"a table of {kind}")


def _module_of(data: Any) -> ModuleType:
    kind = kind_of(data)
    if kind is None:
        raise InputError([RowError(0, None, "type", _EXPECTED, _describe(data))])
    return _module(kind, f"a table of {kind}")


def _describe(data: Any) -> str:
    if isinstance(data, Mapping):
        return f"a {type(data).__name__} (one row is a list of one dict)"
    if isinstance(data, (str, Path)):
        return "a path or a text (read the file first, as pandas.read_parquet does)"
    if type(data).__name__ == "LazyFrame":
        return "a LazyFrame (collect() it first)"
    if type(data).__name__ == "Series":
        return "a Series (a row is for predict_one; of a column, to_frame() is a table)"
    return f"a {type(data).__module__}.{type(data).__qualname__}"


def _module(kind: str, purpose: str) -> ModuleType:
    with naming_missing_library(purpose, extra=None if kind == "rows" else kind):
        return import_module(f"fourfold.tables.{kind}")
