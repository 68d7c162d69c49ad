"""Define what `fourfold doctor` collects: what was looked at, whether it is as it must be, and the line that mends it.

A room that needs something outside of Fourfold (a folder, a port, a process, a variable) brings a `checks.py` whose
functions yield these records. They look and change nothing, but for what they remove again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fourfold.errors import FourfoldError

__all__ = ["Check", "Readers", "Status", "check_variables"]

#: `ok`: as it must be. `note`: worth knowing; something may be missing that nobody needs here. `problem`: mend it.
Status = Literal["ok", "note", "problem"]
#: The environment variables of a room, each with what reads it and raises where it is malformed.
Readers = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Check:
    """Hold what was looked at, and what was seen.

    Attributes:
        name: what was looked at.
        status: whether it is as it must be.
        text: what was seen, in words.
        mend: a line for a shell that mends it; empty where none does.
    """

    name: str
    status: Status
    text: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {"name": self.name, "status": self.status, "text": self.text, "mend": self.mend or None}


def check_variables(readers: Readers) -> Iterator[Check]:
    """Yield a record of each variable that is set: whether it can be read."""
    for name, read in readers.items():
        if not os.environ.get(name):
            continue
        try:
            read()
        except ModuleNotFoundError as error:
            yield Check(name, "note", f"is set, and not used: {error.name} is not installed")
        except (FourfoldError, OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            yield Check(name, "problem", text.removeprefix(f"{name}: "), f"unset {name}")
        else:
            yield Check(name, "ok", os.environ[name])
