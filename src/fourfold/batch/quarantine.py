"""Quarantine: the rows that could not be answered, as they came, with what is wrong with each.

A file of JSON lines, because rows at fault are just those whose values have no one type:

    {"file": "june.csv", "row": 17,
     "errors": [{"field": "distance", "code": "type", "expected": "float64", "got": "'far'"}],
     "columns": {"id": "4711", "distance": "far"}, "run": "5be1…"}
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import IO, Any

from fourfold.errors import RowError, SinkError, shorten

__all__ = ["Quarantine", "belongs_to", "json_value"]

#: The rows that a message about too many of them names.
SHOWN = 5


class Quarantine:
    """Collects the rows at fault in a file that only comes into being with the first of them.

    Args:
        path: where to write.
        run_key: the run's key, which every line carries.

    Attributes:
        rows: how many rows were quarantined.
        reasons: how many errors there were of each field and code.
        first: the first few errors, as messages name them.
    """

    def __init__(self, path: Path, run_key: str) -> None:
        self.path = path
        self.rows = 0
        self.reasons: Counter[tuple[str | None, str]] = Counter()
        self.first: list[str] = []
        self._run_key = run_key
        self._file: IO[bytes] | None = None

    def add(self, file: str, start: int, rows: Iterable[tuple[Sequence[RowError], Mapping[str, Any] | Any]]) -> None:
        """Add rows of a chunk.

        Args:
            file: the source file that they stand in.
            start: the number, from 0, that the chunk's first row has in that file.
            rows: for each row its errors, at least one, and its columns as they came.

        Raises:
            SinkError: they cannot be written.
        """
        lines = []
        for errors, columns in rows:
            self.rows += 1
            number = start + errors[0].row
            self.reasons.update((error.field, error.code) for error in errors)
            self._remember(file, number, errors)
            lines.append(self._line(file, number, errors, columns))
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(b"".join(lines))
        except OSError as error:
            raise self._refused(error) from error

    def _remember(self, file: str, number: int, errors: Sequence[RowError]) -> None:
        for error in errors[: SHOWN - len(self.first)]:
            where = "" if error.field is None else f", field {shorten(error.field)}"
            self.first.append(f"{file}, row {number}{where}: expected {error.expected}, got {error.got}")

    def _line(self, file: str, number: int, errors: Sequence[RowError], columns: Any) -> bytes:
        found = [{key: value for key, value in error.to_json().items() if key != "row"} for error in errors]
        line = {"file": file, "row": number, "errors": found, "columns": json_value(columns), "run": self._run_key}
        try:
            return json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        except UnicodeEncodeError:  # half of a surrogate pair is no text, which may be just what is wrong with the row
            return json.dumps(line, allow_nan=False).encode() + b"\n"

    def close(self) -> bool:
        """Close the file, and say whether there is one.

        Raises:
            SinkError: the last rows cannot be written.
        """
        if self._file is None:
            return False
        try:
            self._file.close()
        except OSError as error:
            raise self._refused(error) from error
        return True

    def abort(self) -> None:
        """Close the file, whatever becomes of it."""
        try:
            self.close()
        except SinkError:
            # The error that ends the run is the one to show, and the file goes away with the staging folder.
            return

    def _refused(self, error: OSError) -> SinkError:
        return SinkError(f"the quarantine {self.path} cannot be written: {error.strerror or error}")


def belongs_to(path: Path, run_key: str) -> bool:
    """Whether a quarantine was written by an earlier attempt of the run that has this key."""
    try:
        with path.open("rb") as file:
            line = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(line, dict) and line.get("run") == run_key


def json_value(value: Any) -> Any:
    """A value of a source as JSON: itself where JSON has it, its text otherwise."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, date):  # and `datetime`, which is one
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(each) for each in value]
    return str(value)
