"""Convert the containers that a caller or a training script holds to canonical tables and back, one file a container.

`pandas`, `polars`, `arrow`, `numpy` and `rows` have the same verbs; the functions here find the container's file by the
type's module, so no library is imported before an object of it is there, or a package's form asks for it.

    infer    a training table              -> the fields of a signature's inputs
    form     a training table              -> JSON: how exactly the model saw its inputs
    build    a form and a canonical batch  -> the container again, as in training
    read     a caller's table              -> canonical columns (or rows), and what does not fit
    write    canonical outputs             -> the kind that came in
    length, take                           -> for whoever packs or splits a table
    of_file, of_arrow                      -> a training table from a file
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from fourfold.errors import InputError, MissingLibrary, RowError, SignatureError, shorten
from fourfold.signature.field import Field

__all__ = [
    "KINDS",
    "build",
    "builder",
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

#: The containers, in the order in which they are tried.
KINDS = ("pandas", "polars", "numpy", "arrow", "rows")

_CLASSES = {("pandas", "DataFrame"): "pandas", ("polars", "DataFrame"): "polars", ("numpy", "ndarray"): "numpy"}
_EXPECTED = "a pandas or polars DataFrame, an Arrow table, a NumPy array of shape (rows, columns) or a list of dicts"


def kind_of(data: object) -> str | None:
    """Return the kind of a container, one of `KINDS`, or `None` if it is none; nothing is imported to tell.

    Any object with the Arrow C interface (`__arrow_c_stream__` or `__arrow_c_array__`) is `arrow`; a list or tuple is
    `rows`, whatever it holds.
    """
    roots = set()
    for base in type(data).__mro__:
        root = base.__module__.partition(".")[0]
        roots.add(root)
        kind = _CLASSES.get((root, base.__name__))
        if kind is not None:
            return kind
    if roots & {"pandas", "polars"}:  # a Series, a LazyFrame: some of them are Arrow streams too, but of no table
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
        SignatureError: a column has no dtype of a field, or values of two types, or no value at all; it names the
            column and says what to do.
        MissingLibrary: a library that the container needs is not installed.
    """
    fields: tuple[Field, ...] = _room_for_training(data).infer(data)
    return fields


def form(data: Any) -> dict[str, Any]:
    """Return how exactly a model sees its inputs: the container, its dtypes, labels, order and forms of missing values.

    Args:
        data: the table that the model is trained with.

    Returns:
        JSON values, for `build` and `builder`.

    Raises:
        SignatureError: the table holds something that could not be built again.
        MissingLibrary: a library that the container needs is not installed.
    """
    out: dict[str, Any] = _room_for_training(data).form(data)
    return out


def builder(form: Mapping[str, Any], fields: Sequence[Field]) -> Callable[[Any], Any]:
    """Return the function that builds the container of a form from canonical batches: make it once, call it many times.

    Args:
        form: what `form` gave.
        fields: the signature's inputs, one for each column of the form, in its order.

    Returns:
        A function of a `pyarrow.RecordBatch` of the canonical schema of `fields`; it gives the container with the
        dtypes, labels, order and forms of missing values of the form. Safe to call from any number of threads. It
        raises `EngineError` where a timestamp is too far off, or too fine, for the unit that training had.

    Raises:
        SignatureError: a field can hold values that its column cannot, or the form is not one.
        MissingLibrary: the library of the container is not installed.
    """
    kind = form.get("container")
    if kind not in KINDS:
        raise SignatureError(f"expected the form of one of {', '.join(KINDS)}; got {shorten(kind)}")
    out: Callable[[Any], Any] = _room(kind, f"a model trained on {kind}").builder(form, tuple(fields))
    return out


def build(form: Mapping[str, Any], fields: Sequence[Field], batch: Any) -> Any:
    """Return the container of a form from one canonical batch; raises as `builder` and its function do."""
    return builder(form, fields)(batch)


def read(
    data: Any, fields: Sequence[Field], extra: Literal["forbid", "ignore"] = "forbid"
) -> tuple[Any, list[RowError]]:
    """Convert a caller's table to canonical columns, or rows, by the coercion table.

    Args:
        data: a container of any kind, of `n` rows.
        fields: the signature's inputs.
        extra: `forbid` makes a column that is no field an error, `ignore` drops it.

    Returns:
        A `pyarrow.RecordBatch` of `n` rows, null where a value is at fault; for a list of dicts, a list of `n`
        canonical rows, `None` where a row is at fault. And every error, by row.

    Raises:
        InputError: this is no table, or an array has another number of columns than there are fields.
        DecodeError: a column is there twice.
        MissingLibrary: a library that the container needs is not installed.
    """
    table, errors = _room_of(data).read(data, tuple(fields), extra)
    return table, errors


def write(like: Any, outputs: Any, kept: Sequence[int] | None = None) -> Any:
    """Canonical outputs in the kind of the table that came in.

    Args:
        like: the table that came in.
        outputs: a `pyarrow.RecordBatch`; for a list of dicts, canonical rows do as well.
        kept: the rows of `like` that the outputs belong to, where these are not all of them.

    Returns:
        pandas: a frame with the index of `like`, of NumPy dtypes, nullable ones where a value is missing.
        polars: a frame. Arrow: a `RecordBatch` for a `RecordBatch`, a `Table` otherwise. NumPy: one array where there
        is one output, else a dict of them by name. Rows: a list of dicts.

    Raises:
        InputError: `like` is no table.
    """
    return _room_of(like).write(like, outputs, kept)


def of_file(path: Path) -> Any:
    """Return a Parquet, CSV, JSON lines or Arrow file as a pandas frame, read by pandas.

    Raises:
        SourceError: the file cannot be read, or pandas reads no files of its suffix.
        MissingLibrary: pandas is not installed.
    """
    return _room("pandas", "a file of training rows").from_file(path)


def of_arrow(kind: Literal["polars", "numpy"], table: Any) -> Any:
    """Return an Arrow table as a container of that kind; raises `MissingLibrary` where its library is not installed."""
    return _room(kind, f"a table of {kind}").of_arrow(table)


def length(data: Any) -> int:
    """Return the number of rows; raises `InputError` where this is no table, or one that can be read only once."""
    rows: int = _room_of(data).length(data)
    return rows


def take(data: Any, indices: Sequence[int]) -> Any:
    """Return the rows with these indices, in a container that has the same `form`.

    Raises:
        InputError: this is no table, or one that can be read only once.
    """
    return _room_of(data).take(data, indices)


def _room_for_training(data: Any) -> ModuleType:
    kind = kind_of(data)
    if kind is None:
        raise SignatureError(f"expected {_EXPECTED}; got {_described(data)}")
    return _room(kind, f"a table of {kind}")


def _room_of(data: Any) -> ModuleType:
    kind = kind_of(data)
    if kind is None:
        raise InputError([RowError(0, None, "type", _EXPECTED, _described(data))])
    return _room(kind, f"a table of {kind}")


def _described(data: Any) -> str:
    if isinstance(data, Mapping):
        return f"a {type(data).__name__} (one row is a list of one dict)"
    if type(data).__name__ == "LazyFrame":
        return "a LazyFrame (collect() it first)"
    if type(data).__name__ == "Series":
        return "a Series (its to_frame() is a table)"
    return f"a {type(data).__module__}.{type(data).__qualname__}"


def _room(kind: str, purpose: str) -> ModuleType:
    try:
        return import_module(f"fourfold.tables.{kind}")
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("numpy", "pandas", "polars", "pyarrow"):
            raise
        extra = "arrow" if library == "pyarrow" else library
        raise MissingLibrary(library, extra=extra, purpose=purpose) from error
