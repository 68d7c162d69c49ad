"""Define every error that Fourfold raises, and the record of one value that does not fit its field.

    FourfoldError
    ├── SignatureError       a signature is invalid, or cannot be inferred from a table
    ├── InputError           rows do not fit the signature; `.errors` lists row, field, expected and got
    │   └── TableError       its columns do not: one is absent, unknown, or of another type; `.errors` have no row
    ├── DecodeError          bytes do not match their media type (truncated JSON, a broken Arrow stream)
    │   └── TooLarge         they would take more memory, or hold more rows, than the caller allows
    ├── PackError            a model cannot be packed as requested
    ├── PackageError         a package cannot be used
    │   ├── CorruptPackage   it is truncated or modified, or is no package
    │   ├── TrustError       it needs more than this host grants: foreign formats, or code
    │   ├── GoldenMismatch   its golden rows no longer give the recorded answers
    │   └── ReplayTimeout    its golden rows take longer than this host waits for them
    ├── EngineError          the engine failed on rows that fit the signature
    ├── MissingLibrary       a library is not installed; `.extra` names the extra that installs it
    ├── RepositoryError      a repository cannot be reached, is damaged, or does not honour conditional writes
    │   ├── NotFound         it has no such model, version, alias or digest
    │   └── Conflict         another writer was first; nothing was changed
    ├── SourceError          an input cannot be read
    ├── SinkError            an output cannot be written
    │   └── OutputExists     it exists, and it may not be replaced
    └── ServiceError         the service cannot start or keep running (a port in use)

Each class has the exit status of the command line (docs/cli.md lists them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from fourfold.installation import EXTRA_OF_LIBRARY, distribution_name, install_command

__all__ = [
    "MAX_ROW_ERRORS",
    "ColumnError",
    "Conflict",
    "CorruptPackage",
    "DecodeError",
    "EngineError",
    "FourfoldError",
    "GoldenMismatch",
    "InputError",
    "MissingLibrary",
    "NotFound",
    "OutputExists",
    "PackError",
    "PackageError",
    "ReplayTimeout",
    "RepositoryError",
    "RowError",
    "RowErrors",
    "ServiceError",
    "SignatureError",
    "SinkError",
    "SourceError",
    "TableError",
    "TooLarge",
    "TrustError",
    "counted",
    "describe",
    "engine_failure",
    "missing_library",
    "naming_missing_library",
    "printable",
    "shorten",
]

#: The most errors that are built of one row, and of one request: the others are counted. A row of three bytes can have
#: as many errors as the signature has fields.
MAX_ROW_ERRORS = 100


#: The most bits of an integer whose digits are written out: more take long, and Python refuses more than 4,300 digits.
_MAX_INTEGER_BITS = 10_000
_MAX_DEPTH = 20
#: The most rows that a line of a summary names.
_MAX_SHOWN_ROWS = 3
#: The most characters of a text of others in an error message.
_MAX_TEXT_CHARACTERS = 500
_BRACKETS = {list: "[]", tuple: "()", dict: "{}"}


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number of things in words: `1 row`, `1,024 rows`.

    Args:
        number: how many.
        noun: the word for one of them.
        plural: the word for several, where it is not the noun with an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def shorten(value: object, limit: int = 60) -> str:
    """Return `repr(value)` for an error message, at most `limit` characters; of a long container only the length."""
    # Check lengths before calling `repr`: an error must stay cheap however large the input is.
    if isinstance(value, (str, bytes)) and len(value) > limit:
        value = value[:limit]
        return repr(value)[: limit - 1] + "…"
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > limit:
        return f"a {type(value).__name__} of {len(value)} elements"
    try:
        text = _represent(value, limit, 0)
    except Exception as error:  # noqa: BLE001  # a foreign __repr__ may raise anything
        return f"a {type(value).__name__} whose repr fails ({type(error).__name__})"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _represent(value: object, limit: int, depth: int) -> str:
    """Return `repr(value)`, or a text of more than `limit` characters that begins as it does."""
    if isinstance(value, (str, bytes)) and type(value) in (str, bytes):
        return repr(value if len(value) <= limit else value[: limit + 1])
    if type(value) is int and value.bit_length() > _MAX_INTEGER_BITS:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (list, tuple, dict)) and type(value) in _BRACKETS:
        if depth >= _MAX_DEPTH:
            return "…"
        brackets = _BRACKETS[type(value)]
        parts: list[str] = []
        left = limit
        for item in value:
            if left < 0:
                break  # what is cut off later need not be made
            parts.append(_represent(item, left, depth + 1))
            if isinstance(value, dict):
                parts[-1] += ": " + _represent(value[item], left, depth + 1)
            left -= len(parts[-1]) + 2
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return brackets[0] + ", ".join(parts) + comma + brackets[1]
    return repr(value)


def printable(text: str, limit: int = _MAX_TEXT_CHARACTERS) -> str:
    """Return a text of others for an error message: in one line, with escapes for what acts on terminals, and cut."""
    # Cut first: a text of a package may have millions of characters.
    line = " ".join(text[: limit + 1].split())
    escaped = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
    return escaped if len(escaped) <= limit and len(text) <= limit else escaped[: limit - 1] + "…"


def _without_trace(text: str) -> str:
    """Return a library's message without the stack of its native code, and without the time and place before it."""
    end = text.find("Stack trace:")
    text = text if end < 0 else text[:end]
    return re.sub(r"^\[[0-9:]{8}\] [^\s]{1,500}:[0-9]{1,7}: ", "", text)


def describe(error: BaseException, limit: int = _MAX_TEXT_CHARACTERS) -> str:
    """Return the kind and the text of what code of others raised, as `printable` shows it."""
    try:
        text = printable(_without_trace(str(error)), limit)
    except BaseException:  # noqa: BLE001  # its `__str__` may be of the package as well
        text = "its message cannot be read"
    return f"{printable(type(error).__name__, 80)}: {text}" if text else printable(type(error).__name__, 80)


#: What came, where NaN came for an integer, or for a text.
NAN_IN_INTEGERS = "NaN, which is no integer (missing is null: None or pandas.NA)"
NAN_IN_TEXTS = "NaN, which is no text (missing is null: None or pandas.NA)"
#: How fields of numbers begin in words, and the text of a number that is written otherwise than JSON writes it.
_NUMBERS = ("int", "uint", "float")
_OTHER_NUMBER = re.compile(r"'\s{0,9}[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,9})?\s{0,9}'")


@dataclass(frozen=True, slots=True)
class RowError:
    """Describe one value that does not fit its field.

    Attributes:
        row: the row's index in the input table, from 0.
        field: the field's name, or `None` where the error concerns the whole row.
        code: `missing`, `type`, `range`, `precision`, `category`, `format`, `shape`, `unknown` or `engine`.
        expected: the values that the field accepts, in words.
        got: the value, as `shorten` shows it.
    """

    row: int
    field: str | None
    code: str
    expected: str
    got: str

    @property
    def shown(self) -> str:
        """Return what was got, as messages say it; of a value that another package may take, with how to pack that."""
        if self.field is None:
            return self.got
        name = self.field if self.field.isidentifier() else shorten(self.field)
        is_nan = self.got in (NAN_IN_INTEGERS, NAN_IN_TEXTS) or (self.code == "category" and self.got == "nan")
        if (is_nan and not self.expected.endswith(" or null")) or (
            self.code == "missing" and self.got in ("null", "nothing")
        ):
            return f"{self.got} (if the model takes a missing value, pack it with --nullable {name})"
        if self.code == "category":
            return f"{self.got} (if the model answers other values, pack it with --open {name})"
        if self.code == "type" and self.expected.startswith(_NUMBERS) and _OTHER_NUMBER.fullmatch(self.got):
            return f"{self.got} (a number is written as in JSON: 0.5 and 5, not .5, 5., +5, 05, ' 5' or text in quotes)"
        return self.got

    def __str__(self) -> str:
        return self._describe(self.shown)

    def describe_output(self) -> str:
        """Return the error as a message, where the field is one of the outputs."""
        return self._describe(self.got)

    def _describe(self, got: str) -> str:
        where = f"row {self.row}" if self.field is None else f"row {self.row}, field {shorten(self.field)}"
        return f"{where}: expected {self.expected}, got {got}"

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as JSON values, in their order."""
        return {"row": self.row, "field": self.field, "code": self.code, "expected": self.expected, "got": self.shown}


@dataclass(frozen=True, slots=True)
class ColumnError(RowError):
    """Describe a column that does not fit the signature, whatever the rows hold.

    Attributes:
        row: `None`.
        field: the column's name, or `None` where the error concerns the whole table.
        code: `missing`, `type`, `unknown`, `format`, or `absent` for a name that the caller called absent.
    """

    row: None  # type: ignore[assignment]

    def __str__(self) -> str:
        where = "the table" if self.field is None else f"column {shorten(self.field)}"
        return f"{where}: expected {self.expected}, got {self.got}"


class RowErrors(list[RowError]):
    """List the errors of rows, ordered by row: the first of them, and the number of all.

    Attributes:
        total: the number of all errors; more than there are elements where some were only counted.
        rows: the number of rows that have an error.
    """

    def __init__(self, errors: Iterable[RowError] = (), *, total: int | None = None, rows: int | None = None) -> None:
        super().__init__(errors)
        self.total = len(self) if total is None else total
        self.rows = len({error.row for error in self}) if rows is None else rows

    @property
    def are_all_built(self) -> bool:
        """Return whether every error is an element, and none was only counted."""
        return self.total == len(self)

    def add_row(self, errors: Sequence[RowError]) -> None:
        """Add the errors of one more row, which may be `RowErrors` themselves."""
        self.extend(errors)
        self.total += errors.total if isinstance(errors, RowErrors) else len(errors)
        self.rows += 1


def _summarize(errors: Sequence[RowError], total: int, max_lines: int) -> list[str]:
    """Return lines that say what is wrong: errors of one kind in one field are one line, with the number of their rows.

    Args:
        errors: the errors that were built.
        total: the number of all errors.
        max_lines: the most lines; one more says how many errors are left out.
    """
    groups: dict[tuple[object, str], list[RowError]] = {}
    for error in errors:
        groups.setdefault((error.field, error.code), []).append(error)
    shown = list(groups.values())[:max_lines]
    lines = []
    for group in shown:
        others = list(dict.fromkeys(str(error.row) for error in group if error.row != group[0].row))
        rows = ", ".join(others[:_MAX_SHOWN_ROWS]) + (", …" if len(others) > _MAX_SHOWN_ROWS else "")
        more = f" (and {counted(len(others), 'more row')}: {rows})" if others else ""
        lines.append(f"{group[0]}{more}")
    if left := total - sum(map(len, shown)):
        lines.append(f"… and {counted(left, 'more error')}")
    return lines


class FourfoldError(Exception):
    """Serve as the base class of every error that Fourfold raises on purpose: catch it to catch them all."""

    exit_status: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to build the error in another process: Python would call its class with the message alone."""
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[FourfoldError], args: tuple[Any, ...]) -> FourfoldError:
    return kind.__new__(kind, *args)


class SignatureError(FourfoldError):
    """Report that a signature is invalid, or cannot be inferred."""

    exit_status = 3


class InputError(FourfoldError):
    """Report the values that do not fit the signature.

    Attributes:
        errors: the errors, ordered by row, then by field in the signature's order; the first of very many.
        count: the number of all errors.
        rows: the number of rows at fault.
    """

    exit_status = 3

    #: The most lines of the message; errors of one kind in one field share a line.
    MAX_SHOWN: ClassVar[int] = 5

    def __init__(self, errors: Iterable[RowError]) -> None:
        listed = errors if isinstance(errors, RowErrors) else RowErrors(errors)
        self.errors: tuple[RowError, ...] = tuple(listed)
        self.count = listed.total
        self.rows = listed.rows
        super().__init__("\n".join(_summarize(self.errors, self.count, self.MAX_SHOWN)))


class TableError(InputError):
    """Report the columns of a table that do not fit the signature; its `errors` are `ColumnError`s."""


class DecodeError(FourfoldError):
    """Report bytes that do not match their media type."""

    exit_status = 3


class TooLarge(DecodeError):
    """Report bytes that would take more memory, or hold more rows, than the caller allows."""


class PackError(FourfoldError):
    """Report that a model cannot be packed as requested."""

    exit_status = 4


class PackageError(FourfoldError):
    """Report that a package cannot be used."""

    exit_status = 4


class CorruptPackage(PackageError):
    """Report that a package is truncated or modified, or that it is no package."""


class TrustError(PackageError):
    """Report that a package needs a level of trust that this host has not granted."""


class GoldenMismatch(PackageError):
    """Report that the golden rows no longer give the answers that the package recorded."""


class ReplayTimeout(PackageError):
    """Report that the golden rows were not answered within the time that this host allows."""


class EngineError(FourfoldError):
    """Report that the engine failed on rows that fit the signature."""

    exit_status = 4


class MissingLibrary(FourfoldError):
    """Report that a library is not installed.

    Attributes:
        library: the library's name.
        extra: the extra of Fourfold that installs it; several have commas between them.
        reason: what needs which library, without the command, which names paths of this machine.
    """

    exit_status = 7

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        self.library = library
        self.extra = extra
        self.reason = f"{purpose} needs {library}, which is not installed"
        names = " and ".join(f"'{name}'" for name in extra.split(","))
        bring = f"the extras {names} bring it" if "," in extra else f"the extra {names} brings it"
        super().__init__(f"{self.reason}; {bring}: {install_command(extra)}")


def missing_library(error: ImportError, purpose: str, *, extra: str | None = None) -> MissingLibrary | None:
    """Return the error that says which extra to install; `None` if the module that is not there comes with no extra.

    Args:
        error: what an import raised.
        purpose: what needs the library, as the beginning of a sentence.
        extra: the extra that brings all that is needed; otherwise the one that the library is known by.
    """
    library = (error.name or "").partition(".")[0]
    named = extra or EXTRA_OF_LIBRARY.get(library)
    if not isinstance(error, ModuleNotFoundError) or library in ("", "fourfold") or named is None:
        return None
    return MissingLibrary(distribution_name(library), extra=named, purpose=purpose)


@contextmanager
def naming_missing_library(purpose: str, *, extra: str | None = None) -> Iterator[None]:
    """Raise `MissingLibrary` where the block, or the function that this decorates, imports a library that is not there.

    Args:
        purpose: what needs the library, as the beginning of a sentence.
        extra: the extra that brings all that is needed; otherwise the one that the library is known by.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_library(error, purpose, extra=extra)
        if missing is None:
            raise
        raise missing from error


class RepositoryError(FourfoldError):
    """Report that a repository cannot be reached, is damaged, or does not honour conditional writes."""

    exit_status = 5


class NotFound(RepositoryError):
    """Report that the repository has no such model, version, alias or digest."""


class Conflict(RepositoryError):
    """Report that another writer was first; nothing was changed."""


class SourceError(FourfoldError):
    """Report that an input cannot be read."""

    exit_status = 6


class SinkError(FourfoldError):
    """Report that an output cannot be written."""

    exit_status = 6


class OutputExists(SinkError):
    """Report that the output exists, and that it may not be replaced."""


class ServiceError(FourfoldError):
    """Report that the service cannot start or keep running."""

    exit_status = 6


def engine_failure(error: BaseException, what: str = "the engine failed") -> EngineError:
    """Return the error to raise instead of what an engine raised, which may be anything, `SystemExit` included."""
    return EngineError(f"{what}: {describe(error)}")
