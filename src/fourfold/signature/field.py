"""Define fields and signatures: the declared inputs and outputs of a package."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import lru_cache
from typing import Any, Literal

from fourfold.errors import SignatureError, shorten
from fourfold.signature.hashing import are_colliding

#: The integer dtypes, each with its smallest and its largest value.
INTEGERS: dict[str, tuple[int, int]] = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 2**8 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
FLOATS = ("float32", "float64")
#: The dtypes of fields. Timestamps count microseconds, dates count days.
DTYPES = ("bool", *INTEGERS, *FLOATS, "string", "timestamp", "date", "binary")
#: The dtypes of a tensor's elements.
TENSOR_DTYPES = ("bool", *INTEGERS, *FLOATS)
#: The most dimensions of a tensor. Freeing an Arrow type that is nested much deeper crashes the process.
MAX_DIMENSIONS = 32
#: The most elements of a tensor. Arrow stores a missing tensor in as much memory as any other.
MAX_ELEMENTS = 2**26
#: The dtypes of fields with categories, and the Python type of these.
CATEGORY_TYPES: dict[str, type] = {
    "string": str,
    "bool": bool,
    **dict.fromkeys(INTEGERS, int),
    **dict.fromkeys(FLOATS, float),
}

_FIELD_KEYS = ("name", "dtype", "nullable", "shape", "categories", "open", "zone", "labels", "description")


#: What becomes of a key or a column that is no field: an error, or nothing.
Extra = Literal["forbid", "ignore"]


@dataclass(frozen=True, slots=True)
class Field:
    """Declare one column of a signature.

    Args:
        name: the column's name; not empty.
        dtype: one of `DTYPES`.
        nullable: whether values may be missing. NaN is a value of a float field, not a missing value.
        shape: `()` for one value in each row; otherwise the fixed shape of a tensor, every dimension at least 1.
        categories: the known values of a string, integer, boolean or float field, in the order of the model's training;
            floats are finite. NaN is no category: where the field is nullable, it passes as a missing value does.
        open: whether values other than `categories` are accepted; they are errors otherwise.
        zone: for timestamps, an IANA time zone or `UTC`; `None` for timestamps without an offset.
        labels: for a tensor of one dimension, a name for each element, such as a classifier's classes.
        description: one line for people; `show` and the service's OpenAPI page print it.

    Raises:
        SignatureError: the arguments contradict each other.
    """

    name: str
    dtype: str
    nullable: bool = False
    shape: tuple[int, ...] = ()
    categories: tuple[str | int | float, ...] | None = None
    open: bool = False
    zone: str | None = None
    labels: tuple[str, ...] | None = None
    description: str = ""

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise SignatureError(f"field {shorten(self.name)}: {problem}")

    def _problem(self) -> str | None:
        """Return what is wrong with the declaration, in words; `None` where it is valid."""
        if not isinstance(self.name, str) or not self.name:
            return "its name must be a string that is not empty"
        if "\0" in self.name or not _is_utf8(self.name):
            return "its name must be text that UTF-8 can hold, without a NUL: Arrow's names end at one"
        if self.dtype not in DTYPES:
            return f"expected a dtype of {', '.join(DTYPES)}; got {shorten(self.dtype)}"
        if self.shape and self.dtype not in TENSOR_DTYPES:
            return f"a tensor holds {', '.join(TENSOR_DTYPES)}; got {self.dtype}"
        if any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in self.shape):
            return f"every dimension of its shape must be an integer of at least 1; got {shorten(self.shape)}"
        if len(self.shape) > MAX_DIMENSIONS or math.prod(self.shape) > MAX_ELEMENTS:
            return (
                f"a tensor has at most {MAX_DIMENSIONS} dimensions and {MAX_ELEMENTS} elements; got "
                f"{shorten(self.shape)}"
            )
        if self.zone is not None and self.dtype != "timestamp":
            return "only a timestamp has a zone"
        if self.zone is not None and not _is_zone(self.zone):
            return f"expected an IANA time zone, such as 'UTC' or 'Europe/Berlin'; got {shorten(self.zone)}"
        if self.labels is not None and (len(self.shape) != 1 or len(self.labels) != self.shape[0]):
            return f"{len(self.labels)} labels do not fit the shape {self.shape}"
        if self.labels is not None and not all(isinstance(label, str) for label in self.labels):
            return f"every label must be a string; got {shorten(self.labels)}"
        return self._category_problem()

    def _category_problem(self) -> str | None:
        if self.categories is None:
            return "only a field with categories can be open" if self.open else None
        if self.dtype not in CATEGORY_TYPES or self.shape:
            return "only a string, integer, boolean or float field without a shape has categories"
        python_type = CATEGORY_TYPES[self.dtype]
        if any(
            not isinstance(category, python_type) or isinstance(category, bool) is not (self.dtype == "bool")
            for category in self.categories
        ):
            return f"every category of a {self.dtype} field must be a {python_type.__name__}"
        if python_type in (int, float) and are_colliding(self.categories):
            return f"its {len(self.categories)} categories are made to collide"
        if self.dtype in FLOATS and not all(math.isfinite(float(category)) for category in self.categories):
            return "a category of floats must be finite"
        if len(set(self.categories)) != len(self.categories):
            return "a category is listed twice"
        return None

    @property
    def expected(self) -> str:
        """Return the values that the field accepts, in words for error messages."""
        text = self.dtype
        if self.dtype == "timestamp":
            text = (
                "timestamp with an offset (2013-01-31T09:30:00Z)"
                if self.zone
                else "timestamp without an offset (2013-01-31T09:30:00)"
            )
        if self.shape:
            text = f"{text} tensor of shape {list(self.shape)}"
        if self.categories is not None and not self.open:
            text = f"{text}, one of {len(self.categories)} categories"
        return text + (" or null" if self.nullable else "")

    def to_json(self) -> dict[str, Any]:
        """Return the field as JSON values: its name, its dtype, and every attribute that differs from its default."""
        data: dict[str, Any] = {"name": self.name, "dtype": self.dtype}
        if self.nullable:
            data["nullable"] = True
        if self.shape:
            data["shape"] = list(self.shape)
        if self.categories is not None:
            data["categories"] = list(self.categories)
            data["open"] = self.open
        if self.zone is not None:
            data["zone"] = self.zone
        if self.labels is not None:
            data["labels"] = list(self.labels)
        if self.description:
            data["description"] = self.description
        return data

    @classmethod
    def from_json(cls, data: object) -> Field:
        """Read the field that `to_json` wrote.

        Raises:
            SignatureError: a key is unknown or missing, or a value has the wrong type.
        """
        if not isinstance(data, Mapping):
            raise SignatureError(f"a field must be an object; got {shorten(data)}")
        unknown = [key for key in data if key not in _FIELD_KEYS]
        if unknown:
            raise SignatureError(f"a field has no key {shorten(unknown[0])}; expected {', '.join(_FIELD_KEYS)}")
        types = {"name": str, "dtype": str, "nullable": bool, "open": bool, "zone": str, "description": str}
        types |= dict.fromkeys(("shape", "categories", "labels"), list)
        for key, python_type in types.items():
            if key in data and not isinstance(data[key], python_type):
                raise SignatureError(f"a field's {key} must be a {python_type.__name__}; got {shorten(data[key])}")
        if "name" not in data or "dtype" not in data:
            raise SignatureError(f"a field needs a name and a dtype; got {shorten(dict(data))}")
        tuples = {key: tuple(data[key]) for key in ("shape", "categories", "labels") if key in data}
        return cls(**{**data, **tuples})


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo  # opens files: only signatures with zones need it

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # an unknown zone is a KeyError, an absolute path a ValueError
        return False
    return True


@dataclass(frozen=True, slots=True)
class Signature:
    """Declare the inputs and outputs of a package.

    Args:
        inputs: the input fields, in the order of the model's training.
        outputs: the output fields.
        extra: `forbid` makes a key that is no input field an error; `ignore` drops it.

    Raises:
        SignatureError: two inputs, or two outputs, have the same name, or there are none.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    extra: Extra = "forbid"
    _inputs_by_name: dict[str, Field] = dataclass_field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        for side, fields in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not fields:
                raise SignatureError(f"a signature needs {side}; got none")
            counts = Counter(field.name for field in fields)
            duplicates = [name for name, count in counts.items() if count > 1]
            if duplicates:
                raise SignatureError(f"the {side} name {shorten(min(duplicates))} twice")
        if self.extra not in ("forbid", "ignore"):
            raise SignatureError(f"expected extra to be 'forbid' or 'ignore'; got {shorten(self.extra)}")
        object.__setattr__(self, "_inputs_by_name", {field.name: field for field in self.inputs})

    def input(self, name: str) -> Field:
        """Return the input field with that name.

        Raises:
            SignatureError: no input has that name.
        """
        try:
            return self._inputs_by_name[name]
        except KeyError:
            names = ", ".join(field.name for field in self.inputs)
            raise SignatureError(f"no input field {shorten(name)}; the signature has {names}") from None

    def to_json(self) -> dict[str, Any]:
        """Return the signature as JSON values."""
        return {
            "inputs": [field.to_json() for field in self.inputs],
            "outputs": [field.to_json() for field in self.outputs],
            "extra": self.extra,
        }

    @classmethod
    def from_json(cls, data: object) -> Signature:
        """Read the signature that `to_json` wrote.

        Raises:
            SignatureError: a key is unknown or missing, or a field is invalid.
        """
        if not isinstance(data, Mapping) or set(data) != {"inputs", "outputs", "extra"}:
            raise SignatureError(f"a signature has the keys inputs, outputs and extra; got {shorten(data)}")
        sides = (data["inputs"], data["outputs"])
        if not all(isinstance(side, list) for side in sides):
            raise SignatureError("a signature's inputs and outputs must be lists of fields")
        return cls(fields(data["inputs"]), fields(data["outputs"]), data["extra"])


def fields(items: Iterable[object]) -> tuple[Field, ...]:
    """Return fields; items in JSON form are read by `Field.from_json`."""
    return tuple(item if isinstance(item, Field) else Field.from_json(item) for item in items)


def first_duplicate(names: Iterable[str]) -> str | None:
    """Return the first name that occurs twice, or `None`."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
