"""Hold what a caller of `pack` declares of the input fields: all of them, some, or one property of some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.signature.field import CATEGORY_TYPES, Field, fields

__all__ = ["Declared", "Inputs", "declare", "read_declared"]


@dataclass(frozen=True)
class Declared:
    """Hold what is declared of the input fields; what is not is inferred from the model and the rows.

    Attributes:
        fields: fields that are declared as a whole, in the caller's order.
        are_all: whether `fields` are all of the inputs: then they are matched by position where columns have no names.
        nullable: the names of the fields that may be missing; the model must answer a missing value.
        open: the names of those that take values which are none of the model's categories; the model must answer them.
        optional: the names of those that may be missing, whether the model answers or not.
        required: the names of those that may not.
        text: the names of those that are text, such as codes of digits that a file's reader took for integers.
        category: the names of those whose column has a categorical dtype.
    """

    fields: tuple[Field, ...] = ()
    are_all: bool = False
    nullable: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    category: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()

    def field(self, name: str) -> Field | None:
        """Return the field of that name that is declared as a whole, or `None`."""
        return next((field for field in self.fields if field.name == name), None)

    def says_nullable(self, name: str) -> bool | None:
        """Return whether a field may be missing, `None` where nothing is declared of that."""
        if name in self.required:
            return False
        if name in self.nullable or name in self.optional:
            return True
        field = self.field(name)
        return None if field is None else field.nullable

    def is_text(self, name: str) -> bool:
        """Return whether a field is declared to be text."""
        field = self.field(name)
        return name in self.text or (field is not None and field.dtype == "string")

    def apply(self, inferred: Sequence[Field]) -> tuple[Field, ...]:
        """Return inferred fields with what is declared of them.

        Raises:
            PackError: something is declared of a name that is no field.
        """
        names = [field.name for field in inferred]
        self.check_names(names)
        applied = []
        for field in inferred:
            declared = self.field(field.name) or field
            nullable = self.says_nullable(field.name)
            if field.name in self.open and declared.categories is not None:
                declared = replace(declared, open=True)
            applied.append(declared if nullable in (None, declared.nullable) else replace(declared, nullable=nullable))
            self._check_applied(applied[-1])
        return tuple(applied)

    def _check_applied(self, field: Field) -> None:
        """Raise `PackError` where a field is not what one of the sets of names says."""
        name = shorten(field.name)
        if field.name in self.text and field.dtype != "string":
            raise PackError(f"text names {name}, and the rows hold {field.dtype}: give the column as text")
        if field.name in self.category and field.categories is None and field.dtype not in CATEGORY_TYPES:
            raise PackError(f"category names {name}, and a column of {field.dtype} has no categories")

    def check_names(self, names: Sequence[str]) -> None:
        """Raise `PackError` where something is declared of a name that is none of these."""
        known = set(names)
        declared = [field.name for field in self.fields]
        if self.are_all and sorted(declared) != sorted(names):
            raise PackError(
                f"expected inputs for the columns {', '.join(names)}; got {', '.join(declared)} (inputs={{'A': …}} "
                "declares some of them)"
            )
        for option, chosen in (
            ("inputs", [*declared, *self.optional]),
            ("nullable", self.nullable),
            ("required", self.required),
            ("text", self.text),
            ("category", self.category),
            ("open", self.open),
        ):
            unknown = sorted(name for name in chosen if name not in known)
            if unknown:
                columns = ", ".join(shorten(name) for name in names[:20])
                raise PackError(f"{option} names {shorten(unknown[0])}, which is no column of the model: {columns}")


#: What a runtime takes as `inputs`: all fields in order, or what is declared of some.
Inputs = Declared | Sequence[Field] | None


def declare(inputs: Inputs) -> Declared:
    """Return inputs as `Declared`; a sequence holds all fields."""
    if inputs is None:
        return Declared()
    return inputs if isinstance(inputs, Declared) else Declared(tuple(inputs), are_all=True)


def read_declared(
    inputs: Any,
    nullable: Iterable[str] = (),
    required: Iterable[str] = (),
    text: Iterable[str] = (),
    category: Iterable[str] = (),
    open: Iterable[str] = (),  # noqa: A002 - a word of the signature
) -> Declared:
    """Return what the arguments of `pack` declare.

    Args:
        inputs: a sequence of all fields; or a mapping of some, by name: fields, their JSON form with or without the
            name, or `{"nullable": true}` alone.
        nullable: the names of fields that may be missing.
        required: the names of fields that may not.
        text: the names of fields that are text.
        category: the names of fields whose column has a categorical dtype.
        open: the names of fields that take values which are none of the model's categories.

    Raises:
        PackError: a field is declared twice, or under another name, or names are one text.
        SignatureError: a field is not valid.
    """
    names = (
        _names("nullable", nullable),
        _names("required", required),
        _names("text", text),
        _names("category", category),
    )
    opened = _names("open", open)
    if both := sorted(names[0] & names[1]):
        raise PackError(f"{shorten(both[0])} is declared nullable and required: name it in one of the two")
    if isinstance(inputs, Mapping):
        optional = frozenset(name for name, value in inputs.items() if value == {"nullable": True})
        whole = tuple(_named(name, value) for name, value in inputs.items() if name not in optional)
        return Declared(whole, False, *names, optional, opened)
    given = () if inputs is None else fields(inputs)
    return Declared(given, inputs is not None, *names, open=opened)


def _names(option: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise PackError(f"{option} takes names of fields, {option}=[{names!r}]; got the text {names!r}")
    return frozenset(names)


def _named(name: str, value: Any) -> Field:
    """Return the field that a mapping of fields has under a name."""
    if isinstance(value, str):
        value = {"dtype": value}
    field = value if isinstance(value, Field) else Field.from_json({"name": name, **value})
    if field.name != name:
        raise PackError(f"inputs has the field {shorten(field.name)} under the name {shorten(name)}")
    return field
