"""Group requests that arrive while the engine is busy into its next call.

The rule is: never wait. An idle engine takes whatever has arrived; requests that arrive while it is busy form the next
micro-batch. The answer to a request does not depend on its neighbours: where a merged call fails, every request that
the failure may concern is answered again, alone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fourfold.errors import RowErrors, engine_failure
from fourfold.predictor import Answer
from fourfold.protocols import Refused

__all__ = ["MicroBatcher", "answer_together"]

#: The result of one request: its answer, or the error that was raised.
Outcome = Answer | Exception


@dataclass(slots=True)
class _QueuedTable:
    """Hold a table that waits for its answer."""

    table: Any
    rows: int
    future: asyncio.Future[Answer]


class MicroBatcher:
    """Answer tables one micro-batch after the other, in their order of arrival.

    Lists of rows are merged with the lists right behind them in the queue; an Arrow table is answered alone. One event
    loop calls the methods; only the engine runs outside it, in one thread.

    Args:
        answer: the predictor's `answer`.
        max_rows: the most rows of a merged list.
        max_queued_rows: the most rows that may wait.

    Attributes:
        is_busy: whether the engine is at work.
    """

    def __init__(self, answer: Callable[[Any], Answer], *, max_rows: int, max_queued_rows: int) -> None:
        self._answer = answer
        self._max_rows = max_rows
        self._max_queued_rows = max_queued_rows
        self._waiting: deque[_QueuedTable] = deque()
        self._queued_rows = 0
        self._is_scheduled = False
        self._engine: _EngineThread | None = None
        self.is_busy = False

    def submit(self, table: Any) -> asyncio.Future[Answer]:
        """Queue a list of rows or an Arrow table; cancel the future to drop it while it waits.

        Raises:
            Refused: too many rows wait already; the client may try again later.
        """
        # A table without rows counts as one row: the queue must be bounded for these too.
        rows = max(1, len(table))
        if self._queued_rows and self._queued_rows + rows > self._max_queued_rows:
            raise Refused(
                503,
                "busy",
                f"{self._queued_rows} rows wait for an answer already, and {rows} more do not fit "
                f"({self._max_queued_rows} at most): try again in a second",
                {"retry-after": "1"},
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append(_QueuedTable(table, rows, future))
        self._queued_rows += rows
        self._schedule(loop)
        return future

    def close(self) -> None:
        """Drop the tables that wait, and end the thread after its current call."""
        for queued in self._waiting:
            queued.future.cancel()
        self._waiting.clear()
        self._queued_rows = 0
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.is_busy and not self._is_scheduled:
            # Not at once: other requests that arrived in this turn of the loop are about to be queued too.
            self._is_scheduled = True
            loop.call_soon(self._start_next)

    def _start_next(self) -> None:
        self._is_scheduled = False
        micro_batch = self._take()
        if not micro_batch:
            return
        self.is_busy = True
        try:
            self._run(micro_batch)
        except Exception as error:  # noqa: BLE001  # the thread cannot start: no memory, or too many threads
            self._finish(micro_batch, [error] * len(micro_batch))

    def _take(self) -> list[_QueuedTable]:
        """Take the next micro-batch out of the queue, and drop the tables whose clients have gone."""
        micro_batch: list[_QueuedTable] = []
        rows = 0
        while self._waiting:
            queued = self._waiting[0]
            if not queued.future.cancelled():
                if micro_batch:
                    can_merge = isinstance(micro_batch[0].table, list) and isinstance(queued.table, list)
                    if not can_merge or rows + queued.rows > self._max_rows:
                        break
                micro_batch.append(queued)
                rows += queued.rows
            self._waiting.popleft()
            self._queued_rows -= queued.rows
        return micro_batch

    def _run(self, micro_batch: list[_QueuedTable]) -> None:
        # Always in the thread, even for an engine that answers faster than a switch of threads takes.
        loop = asyncio.get_running_loop()
        if self._engine is None:
            self._engine = _EngineThread()
        tables = [queued.table for queued in micro_batch]
        self._engine.submit(
            lambda: _answer_or_fail(self._answer, tables),
            lambda outcomes: loop.call_soon_threadsafe(self._finish, micro_batch, outcomes),
        )

    def _finish(self, micro_batch: list[_QueuedTable], outcomes: list[Outcome]) -> None:
        self.is_busy = False
        for queued, outcome in zip(micro_batch, outcomes, strict=True):
            if queued.future.done():  # cancelled while the engine was at work
                continue
            if isinstance(outcome, Answer):
                queued.future.set_result(outcome)
            else:
                queued.future.set_exception(outcome)
        self._start_next()


def answer_together(answer: Callable[[Any], Answer], tables: Sequence[Any]) -> list[Outcome]:
    """Return the outcome of each table, from one call of `answer` if possible.

    Args:
        answer: the predictor's `answer`.
        tables: one table of any kind, or several lists of rows.

    Returns:
        For each table the outcome that it would have alone: its answer, or the error that `answer` raised.
    """
    if len(tables) == 1:
        return [_answer_alone(answer, tables[0])]
    try:
        merged = answer([row for table in tables for row in table])
    except BaseException:  # noqa: BLE001  # alone, the tables at fault raise it again, and the others get their answers
        return [_answer_alone(answer, table) for table in tables]
    if not merged.errors.are_all_built:  # so many that they were only counted, and nobody was answered
        return [_answer_alone(answer, table) for table in tables]
    outcomes: list[Outcome] = []
    start_row = start_kept = start_error = 0
    for table in tables:
        stop_row = start_row + len(table)
        stop_kept = bisect_left(merged.kept, stop_row, start_kept)
        stop_error = bisect_left(merged.errors, stop_row, start_error, key=lambda error: error.row)
        errors = merged.errors[start_error:stop_error]
        if any(error.code == "engine" for error in errors):
            outcomes.append(_answer_alone(answer, table))
        else:
            outcomes.append(
                Answer(
                    merged.outputs[start_kept:stop_kept],
                    [row - start_row for row in merged.kept[start_kept:stop_kept]],
                    RowErrors(replace(error, row=error.row - start_row) for error in errors),
                )
            )
        start_row, start_kept, start_error = stop_row, stop_kept, stop_error
    return outcomes


def _answer_alone(answer: Callable[[Any], Answer], table: Any) -> Outcome:
    try:
        return answer(table)
    except BaseException as error:  # noqa: BLE001  # raised where the request waits
        return _raisable(error)


def _answer_or_fail(answer: Callable[[Any], Answer], tables: Sequence[Any]) -> list[Outcome]:
    """Return what `answer_together` does; where it fails itself, for want of memory, every table gets that error."""
    try:
        return answer_together(answer, tables)
    except BaseException as error:  # noqa: BLE001  # the thread must live on, and no request may wait for ever
        return [_raisable(error)] * len(tables)


def _raisable(error: BaseException) -> Exception:
    """Return an error that a future may raise on the event loop: one that ends neither the loop nor the process."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = engine_failure(error)
    failure.__cause__ = error
    return failure


class _EngineThread:
    """Run one task after the other in a thread.

    Not a `ThreadPoolExecutor`: at its end, the interpreter waits for the threads of one, so an engine that never
    returns would keep the process alive.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="fourfold-engine", daemon=True).start()

    def submit(self, task: Callable[[], Any], done: Callable[[Any], Any]) -> None:
        """Call `task` in the thread, and then `done` with its result, there as well."""
        self._tasks.put((task, done))

    def close(self) -> None:
        """End the thread after the tasks that were submitted."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, done = item
            result = task()
            try:
                done(result)
            except RuntimeError:
                return  # the event loop is closed: no request waits any more
