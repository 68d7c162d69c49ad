"""Define the certificate: the report that the architectures agree, or where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fourfold import notebook
from fourfold.errors import counted, shorten
from fourfold.signature.bits import Difference

__all__ = ["Certificate", "DoorReport"]

#: The most outputs whose answers a notebook shows side by side, and the most differences that it shows.
MAX_OUTPUTS_SHOWN = 8
MAX_DIFFERENCES_SHOWN = 8


@dataclass(frozen=True)
class DoorReport:
    """Report the answers of one door to the rows in one batching.

    Attributes:
        architecture: `service`, `stream`, `batch` or `embed`.
        door: the name of the door, such as `POST /predict, CSV`.
        batching: the order and the sizes of the batches in which they were sent, such as `odd-sized batches`.
        rows: the number of rows that were sent.
        differing: the number of rows that came back with other bits, or not at all.
        first: the first difference, or `None`.
        cause: its likely cause, in words; empty where nothing differs.
        answer: the answer to the row that the certificate shows, as JSON values; `None` where there was none.
        seconds: the time until the last answer; it includes the start of a command, where the door starts one.
    """

    architecture: str
    door: str
    batching: str
    rows: int
    differing: int
    first: Difference | None
    cause: str
    answer: dict[str, Any] | None
    seconds: float

    @property
    def difference_line(self) -> str:
        """Return the first difference in words, and its likely cause; empty where nothing differs."""
        if self.first is None:
            return ""
        where = f"{self.architecture}, {self.door}, {self.batching}: row {self.first.row}, field {self.first.field}"
        values = f"expected {shorten(self.first.expected)}, got {shorten(self.first.got)}"
        return f"{where}: {values}; likely cause: {self.cause}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        first = None if self.first is None else _difference_json(self.first)
        return {
            "architecture": self.architecture,
            "door": self.door,
            "cut": self.batching,
            "rows": self.rows,
            "differing": self.differing,
            "first_difference": first,
            "likely_cause": self.cause or None,
            "answer": self.answer,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, repr=False)
class Certificate:
    """Report whether the doors agree.

    Attributes:
        name: the package's name.
        version: its version in the repository, or `None`.
        digest: the package's digest.
        rows: the number of rows that were sent through every door.
        refused: the number of rows that do not fit the signature, or that the engine refuses; they were not sent.
        exactness: the entry `exactness` of the package's manifest.
        golden_rows: the number of golden rows that were replayed when the package was loaded.
        shown: the input row whose answers are shown side by side, as JSON values.
        doors: a report for each door and batching.
        environment: the versions of Python, Fourfold and the package's libraries, and the kind of machine.
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
        """Return whether every door gave the same bits for every row."""
        return not self.differing

    @property
    def differing(self) -> int:
        """Return the number of rows that differed, summed over `doors`."""
        return sum(door.differing for door in self.doors)

    @property
    def by_architecture(self) -> list[tuple[str, int, int, int]]:
        """Return for each architecture its number of doors, and of the rows that were sent and that differed."""
        counts = []
        for architecture in dict.fromkeys(door.architecture for door in self.doors):
            reports = [door for door in self.doors if door.architecture == architecture]
            rows, differing = sum(door.rows for door in reports), sum(door.differing for door in reports)
            counts.append((architecture, len({door.door for door in reports}), rows, differing))
        return counts

    @property
    def verdict(self) -> str:
        """Return whether the doors agree, in words."""
        return "the same bits everywhere" if self.equal else f"{counted(self.differing, 'answer')} differ"

    @property
    def answers(self) -> dict[str, dict[str, Any]]:
        """Return each architecture's answer to the row shown."""
        answers: dict[str, dict[str, Any]] = {}
        for door in self.doors:
            if door.answer is not None:
                answers.setdefault(door.architecture, door.answer)
        return answers

    def __repr__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"<Certificate {self.name}{version} {self.digest[:19]}: {counted(self.rows, 'row')}, {self.verdict}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a line for each architecture, its answer to one row, and what differs."""
        version = "" if self.version is None else f":{self.version}"
        answers = self.answers
        one_row = [(name, *(_bits(answers[name].get(field)) for field in self._outputs)) for name in answers]
        differing = [door for door in self.doors if door.first is not None]
        refused = f", {counted(self.refused, 'row')} left out" if self.refused else ""
        return notebook.block(
            notebook.heading(f"certificate of {self.name}{version}", self.digest),
            notebook.table(
                ("architecture", "doors#", "rows sent#", "differing#"),
                [(name, *(f"{number:,}" for number in numbers)) for name, *numbers in self.by_architecture],
            ),
            notebook.line("one row: " + ", ".join(f"{name}={value}" for name, value in self.shown.items())),
            notebook.table(("architecture", *self._outputs), one_row) if one_row else "",
            *(notebook.line(door.difference_line) for door in differing[:MAX_DIFFERENCES_SHOWN]),
            notebook.line(
                f"{counted(self.rows, 'row')}{refused}, {counted(self.golden_rows, 'golden row')} at every start"
            ),
            notebook.line(self.verdict, is_strong=True),
        )

    @property
    def _outputs(self) -> list[str]:
        """Return the names of the outputs whose answers are shown: the first few."""
        return list(next(iter(self.answers.values()), {}))[:MAX_OUTPUTS_SHOWN]

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as JSON values."""
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


def _bits(value: Any) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else str(value)


def _difference_json(first: Difference) -> dict[str, Any]:
    expected, got = _value_json(first.expected), _value_json(first.got)
    return {"row": first.row, "field": first.field, "expected": expected, "got": got}


def _value_json(value: Any) -> Any:
    """Return a value as JSON; a float in hexadecimal digits too, because decimals hide its last bits."""
    if isinstance(value, float):
        return {"decimal": repr(value), "bits": value.hex()}
    return value if isinstance(value, (bool, int, str, type(None))) else repr(value)
