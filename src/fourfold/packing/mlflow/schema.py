"""The signature that an MLflow model was logged with: its columns, as `MLmodel` has them in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.packing.mlflow.directory import MLMODEL, Directory
from fourfold.signature import Field
from fourfold.signature.field import FLOATS, INTEGERS, TENSOR_DTYPES

__all__ = ["Column", "Schema", "schema_of"]

#: MLflow's words for the types of columns, and ours.
_TYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "binary",
    "datetime": "timestamp",
}
#: NumPy's words for the elements of tensors that are no numbers.
_TEXTS = {
    "str": "string",
    "object": "string",
    "bytes": "binary",
    "datetime64": "timestamp",
    "datetime64[ns]": "timestamp",
}


@dataclass(frozen=True)
class Column:
    """A column, or a tensor, of a signature.

    Attributes:
        name: its name; empty where it has none.
        dtype: the dtype of its values; empty where no field holds them.
        said: what MLflow calls its type.
        required: whether it must be there.
        shape: the dimensions of a tensor after the rows; `()` for one value a row, `None` where they are not known.
    """

    name: str
    dtype: str
    said: str
    required: bool = True
    shape: tuple[int, ...] | None = ()

    def __str__(self) -> str:
        """The column as errors name it."""
        name = f"column {shorten(self.name)}" if self.name else "column without a name"
        return f"{name} of the model's signature ({self.said}{'' if self.required else ', optional'})"


@dataclass(frozen=True)
class Schema:
    """A signature.

    Attributes:
        inputs: the columns that go in.
        outputs: those that come out.
        params: the parameters that a caller may give with the rows, and what they are where none does.
    """

    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def matrix(self) -> Column | None:
        """The only input, where it is a tensor without a name: one array of rows."""
        only = self.inputs[0] if len(self.inputs) == 1 else None
        return only if only is not None and not only.name and only.shape != () else None

    def check_outputs(self, outputs: Sequence[Field]) -> None:
        """Check that what a package gives can be what the signature says.

        MLflow checks no outputs, and a signature is written by hand at times: another width of a number is no fault.

        Raises:
            PackError: the first output is of another kind; it names the column.
        """
        if len(self.outputs) != 1 or not self.outputs[0].dtype:
            return
        wanted = _kind(self.outputs[0].dtype)
        kinds = {_kind(field.dtype) for field in outputs}
        if wanted not in kinds:
            got = ", ".join(f"{field.name}: {field.dtype}" for field in outputs)
            raise PackError(
                f"expected an output of {self.outputs[0].dtype} for the {self.outputs[0]}; the model gives {got}. Log "
                "the model with a signature that is inferred from its predictions"
            )


def schema_of(directory: Directory) -> Schema | None:
    """The signature of a model, or `None` where it was logged without one.

    Raises:
        PackError: it is none.
    """
    raw = directory.data.get("signature")
    if raw is None:
        return None
    where = f"the signature in {directory.path / MLMODEL}"
    if not isinstance(raw, dict):
        raise PackError(f"{where} is a {type(raw).__name__}; expected inputs and outputs")
    try:
        inputs, outputs = (_columns(_parsed(raw.get(key))) for key in ("inputs", "outputs"))
        params = {str(each["name"]): _default(each) for each in _parsed(raw.get("params"))}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise PackError(f"{where} cannot be read: {type(error).__name__}: {shorten(str(error), 120)}") from error
    return Schema(inputs, outputs, params)


def _default(entry: Mapping[str, Any]) -> Any:
    """What a parameter is where no caller says: JSON has all of MLflow's types but points in time."""
    value = entry["default"]
    if entry.get("type") != "datetime" or value is None:
        return value
    return [_moment(each) for each in value] if isinstance(value, list) else _moment(value)


def _moment(text: str) -> date:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _parsed(value: Any) -> Any:
    """A part of a signature, which is JSON in a string."""
    return json.loads(value) if isinstance(value, str) else value or ()


def _columns(listed: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    return tuple(_tensor(each) if each["type"] == "tensor" else _column(each) for each in listed)


def _column(entry: Mapping[str, Any]) -> Column:
    # Releases before 2.10 said `optional` where later ones say `required`.
    required = bool(entry.get("required", not entry.get("optional", False)))
    name, kind = str(entry.get("name") or ""), str(entry["type"])
    if kind == "array":
        item = entry["items"]
        # How long the lists are is not said: the rows show it.
        return Column(name, _TYPES.get(str(item["type"]), ""), f"array of {item['type']}", required, None)
    return Column(name, _TYPES.get(kind, ""), kind, required)


def _tensor(entry: Mapping[str, Any]) -> Column:
    spec = entry["tensor-spec"]
    shape = tuple(int(size) for size in spec["shape"][1:])
    dtype = str(spec["dtype"])
    return Column(
        str(entry.get("name") or ""),
        dtype if dtype in TENSOR_DTYPES else _TEXTS.get(dtype, ""),
        f"tensor of {dtype}, shape {[int(size) for size in spec['shape']]}",
        bool(entry.get("required", True)),
        shape if all(size > 0 for size in shape) else None,
    )


def _kind(dtype: str) -> str:
    return "number" if dtype in INTEGERS or dtype in FLOATS else dtype
