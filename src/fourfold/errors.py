"""Define every error that Fourfold raises, and the record of one value that does not fit its field.

    FourfoldError
    ├── SignatureError       a signature is invalid, or cannot be inferred from a table
    ├── InputError           rows do not fit the signature; `.errors` lists row, field, expected and got
    ├── DecodeError          bytes do not match their media type (truncated JSON, a broken Arrow stream)
    ├── PackError            a model cannot be packed as requested
    ├── PackageError         a package cannot be used
    │   ├── CorruptPackage   it is truncated or modified, or is no package
    │   ├── TrustError       it needs code or pickle, which this host has not allowed
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
    "ReplayTimeout",
    "RepositoryError",
    "RowError",
    "ServiceError",
    "SignatureError",
    "SinkError",
    "SourceError",
    "TrustError",
    "engine_failure",
    "shorten",
]


def shorten(value: object, limit: int = 60) -> str:
    """Return `repr(value)` for an error message, at most `limit` characters; of a long container only the length."""
    # Check lengths before calling `repr`: an error must stay cheap however large the input is.
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

    def __str__(self) -> str:
        where = f"row {self.row}" if self.field is None else f"row {self.row}, field {shorten(self.field)}"
        return f"{where}: expected {self.expected}, got {self.got}"

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as JSON values, in their order."""
        return {"row": self.row, "field": self.field, "code": self.code, "expected": self.expected, "got": self.got}


class FourfoldError(Exception):
    """Serve as the base class of every error that Fourfold raises on purpose: catch it to catch them all."""

    exit_status: ClassVar[int] = 1


class SignatureError(FourfoldError):
    """Report that a signature is invalid, or cannot be inferred."""

    exit_status = 3


class InputError(FourfoldError):
    """Report the values that do not fit the signature.

    Attributes:
        errors: all errors, ordered by row, then by field in the signature's order.
    """

    exit_status = 3

    #: The most errors that the message lists; `errors` holds all of them.
    MAX_SHOWN: ClassVar[int] = 5

    def __init__(self, errors: Iterable[RowError]) -> None:
        self.errors: tuple[RowError, ...] = tuple(errors)
        lines = [str(error) for error in self.errors[: self.MAX_SHOWN]]
        if len(self.errors) > self.MAX_SHOWN:
            lines.append(f"… and {len(self.errors) - self.MAX_SHOWN} more")
        super().__init__("\n".join(lines))


class DecodeError(FourfoldError):
    """Report bytes that do not match their media type."""

    exit_status = 3


class PackError(FourfoldError):
    """Report that a model cannot be packed as requested."""

    exit_status = 4


class PackageError(FourfoldError):
    """Report that a package cannot be used."""

    exit_status = 4


class CorruptPackage(PackageError):
    """Report that a package is truncated or modified, or that it is no package."""


class TrustError(PackageError):
    """Report that a package needs code or pickle, which this host has not allowed."""


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
        extra: the extra of Fourfold that installs it.
    """

    exit_status = 7

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        self.library = library
        self.extra = extra
        super().__init__(f"{purpose} needs {library}, which is not installed: pip install 'fourfold[{extra}]'")


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


def engine_failure(error: BaseException) -> EngineError:
    """Return the error to raise instead of what an engine raised, which may be anything, `SystemExit` included."""
    try:
        text = shorten(str(error), 300)
    except BaseException:  # noqa: BLE001  # the error's own `__str__` belongs to the engine as well
        text = "its message cannot be read"
    return EngineError(f"the engine failed: {type(error).__name__}: {text}")
