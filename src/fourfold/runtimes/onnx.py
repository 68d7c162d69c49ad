"""ONNX: a file, its bytes or a `ModelProto`, run by ONNX Runtime on one thread of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import pyarrow as pa

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, InputError, PackError, shorten
from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.onnx_external_data import embed_tensors
from fourfold.modelfiles.onnx_protobuf import external_tensors
from fourfold.runtimes.answers import Array, array, describe, record_batch
from fourfold.runtimes.detection import onnx as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.sample import ENOUGH, names_of, select
from fourfold.signature.columns import rows_to_columns
from fourfold.signature.field import FLOATS, TENSOR_DTYPES, Field, Signature

__all__ = ["NAME", "claims", "load", "open_model", "prepare"]

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
    inputs: tuple[Field, ...] | None = None,
    outputs: Sequence[str] | None = None,
) -> Prepared:
    """An ONNX model made ready for a package.

    An input of shape `[N]` or `[N, 1]` is a field of that name, one of `[N, k]` and more a tensor field. Where the only
    input is `[N, k]` and the sample is a frame or rows of `k` columns, each column is a field of the input's dtype, and
    they fill the matrix in their order. A float field is nullable where the sample misses a value: NaN goes in.

    Args:
        model: the file's bytes, its path, or a `ModelProto`. Tensors that lie in other files, beside the file of a
            path, come into the package's file; a model without a path must hold them itself.
        sample: a frame, an Arrow table or rows with the inputs' names, or an array for a model with one input.
        inputs: the fields that go in, where they shall not be inferred.
        outputs: the graph's outputs to answer with, in this order; left out, all of them.

    Raises:
        PackError: it keeps data in files that are not there, has no free first dimension or another dimension that is
            free, an input or output of a type that no field holds, or it does not answer the sample.
    """
    data = _bytes(model)
    try:
        session = _session(data)
    except CorruptPackage as error:
        raise PackError(
            "the model cannot be loaded: it is no ONNX file, or has operators that ONNX Runtime "
            f"{onnxruntime.__version__} does not know: {error}"
        ) from error
    ports, found = _inputs(session, sample)
    given = found if inputs is None else _checked(inputs, found)
    names = _output_names(session, outputs)
    batch = _canonical(sample, given)
    settings = {"inputs": [port.to_json() for port in ports], "outputs": names}
    answers = _Engine(session, ports, names, ()).answers(batch)
    described = tuple(describe(name, answer, batch.num_rows) for name, answer in zip(names, answers, strict=True))
    return Prepared(NAME, settings, {_FILE: data}, given, described, "", versions("onnxruntime", "numpy"))


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> _Engine:
    """The session of a package.

    Raises:
        CorruptPackage: its file is no ONNX model, or one that keeps data in other files.
    """
    ports = [_Port.from_json(each) for each in settings["inputs"]]
    return _Engine(_session(read(_FILE)), ports, settings["outputs"], signature.outputs)


@dataclass(frozen=True)
class _Port:
    """An input of the graph, and the fields that fill it.

    Attributes:
        name: the input's name.
        dtype: the dtype of its elements.
        shape: its dimensions after the rows.
        columns: the fields that fill it, side by side; one of them as a whole where there is one.
        matrix: whether each field is a column of it.
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
    def from_json(cls, data: Mapping[str, Any]) -> _Port:
        return cls(data["name"], data["dtype"], tuple(data["shape"]), tuple(data["columns"]), data["matrix"])

    def fill(self, batch: Any) -> Array:
        """The input's array of shape `(rows, *shape)`."""
        columns = [_values(batch.column(name), self.dtype) for name in self.columns]
        if not self.matrix:
            return columns[0].reshape(batch.num_rows, *self.shape)
        out: Array = np.empty((batch.num_rows, len(columns)), dtype=columns[0].dtype)
        for index, column in enumerate(columns):
            out[:, index] = column
        return out


def _values(column: Any, dtype: str) -> Array:
    """A canonical column's elements, in one dimension; a missing float is NaN."""
    while pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    values: Array = column.to_numpy(zero_copy_only=False)
    return values if dtype == "string" else values.astype(dtype, copy=False)


class _Engine:
    """A session that answers; ONNX Runtime lets any number of threads run it at once."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(self, session: Any, ports: Sequence[_Port], names: Sequence[str], outputs: tuple[Field, ...]) -> None:
        self._session = session
        self._ports = ports
        self._names = list(names)
        self._outputs = outputs

    def answers(self, batch: Any) -> list[Array]:
        """The arrays of the outputs for a canonical record batch; a last dimension of 1 alone is dropped.

        Raises:
            EngineError: ONNX Runtime failed.
        """
        feed = {port.name: port.fill(batch) for port in self._ports}
        try:
            answers = [array(each) for each in self._session.run(self._names, feed)]
        except Exception as error:  # its errors have no class in common
            raise EngineError(f"ONNX Runtime failed: {error}") from error
        return [each[:, 0] if each.ndim == 2 and each.shape[1] == 1 else each for each in answers]

    def predict(self, batch: Any) -> Any:
        """Answer every row of a canonical record batch; raises `EngineError`."""
        return record_batch(self._outputs, self.answers(batch), batch.num_rows)


def _bytes(model: Any) -> bytes:
    if hasattr(model, "SerializeToString"):
        return bytes(model.SerializeToString(deterministic=True))
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    return open_model(Path(model))[0]


def open_model(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The model of a file, with those of its tensors that lie in other files beside it, and what one should know.

    Raises:
        PackError: there is no such file, or no model in it, or a tensor's file is not there.
    """
    try:
        return embed_tensors(path.read_bytes(), path.parent), ()
    except OSError as error:
        raise PackError(f"the model {path} cannot be read: {error.strerror or error}") from error
    except MalformedModel as error:
        raise PackError(f"{path} is no ONNX model: {error}") from error


def graph_outputs(data: bytes) -> list[str]:
    """The names of a model's outputs, in their order; raises `CorruptPackage` where ONNX Runtime cannot load it."""
    return [each.name for each in _session(data).get_outputs()]


def _session(data: bytes) -> Any:
    """A session of one thread on the CPU, with no operators but ONNX Runtime's own.

    Raises:
        CorruptPackage: the bytes are no model, or one that keeps data in other files.
    """
    try:
        outside = external_tensors(data)
    except MalformedModel as error:
        raise CorruptPackage(f"not an ONNX model: {error}") from error
    if outside:
        raise CorruptPackage(
            f"the ONNX model keeps tensors in other files ({shorten(outside[0])}): save it in one, "
            "onnx.save_model(model, "
            "path, save_as_external_data=False)"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what is wrong is in the exception
    # Bytes that look like ONNX Runtime's own format would otherwise be taken for it, and nothing here reads that.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        raise CorruptPackage(f"ONNX Runtime cannot load the model: {error}") from error


def _shape(port: Any) -> tuple[int, ...]:
    """The dimensions of an input after the rows."""
    first, *rest = port.shape or [0]
    if isinstance(first, int):
        shape = port.shape or "a shape that the file does not say"
        raise PackError(f"input {shorten(port.name)}: expected a first dimension for any number of rows; got {shape}")
    if any(not isinstance(size, int) or size < 1 for size in rest):
        raise PackError(f"input {shorten(port.name)}: every dimension but the first must be fixed; got {port.shape}")
    return tuple(rest)


def _inputs(session: Any, sample: Any) -> tuple[list[_Port], tuple[Field, ...]]:
    ports: list[_Port] = []
    fields: list[Field] = []
    graph = session.get_inputs()
    names = names_of(sample)
    for each in graph:
        dtype = _DTYPES.get(each.type)
        if dtype is None:
            raise PackError(f"input {shorten(each.name)}: no field holds {each.type}")
        shape = _shape(each)
        matrix = len(graph) == 1 and len(shape) == 1 and names is not None and each.name not in names
        columns = tuple(str(name) for name in names or ()) if matrix else (each.name,)
        if matrix and len(columns) != shape[0]:
            raise PackError(
                f"input {shorten(each.name)}: expected a sample of {shape[0]} columns, or one named {each.name}; got "
                f"{len(columns)}: {shorten(list(columns), 200)}"
            )
        ports.append(_Port(each.name, dtype, shape, columns, matrix))
        tensor = () if matrix or shape == (1,) else shape
        if tensor and dtype == "string":
            raise PackError(
                f"input {shorten(each.name)}: a tensor holds numbers; give a frame with a column for each string"
            )
        fields += [Field(name, dtype, shape=tensor) for name in columns]
    missing = _missing(sample, [field.name for field in fields if field.dtype in FLOATS and not field.shape])
    return ports, tuple(replace(field, nullable=field.name in missing) for field in fields)


def _checked(inputs: Sequence[Field], found: Sequence[Field]) -> tuple[Field, ...]:
    """Inputs given by hand, which may say more of a field than the graph does, but nothing else."""
    for given, field in zip(inputs, found, strict=False):
        same = (given.name, given.dtype, given.shape) == (field.name, field.dtype, field.shape)
        if not same or (given.nullable and given.dtype not in FLOATS):
            raise PackError(
                f"input {shorten(field.name)}: the model takes {field.expected}; got {given.name}: {given.expected}"
            )
    if len(inputs) != len(found):
        raise PackError(f"expected inputs named {', '.join(field.name for field in found)}; got {len(inputs)}")
    return tuple(inputs)


def _missing(sample: Any, columns: Sequence[str]) -> set[str]:
    """Those of a sample's columns that miss a value, which goes in as NaN."""
    if names_of(sample) is None or not columns:
        return set()
    if tables.kind_of(sample) == "rows":
        part: Any = [{name: row.get(name) for name in columns} for row in sample]
    else:
        part = select(sample, columns)
    return {field.name for field in tables.infer(part) if field.nullable}


def _output_names(session: Any, outputs: Sequence[str] | None) -> list[str]:
    known = {each.name: each for each in session.get_outputs()}
    names = list(known) if outputs is None else list(outputs)
    for name in names:
        if name not in known:
            raise PackError(f"the model has no output {shorten(name)}; it has {', '.join(known)}")
        if not known[name].type.startswith("tensor("):
            raise PackError(
                f"output {shorten(name)}: expected a tensor; got {known[name].type}. Convert the model with "
                "options={'zipmap': False}, or leave this output out: outputs=[…]"
            )
    return names


def _canonical(sample: Any, fields: tuple[Field, ...]) -> Any:
    """The sample as the record batch that the engine gets."""
    rows = tables.length(sample)
    if rows > ENOUGH:
        sample = tables.take(sample, [index * rows // ENOUGH for index in range(ENOUGH)])
    try:
        table, errors = tables.read(sample, fields, "ignore")
    except FourfoldError as error:
        raise PackError(f"the sample does not fit the model's inputs: {error}") from error
    if errors:
        raise PackError(f"the sample does not fit the model's inputs: {InputError(errors)}")
    return rows_to_columns(fields, table) if isinstance(table, list) else table
