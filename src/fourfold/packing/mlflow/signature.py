"""Read the signature that an MLflow model was logged with: its columns, which `MLmodel` holds as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.packing.mlflow.directory import MLMODEL, ModelDirectory
from fourfold.signature import Field
from fourfold.signature.field import FLOATS, INTEGERS, TENSOR_DTYPES

__all__ = ["Column", "MlflowSignature", "read_signature"]

#: Our dtype for each of MLflow's column types.
_COLUMN_DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "binary",
    "datetime": "timestamp",
}
#: Our dtype for each NumPy dtype of a tensor whose elements are no numbers.
_TENSOR_DTYPES = {
    "str": "string",
    "object": "string",
    "bytes": "binary",
    "datetime64": "timestamp",
    "datetime64[ns]": "timestamp",
}


@dataclass(frozen=True)
class Column:
    """Describe a column, or a tensor, of a signature.

    Attributes:
        name: the column's name; empty where it has none.
        dtype: the dtype of its values; empty where no field can hold them.
        mlflow_type: MLflow's name for its type, for errors.
        required: whether a table must have the column.
        shape: the dimensions of a tensor after the rows; `()` for one value a row, `None` where they are not known.
    """

    name: str
    dtype: str
    mlflow_type: str
    required: bool = True
    shape: tuple[int, ...] | None = ()

    def __str__(self) -> str:
        """Return the column's name and type, for errors."""
        name = f"column {shorten(self.name)}" if self.name else "column without a name"
        return f"{name} of the model's signature ({self.mlflow_type}{'' if self.required else ', optional'})"


@dataclass(frozen=True)
class MlflowSignature:
    """Hold the signature of an MLflow model.

    Attributes:
        inputs: the columns that go in.
        outputs: the columns that come out.
        params: the parameters that a caller may give with the rows, with their defaults.
    """

    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def matrix(self) -> Column | None:
        """Return the only input, where it is a tensor without a name: the model takes one array of rows."""
        only = self.inputs[0] if len(self.inputs) == 1 else None
        return only if only is not None and not only.name and only.shape != () else None

    def check_outputs(self, outputs: Sequence[Field]) -> None:
        """Check that a package's outputs can be the signature's.

        MLflow checks no outputs, and some signatures are written by hand: another width of a number is no error.

        Raises:
            PackError: the only output is of another kind; it names the column.
        """
        if len(self.outputs) != 1 or not self.outputs[0].dtype:
            return
        expected = _kind(self.outputs[0].dtype)
        kinds = {_kind(field.dtype) for field in outputs}
        if expected not in kinds:
            got = ", ".join(f"{field.name}: {field.dtype}" for field in outputs)
            raise PackError(
                f"expected an output of {self.outputs[0].dtype} for the {self.outputs[0]}; the model gives {got}. Log "
                "the model with a signature that is inferred from its predictions"
            )


def read_signature(directory: ModelDirectory) -> MlflowSignature | None:
    """Return the signature of a model, or `None` where it was logged without one.

    Raises:
        PackError: the signature cannot be read.
    """
    raw = directory.data.get("signature")
    if raw is None:
        return None
    where = f"the signature in {directory.path / MLMODEL}"
    if not isinstance(raw, dict):
        raise PackError(f"{where} is a {type(raw).__name__}; expected inputs and outputs")
    try:
        inputs, outputs = (_columns(_parsed(raw.get(key))) for key in ("inputs", "outputs"))
        params = {str(entry["name"]): _default(entry) for entry in _parsed(raw.get("params"))}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise PackError(f"{where} cannot be read: {type(error).__name__}: {shorten(str(error), 120)}") from error
    return MlflowSignature(inputs, outputs, params)


def _default(entry: Mapping[str, Any]) -> Any:
    """Return the default of a parameter: JSON has all of MLflow's types but dates and timestamps."""
    value = entry["default"]
    if entry.get("type") != "datetime" or value is None:
        return value
    return [_parse_time(text) for text in value] if isinstance(value, list) else _parse_time(value)


def _parse_time(text: str) -> date:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _parsed(value: Any) -> Any:
    """Return a part of a signature, which is JSON in a string; nothing where it is absent."""
    return json.loads(value) if isinstance(value, str) else value or ()


def _columns(entries: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(_tensor(entry) if entry["type"] == "tensor" else _column(entry) for entry in entries)


def _column(entry: Mapping[str, Any]) -> Column:
    # MLflow before 2.10 wrote `optional`, later versions write `required`.
    required = bool(entry.get("required", not entry.get("optional", False)))
    name, kind = str(entry.get("name") or ""), str(entry["type"])
    if kind == "array":
        item = entry["items"]
        # The signature does not give the length of the lists: the rows show it.
        return Column(name, _COLUMN_DTYPES.get(str(item["type"]), ""), f"array of {item['type']}", required, None)
    return Column(name, _COLUMN_DTYPES.get(kind, ""), kind, required)


def _tensor(entry: Mapping[str, Any]) -> Column:
    spec = entry["tensor-spec"]
    shape = tuple(int(size) for size in spec["shape"][1:])
    dtype = str(spec["dtype"])
    return Column(
        str(entry.get("name") or ""),
        dtype if dtype in TENSOR_DTYPES else _TENSOR_DTYPES.get(dtype, ""),
        f"tensor of {dtype}, shape {[int(size) for size in spec['shape']]}",
        bool(entry.get("required", True)),
        shape if all(size > 0 for size in shape) else None,
    )


def _kind(dtype: str) -> str:
    """Return the dtype, or `number` for any number."""
    return "number" if dtype in INTEGERS or dtype in FLOATS else dtype
