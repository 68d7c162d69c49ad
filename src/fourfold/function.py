"""Compute the function of a package: canonical tables in, canonical tables out, whatever form the engine takes.

With some engines the answer for a row depends on the number of rows in the call (BLAS picks another kernel for another
shape). Such an engine is only called with blocks of one fixed size, the last one padded; `pack` measures which engines
need that. Only this file and the engine decide about the bits of an answer.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fourfold.errors import EngineError, PackageError, TableError, engine_failure
from fourfold.signature import Field, RowCoercer, Signature

if TYPE_CHECKING:
    from fourfold.runtimes.engine import Engine

__all__ = [
    "Function",
    "as_rows",
    "concatenate",
    "is_interruption",
    "slice_rows",
    "take_rows",
    "without_numeric_warnings",
]

#: The most rows of an engine call where the answers do not depend on their number; it bounds the memory of a call.
MAX_CALL_ROWS = 65_536


class Function:
    """Call an engine in blocks and check its answers against the signature; safe to call from many threads.

    Args:
        signature: the inputs and outputs.
        engine: the loaded engine.
        block: the rows of every engine call, or `None` where the answers do not depend on their number.
    """

    def __init__(self, signature: Signature, engine: Engine, block: int | None) -> None:
        self.signature = signature
        self.block = block
        self._engine = engine
        self._outputs = RowCoercer(signature.outputs)

    def __call__(self, table: Any) -> Any:
        """Return the canonical outputs of canonical inputs, in the same form: a list of rows or a `RecordBatch`.

        Raises:
            EngineError: the engine failed, or its answer does not fit the signature.
        """
        is_rows = isinstance(table, list)
        if not len(table):
            return self.empty(table)
        if self._engine.takes == "either":
            return concatenate(list(self._calls(table)), None)
        if self._engine.takes == "rows":
            rows = table if is_rows else _to_rows(table, self.signature.inputs)
            outputs = concatenate([self._check_rows(piece) for piece in self._calls(rows)], [])
            return outputs if is_rows else _to_columns(outputs, self.signature.outputs)
        batch = _to_columns(table, self.signature.inputs) if is_rows else table
        outputs = concatenate([self._check_columns(piece) for piece in self._calls(batch)], None)
        return _to_rows(outputs, self.signature.outputs) if is_rows else outputs

    def empty(self, like: Any) -> Any:
        """Return the outputs of no rows, in the form of `like`: a list of rows or a `RecordBatch`."""
        return [] if isinstance(like, list) else _to_columns([], self.signature.outputs)

    def as_taken(self, table: Any) -> Any:
        """Return canonical inputs in the form that the engine takes: who calls it with many parts converts once."""
        is_rows = isinstance(table, list)
        if is_rows and self._engine.takes == "columns":
            return _to_columns(table, self.signature.inputs)
        return _to_rows(table, self.signature.inputs) if not is_rows and self._engine.takes == "rows" else table

    def _calls(self, table: Any) -> Iterator[Any]:
        """Yield the engine's unchecked answer for each block of the table, without the answers for its padding."""
        step = self.block or MAX_CALL_ROWS
        for start in range(0, len(table), step):
            rows = slice_rows(table, start, start + step)
            padding = step - len(rows) if self.block else 0
            try:
                answer = self._engine.predict(_pad(rows, padding))
                answered = len(answer)
            except (EngineError, PackageError):
                raise
            # An engine, or a user's own function, may raise anything: also what callers take for errors of rows.
            except BaseException as error:
                if is_interruption(error):
                    raise
                raise engine_failure(error) from error
            if answered != len(rows) + padding:
                raise EngineError(f"the engine answered {answered} rows for {len(rows) + padding}")
            yield slice_rows(answer, 0, len(rows))

    def _check_rows(self, rows: Any) -> Any:
        coerced, errors = self._outputs(rows)
        if errors:
            problem = errors[0].describe_output()
            raise EngineError(f"the engine's answer does not fit the signature's outputs: {problem}")
        return coerced

    def _check_columns(self, batch: Any) -> Any:
        try:
            coerced, errors = self._output_columns(batch)
        except TableError as error:
            raise EngineError(f"the engine's answer does not fit the signature's outputs: {error}") from error
        if errors:
            problem = errors[0].describe_output()
            raise EngineError(f"the engine's answer does not fit the signature's outputs: {problem}")
        return coerced

    @cached_property
    def _output_columns(self) -> Any:
        from fourfold.signature.columns import ColumnCoercer  # pyarrow: an engine that takes rows needs none

        return ColumnCoercer(self.signature.outputs)


def is_interruption(error: BaseException) -> bool:
    """Return whether an error is the user's Ctrl-C, and not an engine's own `KeyboardInterrupt`.

    Python raises it in the main thread only, where nobody else handles the signal, and between two instructions: an
    engine's code raises it by a statement.
    """
    if (
        not isinstance(error, KeyboardInterrupt)
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        return False
    from opcode import opmap

    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None or frame.tb_frame.f_code.co_code[frame.tb_lasti] != opmap["RAISE_VARARGS"]:
        return True
    return error.__context__ is not None and is_interruption(error.__context__)  # caught, and raised anew


def without_numeric_warnings() -> AbstractContextManager[object]:
    """Return a context that silences NumPy's numeric warnings: edge cases overflow on purpose."""
    numpy = sys.modules.get("numpy")  # not imported here: an engine without NumPy causes no such warning
    context: AbstractContextManager[object] = nullcontext() if numpy is None else numpy.errstate(all="ignore")
    return context


def as_rows(fields: Sequence[Field], table: Any) -> list[dict[str, Any]]:
    """Return a canonical table, a list of rows or a `RecordBatch`, as a list of rows."""
    return table if isinstance(table, list) else _to_rows(table, fields)


def slice_rows(table: Any, start: int, stop: int) -> Any:
    """Return the rows from `start` to `stop` of a list of rows or a `RecordBatch`; a batch is not copied."""
    return table[start:stop] if isinstance(table, list) else table.slice(start, stop - start)


def take_rows(table: Any, indices: Sequence[int]) -> Any:
    """Return the rows with these indices, in their order, of a list of rows or a `RecordBatch`."""
    if isinstance(table, list):
        return [table[index] for index in indices]
    import pyarrow as pa

    return table.take(pa.array(indices, type=pa.int64()))


def concatenate(pieces: list[Any], empty: Any) -> Any:
    """Return lists of rows, or `RecordBatch`es, as one; `empty` where there are none."""
    if not pieces:
        return empty
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], list):
        return [row for piece in pieces for row in piece]
    import pyarrow as pa

    return pa.concat_batches(pieces)


def _pad(table: Any, padding: int) -> Any:
    """Repeat the table's first row at its end, `padding` times: the engine cannot fail on the padding alone."""
    return take_rows(table, [*range(len(table)), *[0] * padding]) if padding else table


def _to_columns(rows: Any, fields: Any) -> Any:
    from fourfold.signature.columns import rows_to_columns

    return rows_to_columns(fields, rows)


def _to_rows(batch: Any, fields: Any) -> Any:
    from fourfold.signature.columns import columns_to_rows

    return columns_to_rows(fields, batch)
