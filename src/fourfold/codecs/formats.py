"""List the formats: the module, the media types and the file suffixes of each."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ARROW", "CSV", "FORMATS", "JSON", "JSON_LINES", "PARQUET", "Format"]

JSON = "application/json"
JSON_LINES = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


class Format(NamedTuple):
    """Describe a format without importing its codec, which may need pyarrow.

    Attributes:
        module: the codec's module in this package.
        media_types: its names over HTTP, the one that replies carry first; `()` where it has none of its own.
        suffixes: the ends of its file names, in lower case.
        splits_labels: whether outputs with labels are written as one column for each label: a cell holds no array.
    """

    module: str
    media_types: tuple[str, ...]
    suffixes: tuple[str, ...]
    splits_labels: bool = False


FORMATS: dict[str, Format] = {
    "json": Format("json_rows", (JSON,), (".json",)),
    # Over HTTP these are JSON too: the body itself says that it holds columns.
    "json-columns": Format("json_columns", (), (".columns.json",)),
    "json-lines": Format(
        "json_lines",
        (JSON_LINES, "application/jsonl", "application/jsonlines", "application/x-jsonlines"),
        (".jsonl", ".ndjson"),
    ),
    "csv": Format("csv", (CSV,), (".csv",), splits_labels=True),
    "arrow": Format("arrow", (ARROW, "application/vnd.apache.arrow.file"), (".arrow", ".arrows", ".feather", ".ipc")),
    "parquet": Format("parquet", (PARQUET,), (".parquet",)),
}
