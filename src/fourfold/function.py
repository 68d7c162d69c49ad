"""The function of a package: canonical tables to canonical tables, whatever the engine wants underneath.

Its block is part of it. An engine whose answer for a row depends on how many rows come along (BLAS picks another
kernel for another shape) is only ever called with blocks of one fixed size, the last one padded; `pack` finds out which
engines need that. Everything that decides about bits is in this file and in the engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fourfold.errors import EngineError, FourfoldError, shorten
from fourfold.signature import RowCoercer, Signature

if TYPE_CHECKING:
    from fourfold.runtimes.engine import Engine

__all__ = ["Function", "join", "part", "take", "without_numeric_warnings"]

#: The most rows that an engine sees at once where its answers do not depend on it: bounds the memory of a call.
CHUNK = 65_536


class Function:
    """An engine behind a signature, called in blocks. Safe to call from any number of threads.

    Args:
        signature: what goes in and what comes out.
        engine: the engine, loaded.
        block: the rows of every engine call, or `None` where the answers do not depend on them.
    """

    def __init__(self, signature: Signature, engine: Engine, block: int | None) -> None:
        self.signature = signature
        self.block = block
        self._engine = engine
        self._outputs = RowCoercer(signature.outputs)

    def __call__(self, table: Any) -> Any:
        """Canonical inputs to canonical outputs, in the form that came in: a list of rows or a `RecordBatch`.

        Raises:
            EngineError: the engine failed, or what it answers is not what the signature says.
        """
        rows_came = isinstance(table, list)
        if not len(table):
            return self.empty(table)
        if self._engine.takes == "either":
            return join(list(self._calls(table)), None)
        if self._engine.takes == "rows":
            rows = table if rows_came else _to_rows(table, self.signature.inputs)
            outputs = join([self._checked_rows(piece) for piece in self._calls(rows)], [])
            return outputs if rows_came else _to_columns(outputs, self.signature.outputs)
        batch = _to_columns(table, self.signature.inputs) if rows_came else table
        outputs = join([self._checked_columns(piece) for piece in self._calls(batch)], None)
        return _to_rows(outputs, self.signature.outputs) if rows_came else outputs

    def empty(self, like: Any) -> Any:
        """Outputs of no rows, in the form of `like`."""
        return [] if isinstance(like, list) else _to_columns([], self.signature.outputs)

    def _calls(self, table: Any) -> Iterator[Any]:
        """The engine's raw answer for every block of the table, without the rows that padded it."""
        step = self.block or CHUNK
        for start in range(0, len(table), step):
            piece = part(table, start, start + step)
            missing = step - len(piece) if self.block else 0
            try:
                answer = self._engine.predict(_pad(piece, missing))
            except FourfoldError:
                raise
            except Exception as error:  # an engine, or a user's own function, may raise anything
                raise EngineError(f"the engine failed: {type(error).__name__}: {shorten(str(error), 300)}") from error
            if len(answer) != len(piece) + missing:
                raise EngineError(f"the engine answered {len(answer)} rows for {len(piece) + missing}")
            yield part(answer, 0, len(piece))

    def _checked_rows(self, rows: Any) -> Any:
        coerced, errors = self._outputs(rows)
        if errors:
            raise EngineError(f"the engine's answer does not fit the signature's outputs: {errors[0]}")
        return coerced

    def _checked_columns(self, batch: Any) -> Any:
        coerced, errors = self._output_columns(batch)
        if errors:
            raise EngineError(f"the engine's answer does not fit the signature's outputs: {errors[0]}")
        return coerced

    @cached_property
    def _output_columns(self) -> Any:
        from fourfold.signature.columns import ColumnCoercer  # pyarrow: an engine that takes rows needs none

        return ColumnCoercer(self.signature.outputs)


def without_numeric_warnings() -> AbstractContextManager[object]:
    """While this lasts NumPy says nothing of overflows and the like: rows chosen to hurt are meant to cause them."""
    numpy = sys.modules.get("numpy")  # an engine that does not use it needs no silence
    silence: AbstractContextManager[object] = nullcontext() if numpy is None else numpy.errstate(all="ignore")
    return silence


def part(table: Any, start: int, stop: int) -> Any:
    """The rows from `start` to `stop` of a list of rows or a `RecordBatch`, without a copy of the batch."""
    return table[start:stop] if isinstance(table, list) else table.slice(start, stop - start)


def take(table: Any, rows: Sequence[int]) -> Any:
    """The named rows of a list of rows or a `RecordBatch`, in the order of `rows`."""
    if isinstance(table, list):
        return [table[row] for row in rows]
    import pyarrow as pa

    return table.take(pa.array(rows, type=pa.int64()))


def join(pieces: list[Any], empty: Any) -> Any:
    """Lists of rows, or `RecordBatch`es, one after the other; `empty` where there are none."""
    if not pieces:
        return empty
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], list):
        return [row for piece in pieces for row in piece]
    import pyarrow as pa

    return pa.concat_batches(pieces)


def _pad(table: Any, missing: int) -> Any:
    """The table with its first row repeated at its end: a real row, so the engine cannot fail on the padding alone."""
    return take(table, [*range(len(table)), *[0] * missing]) if missing else table


def _to_columns(rows: Any, fields: Any) -> Any:
    from fourfold.signature.columns import rows_to_columns

    return rows_to_columns(fields, rows)


def _to_rows(batch: Any, fields: Any) -> Any:
    from fourfold.signature.columns import columns_to_rows

    return columns_to_rows(fields, batch)
