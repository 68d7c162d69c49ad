"""Every error that Fourfold raises, and the one record of a row that does not fit.

    FourfoldError
    ├── SignatureError       a signature that cannot be: a bad declaration, a table that none can be inferred from
    ├── InputError           rows that do not fit the signature; `.errors` names row, field, expected and got
    ├── DecodeError          bytes that are not what their media type says (truncated JSON, a broken Arrow stream)
    ├── PackError            a model that cannot be packed as asked
    ├── PackageError         a package that cannot be used
    │   ├── CorruptPackage   truncated, tampered with, or not a package
    │   ├── TrustError       it needs code or pickle, and this host has not allowed that
    │   └── GoldenMismatch   its golden rows no longer give their answers here
    ├── EngineError          the engine failed on rows that fit the signature
    ├── MissingLibrary       a library that this needs is not installed; `.extra` names the extra that brings it
    ├── RepositoryError      a repository that cannot be reached or cannot be trusted with writes
    │   ├── NotFound         no such model, version, alias or digest
    │   └── Conflict         somebody else was first; nothing was changed
    ├── SourceError          what should be read cannot be
    ├── SinkError            what should be written cannot be
    │   └── OutputExists     it is there already, and nobody said that it may be replaced
    └── ServiceError         the service cannot start or stay up (a port in use)

Each class carries the exit status that the command line ends with (docs/cli.md lists them).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
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
    "RepositoryError",
    "RowError",
    "ServiceError",
    "SignatureError",
    "SinkError",
    "SourceError",
    "TrustError",
    "shorten",
]


def shorten(value: object, limit: int = 60) -> str:
    """Return `repr(value)` for an error message, never more than `limit` characters of it."""
    # Shorten a huge string or list before `repr` walks it: the error must stay cheap however large the input was.
    if isinstance(value, (str, bytes)) and len(value) > limit:
        value = value[:limit]
        return repr(value)[: limit - 1] + "…"
    if isinstance(value, (list, tuple, dict)) and len(value) > limit:
        return f"a {type(value).__name__} of {len(value)} elements"
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # a foreign __repr__ may raise anything
        return f"a {type(value).__name__} whose repr fails ({type(error).__name__})"
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class RowError:
    """One value that does not fit its field.

    Attributes:
        row: the row's index in the table that came in, from 0.
        field: the field's name, or `None` where the whole row is at fault.
        code: `missing`, `type`, `range`, `precision`, `category`, `format`, `shape`, `unknown` or `engine`.
        expected: what the field takes, in words.
        got: what came, cut short.
    """

    row: int
    field: str | None
    code: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.field is None else f"row {self.row}, field {shorten(self.field)}"
        return f"{where}: expected {self.expected}, got {self.got}"

    def to_json(self) -> dict[str, Any]:
        """The error as JSON values, in the order of its attributes."""
        return {"row": self.row, "field": self.field, "code": self.code, "expected": self.expected, "got": self.got}


class FourfoldError(Exception):
    """The root of the tree: catch it to catch everything that Fourfold raises on purpose."""

    exit_status: ClassVar[int] = 1


class SignatureError(FourfoldError):
    """A signature that cannot be."""

    exit_status = 3


class InputError(FourfoldError):
    """Rows that do not fit the signature.

    Attributes:
        errors: every error found, by row and then in the order of the fields.
    """

    exit_status = 3

    SHOWN: ClassVar[int] = 5

    def __init__(self, errors: Iterable[RowError]) -> None:
        self.errors: tuple[RowError, ...] = tuple(errors)
        lines = [str(error) for error in self.errors[: self.SHOWN]]
        if len(self.errors) > self.SHOWN:
            lines.append(f"… and {len(self.errors) - self.SHOWN} more")
        super().__init__("\n".join(lines))


class DecodeError(FourfoldError):
    """Bytes that are not what their media type says."""

    exit_status = 3


class PackError(FourfoldError):
    """A model that cannot be packed as asked."""

    exit_status = 4


class PackageError(FourfoldError):
    """A package that cannot be used."""

    exit_status = 4


class CorruptPackage(PackageError):
    """Truncated, tampered with, or not a package."""


class TrustError(PackageError):
    """The package needs code or pickle, and this host has not allowed that."""


class GoldenMismatch(PackageError):
    """The golden rows no longer give their answers here."""


class EngineError(FourfoldError):
    """The engine failed on rows that fit the signature."""

    exit_status = 4


class MissingLibrary(FourfoldError):
    """A library that this needs is not installed."""

    exit_status = 7

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        self.library = library
        self.extra = extra
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install 'fourfold[{extra}]'")


class RepositoryError(FourfoldError):
    """A repository that cannot be reached or cannot be trusted with writes."""

    exit_status = 5


class NotFound(RepositoryError):
    """No such model, version, alias or digest."""


class Conflict(RepositoryError):
    """Somebody else was first; nothing was changed."""


class SourceError(FourfoldError):
    """What should be read cannot be."""

    exit_status = 6


class SinkError(FourfoldError):
    """What should be written cannot be."""

    exit_status = 6


class OutputExists(SinkError):
    """The output is there already, and nobody said that it may be replaced."""


class ServiceError(FourfoldError):
    """The service cannot start or stay up."""

    exit_status = 6
