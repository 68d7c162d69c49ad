"""Check which columns a table has, before its values: a wrong column is one error of the table, not one of each row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from fourfold.errors import MAX_ROW_ERRORS, ColumnError, RowErrors, TableError, shorten
from fourfold.signature.field import Extra, Field
from fourfold.signature.rows import unknown_field

__all__ = ["absent_advice", "check_absent", "check_columns", "describe_columns"]

#: The most columns of a table that an error lists.
MAX_SHOWN_COLUMNS = 12
#: How a caller in Python says that a column is absent; `{}` stands for its name.
_IN_PYTHON = "absent=[{!r}]"


def check_absent(fields: Iterable[Field], absent: Collection[str]) -> None:
    """Check the names of the columns that a caller says may be absent.

    Raises:
        TableError: one is no field, or the name of a field that may not be missing.
    """
    if not absent:
        return
    if isinstance(absent, str):
        raise TableError([ColumnError(None, None, "absent", "absent to be a list of names", shorten(absent))])
    by_name = {field.name: field for field in fields}
    nullable = [name for name, field in by_name.items() if field.nullable]
    expected = f"absent to name nullable fields only ({_listed(nullable) or 'there are none'})"
    errors = []
    for name in absent:
        field = by_name.get(name)
        if field is None:
            errors.append(ColumnError(None, name, "absent", expected, "a name that is no field"))
        elif not field.nullable:
            got = f"a field that may not be missing, {field.expected}"
            errors.append(ColumnError(None, name, "absent", expected, got))
    if errors:
        raise TableError(errors)


def check_columns(
    fields: Sequence[Field],
    names: Sequence[str],
    extra: Extra,
    absent: Collection[str] = (),
    *,
    advice: str = _IN_PYTHON,
    has_header: bool = False,
) -> None:
    """Check that a table has a column for every field, and no others where these are forbidden.

    Args:
        fields: the signature's inputs.
        names: the names of the table's columns.
        extra: `forbid` makes a column that is no field an error.
        absent: the nullable fields whose column may be absent: they are missing in every row.
        advice: how this caller names a column as absent, with `{}` for the name.
        has_header: whether the names come from the first line of a text, which may be no header.

    Raises:
        TableError: a column is absent, or unknown, or a name in `absent` is no nullable field.
    """
    check_absent(fields, absent)
    known = set(names)
    cases = {name.casefold() for name in names} if has_header else set()
    if has_header and cases.isdisjoint([field.name.casefold() for field in fields]) and len(absent) < len(fields):
        expected = f"a first line with the columns' names, {_listed([field.name for field in fields])}"
        raise TableError([ColumnError(None, None, "format", expected, f"a first line of {_listed(names)}")])
    lacking = [field for field in fields if field.name not in known and field.name not in absent]
    field_names = frozenset(field.name for field in fields)
    unknown = [name for name in names if name not in field_names] if extra == "forbid" else []
    if lacking or unknown:
        errors = [
            *(_lacking(field, names, advice) for field in lacking[:MAX_ROW_ERRORS]),
            *(_unknown(name, fields, is_first=index < 5) for index, name in enumerate(unknown[:MAX_ROW_ERRORS])),
        ]
        raise TableError(RowErrors(errors, total=len(lacking) + len(unknown)))


def _lacking(field: Field, names: Sequence[str], advice: str) -> ColumnError:
    got = describe_columns(names, field.name) + absent_advice(field, advice)
    return ColumnError(None, field.name, "missing", field.expected, got)


def _unknown(name: str, fields: Sequence[Field], *, is_first: bool) -> ColumnError:
    error = unknown_field(0, name, fields, is_first=is_first)
    got = error.got.replace("a key that is", "a column that is").replace("such keys", "such columns")
    return ColumnError(None, name, "unknown", error.expected, got)


def describe_columns(names: Sequence[str], missing: str) -> str:
    """Describe the columns that a table has instead of the missing one."""
    variant = next((name for name in names if name.casefold() == missing.casefold()), None)
    if variant is not None:
        return f"no such column, but {shorten(variant)}"
    return f"no such column; the table has {_listed(names)}" if names else "no such column: the table has none"


def absent_advice(field: Field, advice: str = _IN_PYTHON) -> str:
    """Return how to allow that a field's column is absent; nothing where the field may not be missing."""
    return f"; where it is missing in every row, say so with {advice.format(field.name)}" if field.nullable else ""


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > MAX_SHOWN_COLUMNS else ""
    return ", ".join(map(shorten, names[:MAX_SHOWN_COLUMNS])) + more
