"""Python: a function, or an object with `predict`, together with the code that it is made of."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fourfold import tables
from fourfold.errors import EngineError, FourfoldError, PackError, SignatureError, TrustError, shorten
from fourfold.runtimes.answers import Array, array, describe, record_batch
from fourfold.runtimes.code import Code, collect, module_of
from fourfold.runtimes.detection import python as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.sample import Sample, study
from fourfold.runtimes.source_model import Carried
from fourfold.runtimes.threads import OneThread, one_thread
from fourfold.signature.bits import first_difference
from fourfold.signature.columns import arrow_schema, columns_to_rows, rows_to_columns
from fourfold.signature.field import Field, Signature
from fourfold.signature.rows import to_plain

__all__ = ["NAME", "claims", "load", "prepare"]

NAME = "python"
_STATE = "state.pickle"
_ALONE = "prediction"


def prepare(
    model: Any,
    sample: Any,
    *,
    inputs: tuple[Field, ...] | None = None,
    outputs: Sequence[Field] | None = None,
    code: Sequence[Any] = (),
) -> Prepared:
    """A function, or an object with `predict`, made ready for a package that carries its code.

    It is called with a table and gives one: a list of dicts for a list of dicts (or a list of values, one a row), or
    the sample's kind of container for any other (a frame, a Series, an array of a value or a tensor a row, a dict of
    arrays, or a list of values). Values that come without a name are the output `prediction`.

    Args:
        model: a function at the top of a module, or an object whose class is; its `predict` is called, or the object
            itself where it has none. Or a `Carried` one, whose code and state are files already.
        sample: rows as the model takes them, in the container that it takes.
        inputs: the fields that go in, where they shall not be inferred from the sample.
        outputs: the fields that go out, where they shall not be inferred from the answers: where one may be missing.
        code: Python files and folders of packages to carry besides the model's own module or package.

    Raises:
        PackError: its code cannot be carried, or it does not answer the sample, or answers otherwise once it is loaded.
        SignatureError: no inputs or outputs can be inferred.
    """
    seen = study(sample, inputs)
    call, settings, files = _ready(model) if isinstance(model, Carried) else _collected(model, code)
    settings = {"form": seen.form, **settings}
    expected = _expected(call, seen)
    fields = tuple(outputs) if outputs is not None else _fields(expected, seen.rows)
    engine = load(settings, files.__getitem__, Signature(seen.fields, fields), trust=True)
    _compare(expected, engine, seen, fields)
    engine.code.check_local()
    imported = {name.partition(".")[0] for name in engine.code.foreign}
    libraries = versions("numpy", "pyarrow", *imported, container=seen.form["container"])
    return Prepared(NAME, settings, files, seen.fields, fields, "code", libraries)


def _collected(model: Any, code: Sequence[Any]) -> tuple[Callable[[Any], Any], dict[str, Any], dict[str, bytes]]:
    """What is called, the settings, and the files of a model of this process."""
    target, owner, method = _target(model)
    files = collect([module_of(target)], code)
    settings = {"module": target.__module__, "name": target.__qualname__, "method": method, "code": list(files)}
    if owner is None:
        return model, settings, files
    return getattr(owner, method or "__call__"), settings, {**files, _STATE: _pickled(owner)}


def _ready(model: Carried) -> tuple[Callable[[Any], Any], dict[str, Any], dict[str, bytes]]:
    """The same of a model that is files already."""
    settings = {"module": model.module, "name": model.name, "method": "predict", "code": list(model.code)}
    return model.model.predict, settings, {**model.code, _STATE: model.state}


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> _Engine:
    """The function or object of a package.

    Raises:
        TrustError: the host has not allowed the package to run code.
        PackageError: its code fails, or needs a module that is not installed here.
        CorruptPackage: its code has not what the package names.
    """
    if not trust:
        raise TrustError(
            f"the package runs Python code of its maker ({shorten(settings['module'])}, "
            f"{shorten(settings['name'])}). A host "
            "that knows where the package comes from allows it: trust=True, or --trust on the command line"
        )
    code = Code({name: read(name) for name in settings["code"]})
    found = code.get(settings["module"], settings["name"])
    if settings["method"] is not None:
        found = getattr(code.unpickle(read(_STATE)), settings["method"])
    return _Engine(found, code, settings["form"], signature, one_thread())


class _Engine:
    """A function that answers: rows where it takes rows, otherwise columns."""

    def __init__(
        self, call: Callable[[Any], Any], code: Code, form: dict[str, Any], signature: Signature, guard: OneThread
    ) -> None:
        self.takes: Literal["rows", "columns"] = "rows" if form["container"] == "rows" else "columns"
        self.code = code
        self._call = call
        self._build = tables.builder(form, signature.inputs)
        self._outputs = signature.outputs
        self._guard = guard

    def predict(self, table: Any) -> Any:
        """Answer every row, in the form that came in: canonical rows, or a canonical record batch.

        Raises:
            EngineError: the function failed, or its answer does not fit the outputs.
        """
        data = self._build(table)
        try:
            with self._guard():
                answer = self._call(data)
        except Exception as error:  # the function may raise anything
            raise EngineError(f"the function failed: {type(error).__name__}: {error}") from error
        found = _canonical(answer, self._outputs, len(table))
        if self.takes == "columns":
            return found if not isinstance(found, list) else rows_to_columns(self._outputs, found)
        return found if isinstance(found, list) else columns_to_rows(self._outputs, found)


def _named(answer: Any) -> Any:
    """An answer as a frame, as rows, or as a dict of arrays of numbers."""
    if hasattr(answer, "to_frame") and not hasattr(answer, "columns"):
        answer = answer.to_frame(_ALONE)
    if tables.kind_of(answer) in ("pandas", "polars", "arrow"):
        return answer
    if isinstance(answer, np.ndarray) or hasattr(answer, "toarray"):
        answer = {_ALONE: answer}
    if isinstance(answer, Mapping):
        arrays = {str(name): array(each) for name, each in answer.items()}
        if all(each.ndim and each.dtype.kind in "biuf" for each in arrays.values()):
            return arrays
        # What else there is goes value by value: strings, moments, missing values.
        columns = [each.tolist() for each in arrays.values()]
        return [dict(zip(arrays, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(answer, (list, tuple)):
        raise EngineError(f"expected a table, an array or a list of answers; got a {type(answer).__name__}")
    rows = [each if isinstance(each, Mapping) else {_ALONE: each} for each in answer]
    return [{str(name): to_plain(value) for name, value in row.items()} for row in rows]


def _canonical(answer: Any, outputs: tuple[Field, ...], rows: int) -> Any:
    """An answer as canonical rows where it is a list, otherwise as a canonical record batch."""
    try:
        named = _named(answer)
        if isinstance(named, dict):
            return record_batch(outputs, _in_order(named, outputs), rows)
        table, errors = tables.read(named, outputs)
    except EngineError:
        raise
    except (FourfoldError, TypeError, ValueError) as error:
        raise EngineError(f"the function's answer is no table: {error}") from error
    if errors:
        raise EngineError(f"the function's answer does not fit the outputs: {errors[0]}")
    if len(table) != rows:
        raise EngineError(f"expected {rows} answers, one a row; got {len(table)}")
    # A coerced table does not say which of its fields may be missing; the outputs do.
    return table if isinstance(table, list) else pa.RecordBatch.from_arrays(table.columns, schema=arrow_schema(outputs))


def _in_order(arrays: dict[str, Array], outputs: tuple[Field, ...]) -> list[Array]:
    names = [field.name for field in outputs]
    if sorted(arrays) != sorted(names):
        raise EngineError(f"expected outputs {', '.join(names)}; got {', '.join(arrays)}")
    return [arrays[name] for name in names]


def _fields(answer: Any, rows: int) -> tuple[Field, ...]:
    """The outputs of an answer."""
    try:
        named = _named(answer)
        if isinstance(named, dict):
            return tuple(describe(name, each, rows) for name, each in named.items())
        return tables.infer(named)
    except (EngineError, SignatureError, TypeError, ValueError) as error:
        raise PackError(f"no outputs can be inferred from the function's answer: {error}") from error


def _target(model: Any) -> tuple[Any, Any, str | None]:
    """The function or class to find in its module, the object whose state is carried, and the method to call on it."""
    if isinstance(model, FunctionType):
        return model, None, None
    if isinstance(model, MethodType):
        owner = model.__self__
        return (model, None, None) if isinstance(owner, type) else (type(owner), owner, model.__name__)
    if type(model).__module__ in ("builtins", "functools"):
        raise PackError(
            f"a {type(model).__name__} has no source of its own: call it from a function in a module, and pack that"
        )
    if callable(getattr(model, "predict", None)):
        return type(model), model, "predict"
    if not callable(model):
        raise PackError(f"a {type(model).__name__} has no predict and cannot be called")
    return type(model), model, "__call__"


def _pickled(owner: Any) -> bytes:
    try:
        return pickle.dumps(owner, protocol=5)
    except Exception as error:  # whatever `__getstate__` of anybody's class raises
        raise PackError(f"the {type(owner).__name__} cannot be stored: {type(error).__name__}: {error}") from error


def _expected(call: Callable[[Any], Any], seen: Sample) -> Any:
    data = seen.data if seen.form["container"] != "rows" else seen.rebuilt()
    try:
        with one_thread()():
            return call(data)
    except Exception as error:  # the function may raise anything
        raise PackError(f"the function fails on the sample: {type(error).__name__}: {error}") from error


def _compare(expected: Any, engine: _Engine, seen: Sample, fields: tuple[Field, ...]) -> None:
    """Check that the function answers the same once it is loaded from what the package carries."""

    def rows(table: Any) -> list[dict[str, Any]]:
        return table if isinstance(table, list) else columns_to_rows(fields, table)

    batch = seen.canonical()
    try:
        wanted = rows(_canonical(expected, fields, seen.rows))
        got = rows(engine.predict(columns_to_rows(seen.fields, batch) if engine.takes == "rows" else batch))
    except EngineError as error:
        raise PackError(str(error)) from error
    apart = first_difference(wanted, got, [field.name for field in fields])
    if apart is not None:
        raise PackError(
            f"the function answers otherwise once it is loaded: row {apart.row}, {apart.field}: expected "
            f"{shorten(apart.expected)}, got {shorten(apart.got)}. A package is a function: same rows, same answer"
        )
