"""Read all rows of a file at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fourfold.signature import Field

__all__ = ["read_rows"]


def read_rows(path: Path, fields: Sequence[Field], limit: int | None = None) -> Any:
    """Return the rows of a file as one table: an Arrow table, or a list of rows if the format has no types.

    Args:
        path: the file; its suffix names the format.
        fields: the fields, whose dtypes tell how CSV cells are read; all columns are read.
        limit: the most rows to read; `None` for all.

    Raises:
        SourceError: the file cannot be read, or its suffix names no format.
        DecodeError: the file is not of the format that its suffix names.
    """
    from fourfold import codecs

    chunks: list[Any] = []
    count = 0
    for chunk in codecs.by_suffix(path).read(path, fields, 65_536):
        chunks.append(chunk if limit is None else chunk[: limit - count])
        count += len(chunks[-1])
        if limit is not None and count >= limit:
            break
    return _concatenate(chunks)


def _concatenate(chunks: list[Any]) -> Any:
    if any(isinstance(chunk, list) for chunk in chunks) or not chunks:
        return [row for chunk in chunks for row in (chunk if isinstance(chunk, list) else chunk.to_pylist())]
    import pyarrow as pa

    return pa.Table.from_batches([batch for chunk in chunks for batch in _batches(chunk)])


def _batches(chunk: Any) -> list[Any]:
    batches: list[Any] = chunk.to_batches() if hasattr(chunk, "to_batches") else [chunk]
    return batches
