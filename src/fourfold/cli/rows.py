"""Read all rows of a file at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fourfold.signature import Field

__all__ = ["read_rows"]


def read_rows(path: Path, fields: Sequence[Field], limit: int | None = None, absent: Collection[str] = ()) -> Any:
    """Return the rows of a file as one table: an Arrow table, or a list of rows if the format has no types.

    Args:
        path: the file; its suffix names the format.
        fields: the fields, whose dtypes tell how CSV cells are read, and whose columns are.
        limit: the most rows to read; `None` for all.
        absent: the nullable fields whose column may be absent.

    Raises:
        SourceError: the file cannot be read, or its suffix names no format.
        DecodeError: the file is not of the format that its suffix names.
        TableError: it lacks the column of a field that is not in `absent`.
    """
    from fourfold import codecs
    from fourfold.signature.table_columns import check_absent, check_columns

    codec = codecs.by_suffix(path)
    names = codec.names(path)
    if names is None:
        check_absent(fields, absent)
    else:
        check_columns(fields, names, "ignore", absent, advice="--absent {}", has_header=path.suffix.lower() == ".csv")
    chunks: list[Any] = []
    count = 0
    # Only the fields' columns: another may be there twice. Without any, all, which keep the number of rows.
    columns = [field.name for field in fields if names is not None and field.name in names] or None
    for chunk in codec.read(path, fields, 65_536, columns):
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
