"""Write the quarantine: the rows that could not be answered, unchanged, and the errors of each.

It is a file of JSON lines, because the values of rows at fault have no common type:

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

from fourfold.durable.reading import open_file
from fourfold.errors import RowError, SinkError, shorten

__all__ = ["Quarantine", "belongs_to_run", "json_value"]

#: The errors that the message about too many quarantined rows lists.
MAX_ERRORS_SHOWN = 5
#: The most bytes that are read of the first line of a quarantine; a longer one is another's.
MAX_LINE_BYTES = 64 * 2**20


class Quarantine:
    """Write rows at fault to a file, which is created with the first of them.

    Args:
        path: where to write.
        run_key: the key of the run, which is in every line.

    Attributes:
        rows: the number of quarantined rows.
        reasons: the number of errors of each field and code.
        first_errors: a sentence for each of the first errors.
    """

    def __init__(self, path: Path, run_key: str) -> None:
        self.path = path
        self.rows = 0
        self.reasons: Counter[tuple[str | None, str]] = Counter()
        self.first_errors: list[str] = []
        self._run_key = run_key
        self._file: IO[bytes] | None = None

    def add(self, file: str, start: int, rows: Iterable[tuple[Sequence[RowError], Mapping[str, Any] | Any]]) -> None:
        """Add rows of a chunk.

        Args:
            file: the path of their source file.
            start: the index of the chunk's first row in that file, from 0.
            rows: for each row its errors, at least one, and its original columns.

        Raises:
            SinkError: the file cannot be written.
        """
        lines = []
        for errors, columns in rows:
            self.rows += 1
            row = start + errors[0].row
            self.reasons.update((error.field, error.code) for error in errors)
            self._add_first_errors(file, row, errors)
            lines.append(self._line(file, row, errors, columns))
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(b"".join(lines))
        except OSError as error:
            raise self._sink_error(error) from error

    def _add_first_errors(self, file: str, row: int, errors: Sequence[RowError]) -> None:
        for error in errors[: MAX_ERRORS_SHOWN - len(self.first_errors)]:
            field = "" if error.field is None else f", field {shorten(error.field)}"
            self.first_errors.append(f"{file}, row {row}{field}: expected {error.expected}, got {error.shown}")

    def _line(self, file: str, row: int, errors: Sequence[RowError], columns: Any) -> bytes:
        shown = [{key: value for key, value in error.to_json().items() if key != "row"} for error in errors]
        line = {"file": file, "row": row, "errors": shown, "columns": json_value(columns), "run": self._run_key}
        try:
            return json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        except UnicodeEncodeError:  # half of a surrogate pair is no UTF-8; it may be the error itself
            return json.dumps(line, allow_nan=False).encode() + b"\n"

    def close(self) -> bool:
        """Close the file, and return whether there is one.

        Raises:
            SinkError: the last rows cannot be written.
        """
        if self._file is None:
            return False
        try:
            self._file.close()
        except OSError as error:
            raise self._sink_error(error) from error
        return True

    def abort(self) -> None:
        """Close the file without raising."""
        try:
            self.close()
        except SinkError:
            # The error that ended the run is the one to show. The file is removed with the staging folder.
            return

    def _sink_error(self, error: OSError) -> SinkError:
        return SinkError(f"the quarantine {self.path} cannot be written: {error.strerror or error}")


def belongs_to_run(path: Path, run_key: str) -> bool:
    """Return whether an earlier attempt of the run with this key wrote the quarantine."""
    try:
        with open_file(path, follow=False) as file:
            line = json.loads(file.readline(MAX_LINE_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(line, dict) and line.get("run") == run_key


def json_value(value: Any) -> Any:
    """Return a source value as a JSON value, or as text where JSON has no such value."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, date):  # or a `datetime`, its subclass
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    return str(value)
