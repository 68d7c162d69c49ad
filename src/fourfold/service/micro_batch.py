"""Micro-batches: requests that arrive while the engine is busy share its next call.

The rule is: never wait. What has arrived is taken; while the engine is busy, what arrives queues and becomes the next
micro-batch. What a request gets does not depend on its neighbours: where a merged call finds the engine at fault, every
request it concerns is answered again, alone.
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

from fourfold.predictor import Answer
from fourfold.protocols import Refused

__all__ = ["MicroBatcher", "answer_together"]

#: What came of one request: its answer, or what was raised.
Outcome = Answer | Exception


@dataclass(slots=True)
class _Job:
    """A table that waits for its answer."""

    table: Any
    rows: int
    future: asyncio.Future[Answer]


class MicroBatcher:
    """Answers tables one micro-batch after the other, in one thread of its own, in the order in which they came.

    Lists of rows are merged with the lists that wait right behind them; an Arrow table is answered alone. It belongs to
    the event loop that calls it; only the engine's work leaves that loop.

    Args:
        answer: the predictor's `answer`.
        max_rows: the most rows that lists are merged to.
        max_queued_rows: the most rows that may wait.
    """

    def __init__(self, answer: Callable[[Any], Answer], *, max_rows: int, max_queued_rows: int) -> None:
        self._answer = answer
        self._max_rows = max_rows
        self._max_queued_rows = max_queued_rows
        self._waiting: deque[_Job] = deque()
        self._queued_rows = 0
        self._scheduled = False
        self._worker: _Worker | None = None
        self.busy = False

    def submit(self, table: Any) -> asyncio.Future[Answer]:
        """Queue a table, a list of rows or an Arrow table; cancel the future to drop it while it waits.

        Raises:
            Refused: so many rows wait already that this one must come back later.
        """
        # A table without rows takes a place as well: the queue is bounded, whatever comes.
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
        self._waiting.append(_Job(table, rows, future))
        self._queued_rows += rows
        self._schedule(loop)
        return future

    def close(self) -> None:
        """End the thread, after the call that it is in; what waits is dropped."""
        for job in self._waiting:
            job.future.cancel()
        self._waiting.clear()
        self._queued_rows = 0
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.busy and not self._scheduled:
            # Not at once: the requests that arrived in this turn of the loop are on their way here, too.
            self._scheduled = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        self._scheduled = False
        jobs = self._take()
        if jobs:
            self.busy = True
            self._run(jobs)

    def _take(self) -> list[_Job]:
        """The jobs of the next micro-batch; those whose clients are gone are dropped."""
        jobs: list[_Job] = []
        rows = 0
        while self._waiting:
            job = self._waiting[0]
            if not job.future.cancelled():
                if jobs and not (_merges(jobs[0]) and _merges(job) and rows + job.rows <= self._max_rows):
                    break
                jobs.append(job)
                rows += job.rows
            self._waiting.popleft()
            self._queued_rows -= job.rows
        return jobs

    def _run(self, jobs: list[_Job]) -> None:
        # An engine that answers within a fraction of a millisecond would be called here, on the loop, one day.
        loop = asyncio.get_running_loop()
        if self._worker is None:
            self._worker = _Worker()
        tables = [job.table for job in jobs]
        self._worker.do(
            lambda: answer_together(self._answer, tables),
            lambda outcomes: loop.call_soon_threadsafe(self._done, jobs, outcomes),
        )

    def _done(self, jobs: list[_Job], outcomes: list[Outcome]) -> None:
        self.busy = False
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.future.done():  # cancelled while the engine worked on it
                continue
            if isinstance(outcome, Answer):
                job.future.set_result(outcome)
            else:
                job.future.set_exception(outcome)
        self._next()


def _merges(job: _Job) -> bool:
    return isinstance(job.table, list)


def answer_together(answer: Callable[[Any], Answer], tables: Sequence[Any]) -> list[Outcome]:
    """What each table gets, from one call of `answer` where they can share it.

    Args:
        answer: the predictor's `answer`.
        tables: one table of any kind, or several lists of rows.

    Returns:
        For each table what it would get alone: its answer, or what `answer` raised.
    """
    if len(tables) == 1:
        return [_alone(answer, tables[0])]
    try:
        whole = answer([row for table in tables for row in table])
    except Exception:  # noqa: BLE001  # whoever is at fault gets it again, below; the others get their answers
        return [_alone(answer, table) for table in tables]
    outcomes: list[Outcome] = []
    start = kept = found = 0
    for table in tables:
        stop = start + len(table)
        next_kept = bisect_left(whole.kept, stop, kept)
        next_found = bisect_left(whole.errors, stop, found, key=lambda error: error.row)
        errors = whole.errors[found:next_found]
        if any(error.code == "engine" for error in errors):
            outcomes.append(_alone(answer, table))
        else:
            outcomes.append(
                Answer(
                    whole.outputs[kept:next_kept],
                    [row - start for row in whole.kept[kept:next_kept]],
                    [replace(error, row=error.row - start) for error in errors],
                )
            )
        start, kept, found = stop, next_kept, next_found
    return outcomes


def _alone(answer: Callable[[Any], Answer], table: Any) -> Outcome:
    try:
        return answer(table)
    except Exception as error:  # noqa: BLE001  # it is raised where the request waits
        return error


class _Worker:
    """One thread that does one thing after the other.

    Not a `ThreadPoolExecutor`: the interpreter waits for the threads of one when it ends, and an engine that never
    returns would keep the process from ever ending.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="fourfold-engine", daemon=True).start()

    def do(self, work: Callable[[], Any], done: Callable[[Any], Any]) -> None:
        """Do `work` in the thread, then call `done` there with what came of it."""
        self._tasks.put((work, done))

    def close(self) -> None:
        """End the thread when it has done what it has to do."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            work, done = task
            result = work()
            try:
                done(result)
            except RuntimeError:
                return  # the event loop is closed: nobody waits for an answer any more
