"""The report of a run: what a person wants to find the next morning."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What a run did.

    Attributes:
        rows_in: the rows read.
        rows_out: the rows answered and written.
        quarantined: the rows in the quarantine; `rows_in` is the sum of the two.
        chunks: the chunks that the rows were read in.
        seconds: how long the run took.
        output: the file written.
        quarantine: the file of the rows at fault, or `None` where there were none.
        report: the file that holds this report.
        model: the package's name.
        version: its version, where a repository gave it.
        digest: its digest.
        run_key: names the work: the same for the same package, job and source files.
        started: when the run began, in UTC, as ISO 8601.
        absent: the input fields that no source file has a column for; they were missing in every row.
        reasons: how many values were at fault and why, as `{"field", "code", "count"}`, the most frequent first.
        sources: what each source file was, as `{"path", "size", "modified_ns", "inode"}`.
    """

    rows_in: int
    rows_out: int
    quarantined: int
    chunks: int
    seconds: float
    output: str
    quarantine: str | None
    report: str
    model: str
    version: int | None
    digest: str
    run_key: str
    started: str
    absent: list[str]
    reasons: list[dict[str, Any]] = field(repr=False)
    sources: list[dict[str, Any]] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, in the order of its attributes."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def encode(self) -> bytes:
        """The report as the JSON text that lies beside the output."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"
