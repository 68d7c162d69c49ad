"""Run ONNX models (a file, its bytes or a `ModelProto`) with ONNX Runtime, on one thread of the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import pyarrow as pa

from fourfold import tables
from fourfold.durable.reading import read_file
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, InputError, PackError, printable, shorten
from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.onnx_external_data import embed_tensors
from fourfold.modelfiles.onnx_protobuf import external_tensors
from fourfold.runtimes import onnx_calls, onnx_trial
from fourfold.runtimes.answers import Array, answer_array, output_field, record_batch
from fourfold.runtimes.declared import Inputs, declare
from fourfold.runtimes.engine import OpenedModel, Prepared, library_versions
from fourfold.runtimes.onnx_calls import Call
from fourfold.runtimes.onnx_session import open_session
from fourfold.runtimes.onnx_trial import Trial
from fourfold.runtimes.sample import MAX_SAMPLE_ROWS, column_names, select_columns
from fourfold.signature.columns import rows_to_columns
from fourfold.signature.field import FLOATS, TENSOR_DTYPES, Field, Signature

__all__ = ["NAME", "graph_outputs", "load", "mark_converted", "open_model", "prepare"]

NAME = "onnx"
_FILE = "model.onnx"
_DTYPES = {f"tensor({name})": name for name in TENSOR_DTYPES} | {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "string",
}


def prepare(
    model: Any,
    sample: Any,
    *,
    inputs: Inputs = None,
    outputs: Sequence[str] | None = None,
) -> Prepared:
    """Return what a package keeps of an ONNX model.

    A graph's input of shape `[N]` or `[N, 1]` becomes a field of its name, an input of more dimensions a tensor field.
    Where the only input is `[N, k]` and the sample is a frame or rows of `k` columns, each column becomes a field of
    the input's dtype, and the columns fill the matrix in their order. A float field is nullable where the sample misses
    a value; the model gets NaN.

    Args:
        model: the file's bytes, its path, or a `ModelProto`. Tensors in other files beside the path go into the
            package's file; a model without a path must hold them itself.
        sample: a frame, an Arrow table or rows with the inputs' names, or an array for a model with one input.
        inputs: the input fields; inferred by default.
        outputs: the names of the graph's outputs to answer with, in this order; all of them by default.

    Raises:
        PackError: a file of tensors is missing, the first dimension is fixed or another one is not, no field holds the
            type of an input or output, or the model does not answer the sample.
    """
    data = _bytes(model)
    try:
        _check_data(data)
        Trial(data).load()
        session = _session(data)
    except CorruptPackage as error:
        raise PackError(
            "the model cannot be loaded: it is no ONNX file, or has operators that ONNX Runtime "
            f"{onnxruntime.__version__} does not know: {error}"
        ) from error
    except EngineError as error:
        raise PackError(f"the model cannot be packed: {error}") from error
    graph_inputs, inferred = _inputs(session, sample)
    declared = declare(inputs)
    given = declared.fields if declared.are_all else declared.apply(inferred)
    input_fields = _check_inputs(given, inferred)
    names = _output_names(session, outputs)
    batch = _to_batch(sample, input_fields)
    settings = {"inputs": [graph_input.to_json() for graph_input in graph_inputs], "outputs": names}
    answers = _Engine(data, graph_inputs, names, ()).answers(batch)
    fields = tuple(output_field(name, answer, batch.num_rows) for name, answer in zip(names, answers, strict=True))
    return Prepared(NAME, settings, {_FILE: data}, input_fields, fields, "", library_versions("onnxruntime", "numpy"))


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> _Engine:
    """Return the engine of a package.

    Raises:
        CorruptPackage: its file is no ONNX model, or keeps tensors in other files.
        PackageError: the variable that limits the time of calls holds no number.
    """
    graph_inputs = [_GraphInput.from_json(entry) for entry in settings["inputs"]]
    data = read(_FILE)
    _check_data(data)
    return _Engine(data, graph_inputs, settings["outputs"], signature.outputs)


@dataclass(frozen=True)
class _GraphInput:
    """Describe an input of the graph, and the fields that fill it.

    Attributes:
        name: the input's name.
        dtype: the dtype of its elements.
        shape: its dimensions after the rows.
        columns: the names of the fields that fill it.
        matrix: whether each field is a column of the input; otherwise one field fills it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...]
    matrix: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "columns": list(self.columns),
            "matrix": self.matrix,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _GraphInput:
        if data["dtype"] not in _DTYPES.values():
            raise CorruptPackage(f"the package's input {shorten(data['name'])} is of the type {shorten(data['dtype'])}")
        return cls(data["name"], data["dtype"], tuple(data["shape"]), tuple(data["columns"]), data["matrix"])

    def fill(self, batch: Any) -> Array:
        """Return the input's array for a canonical batch, of shape `(rows, *shape)`."""
        columns = [_values(batch.column(name), self.dtype) for name in self.columns]
        if not self.matrix:
            return columns[0].reshape(batch.num_rows, *self.shape)
        matrix: Array = np.empty((batch.num_rows, len(columns)), dtype=columns[0].dtype)
        for index, column in enumerate(columns):
            matrix[:, index] = column
        return matrix


def _values(column: Any, dtype: str) -> Array:
    """Return the elements of a canonical column in one dimension; a missing float is NaN."""
    while pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    values: Array = column.to_numpy(zero_copy_only=False)
    return values if dtype == "string" else values.astype(dtype, copy=False)


class _Engine:
    """Answer with a session, which any number of threads may run at once.

    The session is opened with the first rows, after the model was tried with them in a process of its own.
    """

    takes: Literal["rows", "columns"] = "columns"

    def __init__(
        self, data: bytes, graph_inputs: Sequence[_GraphInput], names: Sequence[str], outputs: tuple[Field, ...]
    ) -> None:
        self._data = data
        self._trial = Trial(data)
        self._session: Any = None
        self._opening = threading.Lock()
        self._running: set[Call] = set()
        self._limit_s = onnx_calls.read_limit()
        self._graph_inputs = graph_inputs
        self._names = list(names)
        self._outputs = outputs

    def answers(self, batch: Any) -> list[Array]:
        """Return the arrays of the outputs for a canonical batch; those of shape `(rows, 1)` become `(rows,)`.

        Raises:
            EngineError: ONNX Runtime failed, or took too long.
        """
        feed = {graph_input.name: graph_input.fill(batch) for graph_input in self._graph_inputs}
        session = self._session or self._open(feed, batch.num_rows)
        options = onnxruntime.RunOptions()
        call = Call(options, self._limit_s, batch.num_rows)
        self._running.add(call)
        onnx_calls.begin(call)
        try:
            answers = [answer_array(output) for output in session.run(self._names, feed, options)]
        except Exception as error:  # ONNX Runtime's errors have no class in common
            failure = f"ONNX Runtime failed: {printable(str(error))}"
            raise EngineError(call.reason if call.is_given_up else failure) from error
        finally:
            onnx_calls.end(call)
            self._running.discard(call)
        return [answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer for answer in answers]

    def _open(self, feed: Mapping[str, Array], rows: int) -> Any:
        """Return the session, opened after the model was tried with these rows; raise as `Trial.run` does."""
        with self._opening:
            if self._session is None:
                self._trial.run(feed, self._names, rows)
                self._session = _session(self._data)
            return self._session

    def stop(self) -> None:
        """End the calls that are running: a trial at once, ONNX Runtime after the operator that it computes."""
        self._trial.stop()
        for call in list(self._running):
            call.stop()

    def predict(self, batch: Any) -> Any:
        """Return the answers to a canonical record batch; raise `EngineError` where the model fails."""
        return record_batch(self._outputs, self.answers(batch), batch.num_rows)


def mark_converted(data: bytes) -> None:
    """Say that a model comes from a converter that this process ran, so that it is not tried first."""
    onnx_trial.mark_converted(data)


def _bytes(model: Any) -> bytes:
    if hasattr(model, "SerializeToString"):
        return bytes(model.SerializeToString(deterministic=True))
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    return _read(Path(model))


def open_model(path: Path) -> OpenedModel:
    """Return the bytes of the model in a file; tensors in other files beside it are put inside.

    Raises:
        PackError: the file or that of a tensor cannot be read, or the file holds no model.
    """
    return OpenedModel(_read(path))


def _read(path: Path) -> bytes:
    try:
        return embed_tensors(read_file(path), path.parent)
    except OSError as error:
        raise PackError(f"the model {path} cannot be read: {error.strerror or error}") from error
    except MalformedModel as error:
        raise PackError(f"{path} is no ONNX model: {error}") from error


def graph_outputs(data: bytes) -> list[str]:
    """Return the names of a model's outputs in order; raise `CorruptPackage` where ONNX Runtime cannot load it."""
    _check_data(data)
    Trial(data).load()
    return [output.name for output in _session(data).get_outputs()]


def _check_data(data: bytes) -> None:
    """Raise `CorruptPackage` where the bytes are no model, or one that keeps tensors in other files."""
    try:
        external = external_tensors(data)
    except MalformedModel as error:
        raise CorruptPackage(f"not an ONNX model: {error}") from error
    if external:
        raise CorruptPackage(
            f"the ONNX model keeps tensors in other files ({shorten(external[0])}): save it in one, "
            "onnx.save_model(model, "
            "path, save_as_external_data=False)"
        )


def _session(data: bytes) -> Any:
    """Return a session of one thread on the CPU.

    Raises:
        CorruptPackage: ONNX Runtime cannot load the model, or it keeps tensors in other files.
    """
    _check_data(data)
    try:
        return open_session(data)
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise CorruptPackage(f"ONNX Runtime cannot load the model: {printable(str(error))}") from error


def _shape(node: Any) -> tuple[int, ...]:
    """Return the dimensions of a graph's input after the rows; raise `PackError` where they are not fixed."""
    first, *rest = node.shape or [0]
    if isinstance(first, int):
        shape = node.shape or "a shape that the file does not say"
        raise PackError(f"input {shorten(node.name)}: expected a first dimension for any number of rows; got {shape}")
    if any(not isinstance(size, int) or size < 1 for size in rest):
        raise PackError(f"input {shorten(node.name)}: every dimension but the first must be fixed; got {node.shape}")
    return tuple(rest)


def _inputs(session: Any, sample: Any) -> tuple[list[_GraphInput], tuple[Field, ...]]:
    """Return the graph's inputs, and the fields that fill them for such a sample."""
    graph_inputs: list[_GraphInput] = []
    fields: list[Field] = []
    nodes = session.get_inputs()
    names = column_names(sample)
    for node in nodes:
        dtype = _DTYPES.get(node.type)
        if dtype is None:
            raise PackError(f"input {shorten(node.name)}: no field holds {node.type}")
        shape = _shape(node)
        matrix = len(nodes) == 1 and len(shape) == 1 and names is not None and node.name not in names
        columns = tuple(str(name) for name in names or ()) if matrix else (node.name,)
        if matrix and len(columns) != shape[0]:
            raise PackError(
                f"input {shorten(node.name)}: expected a sample of {shape[0]} columns, or one named {node.name}; got "
                f"{len(columns)}: {shorten(list(columns), 200)}"
            )
        graph_inputs.append(_GraphInput(node.name, dtype, shape, columns, matrix))
        field_shape = () if matrix or shape == (1,) else shape
        if field_shape and dtype == "string":
            raise PackError(
                f"input {shorten(node.name)}: a tensor holds numbers; give a frame with a column for each string"
            )
        fields += [Field(name, dtype, shape=field_shape) for name in columns]
    missing = _incomplete_columns(sample, [field.name for field in fields if field.dtype in FLOATS and not field.shape])
    return graph_inputs, tuple(replace(field, nullable=field.name in missing) for field in fields)


def _check_inputs(inputs: Sequence[Field], inferred: Sequence[Field]) -> tuple[Field, ...]:
    """Return the caller's input fields, checked to have the names, dtypes and shapes of the inferred ones."""
    for given, field in zip(inputs, inferred, strict=False):
        is_same = (given.name, given.dtype, given.shape) == (field.name, field.dtype, field.shape)
        if not is_same or (given.nullable and given.dtype not in FLOATS):
            raise PackError(
                f"input {shorten(field.name)}: the model takes {field.expected}; got {given.name}: {given.expected}"
            )
    if len(inputs) != len(inferred):
        raise PackError(f"expected inputs named {', '.join(field.name for field in inferred)}; got {len(inputs)}")
    return tuple(inputs)


def _incomplete_columns(sample: Any, columns: Sequence[str]) -> set[str]:
    """Return those of a sample's columns that miss a value."""
    if column_names(sample) is None or not columns:
        return set()
    if tables.kind_of(sample) == "rows":
        selected: Any = [{name: row.get(name) for name in columns} for row in sample]
    else:
        selected = select_columns(sample, columns)
    return {field.name for field in tables.infer(selected) if field.nullable}


def _output_names(session: Any, outputs: Sequence[str] | None) -> list[str]:
    nodes = {node.name: node for node in session.get_outputs()}
    names = list(nodes) if outputs is None else list(outputs)
    for name in names:
        if name not in nodes:
            raise PackError(f"the model has no output {shorten(name)}; it has {', '.join(nodes)}")
        if not nodes[name].type.startswith("tensor("):
            raise PackError(
                f"output {shorten(name)}: expected a tensor; got {nodes[name].type}. Convert the model with "
                "options={'zipmap': False}, or leave this output out: outputs=[…]"
            )
    return names


def _to_batch(sample: Any, fields: tuple[Field, ...]) -> Any:
    """Return the sample as the record batch that the engine gets."""
    rows = tables.length(sample)
    if rows > MAX_SAMPLE_ROWS:
        sample = tables.take(sample, [index * rows // MAX_SAMPLE_ROWS for index in range(MAX_SAMPLE_ROWS)])
    try:
        table, errors = tables.read(sample, fields, "ignore")
    except FourfoldError as error:
        raise PackError(f"the sample does not fit the model's inputs: {error}") from error
    if errors:
        raise PackError(f"the sample does not fit the model's inputs: {InputError(errors)}")
    return rows_to_columns(fields, table) if isinstance(table, list) else table
