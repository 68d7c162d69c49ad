"""The certificate: the report that the architectures agree, or where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fourfold.signature.bits import Difference

__all__ = ["Certificate", "DoorReport"]


@dataclass(frozen=True)
class DoorReport:
    """What one door gave, in one way of cutting the rows.

    Attributes:
        architecture: `service`, `stream`, `batch` or `embed`.
        door: how the rows went in and came out, such as `POST /predict, CSV`.
        cut: how they were cut and ordered, such as `odd-sized batches`.
        rows: how many rows went through.
        differing: how many came back with other bits, or not at all.
        first: the first difference, or `None`.
        cause: its likely cause, in words; empty where nothing differs.
        answer: the answer of the row that every certificate shows, as JSON values.
        seconds: how long it took, with everything that this door needs.
    """

    architecture: str
    door: str
    cut: str
    rows: int
    differing: int
    first: Difference | None
    cause: str
    answer: dict[str, Any] | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        first = None if self.first is None else _difference(self.first)
        return {
            "architecture": self.architecture,
            "door": self.door,
            "cut": self.cut,
            "rows": self.rows,
            "differing": self.differing,
            "first_difference": first,
            "likely_cause": self.cause or None,
            "answer": self.answer,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Certificate:
    """The report over every door.

    Attributes:
        name: the model.
        version: its version in the repository, or `None`.
        digest: the package's digest.
        rows: the rows that fit the signature, which went through every door.
        refused: the rows that do not fit; they went through none.
        exactness: what the package's manifest says of it.
        golden_rows: how many golden rows every start replayed.
        shown: the input row whose answers are shown side by side, as JSON values.
        doors: a report for each door and cut.
        environment: Python, the machine's kind, and the libraries that computed the answers.
    """

    name: str
    version: int | None
    digest: str
    rows: int
    refused: int
    exactness: dict[str, Any]
    golden_rows: int
    shown: dict[str, Any]
    doors: Sequence[DoorReport]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether every door gave the same bits for every row."""
        return not self.differing

    @property
    def differing(self) -> int:
        """The rows that differed, summed over doors."""
        return sum(door.differing for door in self.doors)

    @property
    def answers(self) -> dict[str, dict[str, Any]]:
        """For each architecture, its answer to the row shown."""
        out: dict[str, dict[str, Any]] = {}
        for door in self.doors:
            if door.answer is not None:
                out.setdefault(door.architecture, door.answer)
        return out

    def to_json(self) -> dict[str, Any]:
        """The certificate as JSON values."""
        return {
            "certificate": 1,
            "equal": self.equal,
            "package": {"name": self.name, "version": self.version, "digest": self.digest},
            "rows": self.rows,
            "refused": self.refused,
            "differing": self.differing,
            "exactness": self.exactness,
            "golden_rows": self.golden_rows,
            "shown": {"input": self.shown, "answers": self.answers},
            "doors": [door.to_json() for door in self.doors],
            "environment": self.environment,
        }


def _difference(first: Difference) -> dict[str, Any]:
    return {"row": first.row, "field": first.field, "expected": _shown(first.expected), "got": _shown(first.got)}


def _shown(value: Any) -> Any:
    """A canonical value for a report: a float as its hexadecimal digits too, since decimals hide the last bits."""
    if isinstance(value, float):
        return {"decimal": repr(value), "bits": value.hex()}
    return value if isinstance(value, (bool, int, str, type(None))) else repr(value)
