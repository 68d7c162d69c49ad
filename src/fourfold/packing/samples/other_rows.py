"""Read the packing rows beside the sample: every one of them must be answered within the tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fourfold import tables
from fourfold.signature import Signature
from fourfold.signature.columns import rows_to_columns

__all__ = ["OtherRows"]

#: The rows that are canonical at the same time while they are read.
CHUNK_ROWS = 65_536


class OtherRows:
    """Hold the packing rows that are not in the sample; they are read when they are asked for, and kept.

    Args:
        rows: all packing rows, in the container in which they came.
        signature: the package's signature.
        sampled: the indices of the rows in the sample.
    """

    def __init__(self, rows: Any, signature: Signature, sampled: list[int]) -> None:
        self._rows = rows
        self._signature = signature
        in_sample = set(sampled)
        self._indices = [index for index in range(tables.length(rows)) if index not in in_sample]
        self._chunks: list[Any] | None = None

    def chunks(self) -> list[Any]:
        """Return the rows that fit the signature, as canonical `RecordBatch`es."""
        if self._chunks is None:
            self._chunks = [chunk for chunk in self._read() if chunk.num_rows]
        return self._chunks

    def _read(self) -> Iterator[Any]:
        inputs = self._signature.inputs
        for start in range(0, len(self._indices), CHUNK_ROWS):
            taken = tables.take(self._rows, self._indices[start : start + CHUNK_ROWS])
            table, errors = tables.read(taken, inputs, "ignore")
            if isinstance(table, list):
                yield rows_to_columns(inputs, [row for row in table if row is not None])
                continue
            unfit = {error.row for error in errors}
            yield table.take([row for row in range(table.num_rows) if row not in unfit]) if unfit else table
