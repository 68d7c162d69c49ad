"""Fields and signatures: what a package's one function takes and gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fourfold.errors import SignatureError, shorten

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
#: Every dtype a field can have. Timestamps count microseconds, dates days.
DTYPES = ("bool", *INTEGERS, *FLOATS, "string", "timestamp", "date", "binary")
#: The dtypes that a tensor's elements can have.
TENSOR_DTYPES = ("bool", *INTEGERS, *FLOATS)
#: The most dimensions and elements of a tensor. A type that is nested deeper ends the process that lets go of it, and a
#: missing tensor takes as much memory as any other.
MAX_DIMENSIONS, MAX_ELEMENTS = 32, 2**26
#: The dtypes whose values can be categories.
CATEGORY_DTYPES = ("string", *INTEGERS)

_FIELD_KEYS = ("name", "dtype", "nullable", "shape", "categories", "open", "zone", "labels", "description")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a signature.

    Args:
        name: the column's name; not empty.
        dtype: one of `DTYPES`.
        nullable: whether a value may be missing. NaN is a value of a float field, not a missing one.
        shape: `()` for one value a row; otherwise the fixed shape of a tensor, every dimension at least 1.
        categories: the values that the field knows, in the order that the model was trained with; only for
            strings and integers.
        open: whether a value that is not one of `categories` may come in; it is an error otherwise.
        zone: for timestamps, an IANA time zone or `UTC`; `None` is a naive timestamp, which no offset may accompany.
        labels: for a tensor of one dimension, a name for each element (a classifier's classes, say).
        description: one line for people; `show` and the service's OpenAPI page print it.

    Raises:
        SignatureError: the declaration contradicts itself.
    """

    name: str
    dtype: str
    nullable: bool = False
    shape: tuple[int, ...] = ()
    categories: tuple[str | int, ...] | None = None
    open: bool = False
    zone: str | None = None
    labels: tuple[str, ...] | None = None
    description: str = ""

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise SignatureError(f"field {shorten(self.name)}: {problem}")

    def _problem(self) -> str | None:
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
        if self.labels is not None and not all(isinstance(each, str) for each in self.labels):
            return f"every label must be a string; got {shorten(self.labels)}"
        return self._category_problem()

    def _category_problem(self) -> str | None:
        if self.categories is None:
            return "only a field with categories can be open" if self.open else None
        if self.dtype not in CATEGORY_DTYPES or self.shape:
            return "only a string or integer field without a shape has categories"
        wanted = str if self.dtype == "string" else int
        if any(not isinstance(value, wanted) or isinstance(value, bool) for value in self.categories):
            return f"every category of a {self.dtype} field must be a {wanted.__name__}"
        if len(set(self.categories)) != len(self.categories):
            return "a category is listed twice"
        return None

    @property
    def expected(self) -> str:
        """What the field takes, in the words that its errors use."""
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
        """The field as JSON values: its name and dtype, and what differs from the defaults."""
        out: dict[str, Any] = {"name": self.name, "dtype": self.dtype}
        if self.nullable:
            out["nullable"] = True
        if self.shape:
            out["shape"] = list(self.shape)
        if self.categories is not None:
            out["categories"] = list(self.categories)
            out["open"] = self.open
        if self.zone is not None:
            out["zone"] = self.zone
        if self.labels is not None:
            out["labels"] = list(self.labels)
        if self.description:
            out["description"] = self.description
        return out

    @classmethod
    def from_json(cls, data: object) -> Field:
        """The field that `to_json` wrote.

        Raises:
            SignatureError: a key is unknown or missing, or a value has another type.
        """
        if not isinstance(data, Mapping):
            raise SignatureError(f"a field must be an object; got {shorten(data)}")
        unknown = [key for key in data if key not in _FIELD_KEYS]
        if unknown:
            raise SignatureError(f"a field has no key {shorten(unknown[0])}; expected {', '.join(_FIELD_KEYS)}")
        kinds = {"name": str, "dtype": str, "nullable": bool, "open": bool, "zone": str, "description": str}
        kinds |= dict.fromkeys(("shape", "categories", "labels"), list)
        for key, kind in kinds.items():
            if key in data and not isinstance(data[key], kind):
                raise SignatureError(f"a field's {key} must be a {kind.__name__}; got {shorten(data[key])}")
        if "name" not in data or "dtype" not in data:
            raise SignatureError(f"a field needs a name and a dtype; got {shorten(dict(data))}")
        listed = {key: tuple(data[key]) for key in ("shape", "categories", "labels") if key in data}
        return cls(**{**data, **listed})


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _is_zone(name: str) -> bool:
    # zoneinfo opens files: only a signature that has zones pays for it.
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError, below; an absolute path is a ValueError
        return False
    except KeyError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Signature:
    """The declared inputs and outputs of a package's function.

    Args:
        inputs: the fields that come in, in the order that the model was trained with.
        outputs: the fields that go out.
        extra: `forbid` makes a key that is no input field an error; `ignore` drops it.

    Raises:
        SignatureError: a name is there twice, or a side is empty.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    extra: Literal["forbid", "ignore"] = "forbid"
    _inputs_by_name: dict[str, Field] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        for side, fields in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not fields:
                raise SignatureError(f"a signature needs {side}; got none")
            names = [each.name for each in fields]
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise SignatureError(f"the {side} name {shorten(min(twice))} twice")
        if self.extra not in ("forbid", "ignore"):
            raise SignatureError(f"expected extra to be 'forbid' or 'ignore'; got {shorten(self.extra)}")
        object.__setattr__(self, "_inputs_by_name", {each.name: each for each in self.inputs})

    def input(self, name: str) -> Field:
        """The input field of that name.

        Raises:
            SignatureError: there is none.
        """
        try:
            return self._inputs_by_name[name]
        except KeyError:
            names = ", ".join(each.name for each in self.inputs)
            raise SignatureError(f"no input field {shorten(name)}; the signature has {names}") from None

    def to_json(self) -> dict[str, Any]:
        """The signature as JSON values."""
        return {
            "inputs": [each.to_json() for each in self.inputs],
            "outputs": [each.to_json() for each in self.outputs],
            "extra": self.extra,
        }

    @classmethod
    def from_json(cls, data: object) -> Signature:
        """The signature that `to_json` wrote.

        Raises:
            SignatureError: a key is unknown or missing, or a field contradicts itself.
        """
        if not isinstance(data, Mapping) or set(data) != {"inputs", "outputs", "extra"}:
            raise SignatureError(f"a signature has the keys inputs, outputs and extra; got {shorten(data)}")
        sides = (data["inputs"], data["outputs"])
        if not all(isinstance(side, list) for side in sides):
            raise SignatureError("a signature's inputs and outputs must be lists of fields")
        return cls(fields(data["inputs"]), fields(data["outputs"]), data["extra"])


def fields(items: Iterable[object]) -> tuple[Field, ...]:
    """Fields from a mix of `Field`s and their JSON form, as `Field.from_json` reads it."""
    return tuple(item if isinstance(item, Field) else Field.from_json(item) for item in items)
