"""Run Python functions and objects with `predict`, stored together with their source code."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fourfold import tables
from fourfold.errors import (
    EngineError,
    FourfoldError,
    PackageError,
    PackError,
    SignatureError,
    describe,
    engine_failure,
    shorten,
)
from fourfold.runtimes.answers import Array, answer_array, output_field, record_batch
from fourfold.runtimes.code import PackageCode
from fourfold.runtimes.declared import Inputs
from fourfold.runtimes.distributions import Environment, record_distributions
from fourfold.runtimes.engine import Prepared, library_versions
from fourfold.runtimes.file_reads import refuse_file_reads
from fourfold.runtimes.sample import Sample, read_sample
from fourfold.runtimes.source_model import SourceModel
from fourfold.runtimes.sources import collect_files, defining_module, module_name
from fourfold.runtimes.threads import ThreadGuard, thread_guard
from fourfold.runtimes.unchanged import check_unchanged
from fourfold.signature.bits import first_difference
from fourfold.signature.columns import arrow_schema, columns_to_rows, rows_to_columns
from fourfold.signature.field import Field, Signature
from fourfold.signature.rows import to_plain

__all__ = ["NAME", "load", "prepare"]

NAME = "python"
_STATE_FILE = "state.pickle"
#: The output of values that come without a name.
_UNNAMED_OUTPUT = "prediction"


def prepare(
    model: Any,
    sample: Any,
    *,
    inputs: Inputs = None,
    outputs: Sequence[Field] | None = None,
    code: Sequence[Any] = (),
) -> Prepared:
    """Return what a package keeps of a function or an object with `predict`, its source code included.

    The model is called with a table, and returns one. For a list of dicts it returns a list of dicts or of values, one
    a row; for any other container a frame, a Series, an array of a value or a tensor a row, a dict of arrays, or a list
    of values. Values without a name become the output `prediction`.

    Args:
        model: a function at the top of a module, or an object whose class is; its `predict` is called, or the object
            itself where it has none. Or a `SourceModel`, whose code and state are files already.
        sample: rows as the model takes them, in the container that it takes.
        inputs: the input fields; inferred from the sample by default.
        outputs: the output fields; inferred from the answers by default, as fields that are never missing.
        code: Python files, and folders of packages, to carry besides the model's own module or package.

    Raises:
        PackError: the code cannot be carried, or the model does not answer the sample, or answers otherwise once it is
            loaded.
        SignatureError: no inputs or outputs can be inferred.
    """
    sample_rows = read_sample(sample, inputs)
    call, settings, files = _from_source_model(model) if isinstance(model, SourceModel) else _from_object(model, code)
    settings = {"form": sample_rows.form, **settings}
    expected = _original_answer(call, sample_rows)
    fields = tuple(outputs) if outputs is not None else _infer_outputs(expected, sample_rows.count)
    code_of_package = PackageCode({name: files[name] for name in settings["code"]})
    with refuse_file_reads(code_of_package.name, map(module_name, settings["code"])):
        try:
            engine = _load(settings, files.__getitem__, Signature(sample_rows.fields, fields), code_of_package)
            _compare(expected, engine, sample_rows, fields)
        except PackageError as error:
            raise PackError(f"the model cannot be loaded with the code that the package carries: {error}") from error
    settings |= {"versions": code_of_package.versions} if code_of_package.versions else {}
    imported = sorted(code_of_package.foreign_imports)
    distributions = record_distributions(imported, Environment())
    checked = {module for record in distributions.values() for module in record["modules"]}
    tops = {name.partition(".")[0] for name in {*imported} - checked}
    libraries = library_versions("numpy", "pyarrow", *tops, container=sample_rows.form["container"])
    return Prepared(NAME, settings, files, sample_rows.fields, fields, "code", libraries, distributions)


def _from_object(model: Any, code: Sequence[Any]) -> tuple[Callable[[Any], Any], dict[str, Any], dict[str, bytes]]:
    """Return the callable, the settings and the files of a model of this process."""
    target, owner, method = _target(model)
    files = collect_files([defining_module(target)], code)
    check_unchanged(files)
    settings = {"module": target.__module__, "name": target.__qualname__, "method": method, "code": list(files)}
    if owner is None:
        return model, settings, files
    return getattr(owner, method or "__call__"), settings, {**files, _STATE_FILE: _pickle(owner)}


def _from_source_model(model: SourceModel) -> tuple[Callable[[Any], Any], dict[str, Any], dict[str, bytes]]:
    """Return the callable, the settings and the files of a model that is files already."""
    settings = {"module": model.module, "name": model.name, "method": "predict", "code": list(model.code)}
    return model.model.predict, settings, {**model.code, _STATE_FILE: model.state}


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> _Engine:
    """Return the engine of a package.

    Raises:
        PackageError: its code fails, or needs a module that is not installed.
        CorruptPackage: its code lacks the function or class that the settings name.
    """
    code = PackageCode({name: read(name) for name in settings["code"]}, settings.get("versions"))
    return _load(settings, read, signature, code)


def _load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, code: PackageCode) -> _Engine:
    """Return the engine of a package whose code may run; raise as `load` does."""
    call = code.get(settings["module"], settings["name"])
    if settings["method"] is not None:
        call = getattr(code.unpickle(read(_STATE_FILE)), settings["method"])
    return _Engine(call, code, settings["form"], signature, thread_guard())


class _Engine:
    """Answer with a function: rows if it takes rows, otherwise columns."""

    def __init__(
        self,
        call: Callable[[Any], Any],
        code: PackageCode,
        form: dict[str, Any],
        signature: Signature,
        guard: ThreadGuard,
    ) -> None:
        self.takes: Literal["rows", "columns"] = "rows" if form["container"] == "rows" else "columns"
        self.code = code
        self._call = call
        self._build = tables.builder(form, signature.inputs)
        self._outputs = signature.outputs
        self._guard = guard

    def predict(self, table: Any) -> Any:
        """Return the answers to canonical rows or a canonical record batch, in the same form.

        Raises:
            EngineError: the function failed, or its answer does not fit the outputs.
        """
        data = self._build(table)
        try:
            with self._guard():
                answer = self._call(data)
        except Exception as error:  # the function may raise anything, our own errors too
            raise engine_failure(error, "the function failed") from error
        try:
            answers = _to_canonical(answer, self._outputs, len(table))
        except EngineError:
            raise
        except Exception as error:  # objects in the answer may be of the function's own classes
            raise engine_failure(error, "the function's answer cannot be read") from error
        if self.takes == "columns":
            return answers if not isinstance(answers, list) else rows_to_columns(self._outputs, answers)
        return answers if isinstance(answers, list) else columns_to_rows(self._outputs, answers)


def _add_names(answer: Any) -> Any:
    """Return an answer as a frame, as rows, or as a dict of arrays of numbers."""
    if hasattr(answer, "to_frame") and not hasattr(answer, "columns"):
        answer = answer.to_frame(_UNNAMED_OUTPUT)
    if tables.kind_of(answer) in ("pandas", "polars", "arrow"):
        return answer
    if isinstance(answer, np.ndarray) or hasattr(answer, "toarray"):
        answer = {_UNNAMED_OUTPUT: answer}
    if isinstance(answer, Mapping):
        arrays = {str(name): answer_array(value) for name, value in answer.items()}
        if all(array.ndim and array.dtype.kind in "biuf" for array in arrays.values()):
            return arrays
        # Strings, timestamps and missing values go value by value.
        columns = [array.tolist() for array in arrays.values()]
        return [dict(zip(arrays, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(answer, (list, tuple)):
        raise EngineError(f"expected a table, an array or a list of answers; got a {type(answer).__name__}")
    rows = [row if isinstance(row, Mapping) else {_UNNAMED_OUTPUT: row} for row in answer]
    return [{str(name): to_plain(value) for name, value in row.items()} for row in rows]


def _to_canonical(answer: Any, outputs: tuple[Field, ...], rows: int) -> Any:
    """Return an answer as canonical rows where it is a list, otherwise as a canonical record batch."""
    try:
        named = _add_names(answer)
        if isinstance(named, dict):
            return record_batch(outputs, _sort_outputs(named, outputs), rows)
        optional = [field.name for field in outputs if field.nullable]  # as a key is that an answer lacks
        table, errors = tables.read(named, outputs, absent=optional)
    except EngineError:
        raise
    except (FourfoldError, TypeError, ValueError) as error:
        raise EngineError(f"the function's answer is no table: {error}") from error
    if errors:
        raise EngineError(f"the function's answer does not fit the outputs: {errors[0]}")
    if len(table) != rows:
        raise EngineError(f"expected {rows} answers, one a row; got {len(table)}")
    # The schema of a coerced table does not say which fields are nullable; that of the outputs does.
    return table if isinstance(table, list) else pa.RecordBatch.from_arrays(table.columns, schema=arrow_schema(outputs))


def _sort_outputs(arrays: dict[str, Array], outputs: tuple[Field, ...]) -> list[Array]:
    names = [field.name for field in outputs]
    if sorted(arrays) != sorted(names):
        raise EngineError(f"expected outputs {', '.join(names)}; got {', '.join(arrays)}")
    return [arrays[name] for name in names]


def _infer_outputs(answer: Any, rows: int) -> tuple[Field, ...]:
    """Return the output fields of an answer to `rows` rows."""
    try:
        named = _add_names(answer)
        if isinstance(named, dict):
            return tuple(output_field(name, array, rows) for name, array in named.items())
        return tables.infer(named)
    except (EngineError, SignatureError, TypeError, ValueError) as error:
        raise PackError(f"no outputs can be inferred from the function's answer: {error}") from error


def _target(model: Any) -> tuple[Any, Any, str | None]:
    """Return the function or class that the module defines, the object whose state is stored, and its method's name."""
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


def _pickle(owner: Any) -> bytes:
    try:
        return pickle.dumps(owner, protocol=5)
    except Exception as error:  # `__getstate__` of the user's class may raise anything
        raise PackError(f"the {type(owner).__name__} cannot be stored: {describe(error)}") from error


def _original_answer(call: Callable[[Any], Any], sample: Sample) -> Any:
    data = sample.data if sample.form["container"] != "rows" else sample.rebuild()
    try:
        with thread_guard()():
            return call(data)
    except (Exception, SystemExit) as error:  # the function may raise anything, and must not end `pack` in silence
        raise PackError(f"the function fails on the sample: {describe(error)}") from error


def _compare(expected: Any, engine: _Engine, sample: Sample, fields: tuple[Field, ...]) -> None:
    """Check that the function answers the same once it is loaded; raise `PackError` where it does not."""

    def rows(table: Any) -> list[dict[str, Any]]:
        return table if isinstance(table, list) else columns_to_rows(fields, table)

    batch = sample.to_batch()
    try:
        original = rows(_to_canonical(expected, fields, sample.count))
        loaded = rows(engine.predict(columns_to_rows(sample.fields, batch) if engine.takes == "rows" else batch))
    except EngineError as error:
        raise PackError(str(error)) from error
    difference = first_difference(original, loaded, [field.name for field in fields])
    if difference is not None:
        raise PackError(
            f"the function answers otherwise once it is loaded: row {difference.row}, {difference.field}: expected "
            f"{shorten(difference.expected)}, got {shorten(difference.got)}. A package is a function: same rows, same "
            "answer"
        )
