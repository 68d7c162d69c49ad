"""Report what a run did: counts, errors, package and source files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """Describe what a run did.

    Attributes:
        rows_in: the number of rows read: `rows_out` + `quarantined`.
        rows_out: the number of rows answered and written.
        quarantined: the number of rows in the quarantine.
        chunks: the number of chunks that were read.
        seconds: the time that the run took.
        output: the path of the output.
        quarantine: the path of the quarantine, or `None` where no row was at fault.
        report: the path of this report.
        model: the package's name.
        version: its version, where a repository gave it.
        digest: its digest.
        run_key: the name of the work, equal for the same package, job and source files.
        started: the start of the run, in UTC, as ISO 8601.
        absent: the input fields without a column in any source file; they were missing in every row.
        reasons: the number of values at fault by field and code, as `{"field", "code", "count"}`, most frequent first.
        sources: the state of each source file at the start, as `{"path", "size", "modified_ns", "inode"}`.
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
        """Return the report as JSON values, in the order of its attributes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def encode(self) -> bytes:
        """Return the report as the JSON text that is written beside the output."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"
