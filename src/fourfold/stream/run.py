"""The streaming process: source → predictor → sink, every event as it comes."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from heapq import merge

from fourfold.errors import FourfoldError, SinkError, SourceError
from fourfold.predictor import Predictor
from fourfold.stream.dead_letter_limit import Bound
from fourfold.stream.dead_letters import DeadLetter, encode
from fourfold.stream.delivery import default_dead_letters, delivery
from fourfold.stream.delivery.protocol import Contents, Delivery
from fourfold.stream.job import Job
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Batch, Position
from fourfold.stream.passthrough import Keeper
from fourfold.stream.predict import Scored, Scorer
from fourfold.stream.report import Ended, Report
from fourfold.stream.sinks import open_sink
from fourfold.stream.sinks.pipes import PipeSink
from fourfold.stream.sinks.protocol import ReaderGone, Sink
from fourfold.stream.sources import open_source
from fourfold.stream.sources.protocol import Source

__all__ = ["OnProgress", "run"]

#: Called after each delivery with the report so far.
OnProgress = Callable[[Report], object]


def run(
    predictor: Predictor,
    job: Job,
    *,
    stop: threading.Event | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Answer every event of a source, as it comes, until the source ends or the run is stopped.

    From file to file every event is answered exactly once, whatever kills the process, as long as it is started again
    with the same job. With a pipe at one end there is no such promise (docs/stream.md says what there is).

    Args:
        predictor: the package, loaded.
        job: where events come from, where answers and dead letters go, and the limits.
        stop: set it, from a signal handler or another thread, to end the run after the events in hand.
        on_progress: called after every delivery.

    Returns:
        The report of this run.

    Raises:
        SignatureError: a name to keep is an output's, or stands there twice.
        SourceError: the source cannot be read, or is not the one that the output was made from; or more events died
            than `max_dead` allows, and all before the one that was too many are delivered.
        SinkError: an output cannot be written, or another process writes it.
        OutputExists: the output is there, and was not made by this package from this input.
        EngineError: the engine fails on every event, so it is not the events that are at fault.
    """
    source = open_source(job.source) if isinstance(job.source, (str, os.PathLike)) else job.source
    sink = _opened_sink(job.sink)
    dead_letters = default_dead_letters(sink) if job.dead_letters is None else _opened_sink(job.dead_letters)
    keeper = Keeper(job.keep, predictor.signature)
    contents = Contents(predictor.digest, keeper.names)
    ends = delivery(source, sink, dead_letters, contents, job.limits, replace=job.replace)
    one_pipe = isinstance(sink, PipeSink) and isinstance(dead_letters, PipeSink) and sink.pipe == dead_letters.pipe
    writer = _Writer(predictor.name, predictor.digest, one_pipe=one_pipe)
    scorer = Scorer(predictor, keeper, job.limits.line)
    processor = _Processor(source, scorer, Bound(job.max_dead), writer, ends, job.limits)
    try:
        return processor.run(stop or threading.Event(), on_progress)
    finally:
        ends.close()


def _opened_sink(sink: str | os.PathLike[str] | Sink) -> Sink:
    return open_sink(sink) if isinstance(sink, (str, os.PathLike)) else sink


class _Writer:
    """Turns what became of a batch into the bytes for both sinks."""

    def __init__(self, model: str, digest: str, *, one_pipe: bool) -> None:
        self._model = model
        self._digest = digest
        self._one_pipe = one_pipe

    def __call__(self, batch: Batch, scored: Scored, count: int) -> tuple[bytes, bytes]:
        """The answers and the dead letters of the first `count` lines; together where one pipe takes both."""
        answers = scored.answers[: bisect_left(scored.indexes, count)]
        dead = [letter for letter in scored.dead if letter.index < count]
        if not self._one_pipe:
            return _joined(answers), _joined([self._letter(batch, letter) for letter in dead])
        letters = ((letter.index, self._letter(batch, letter)) for letter in dead)
        return _joined([line for _, line in merge(zip(scored.indexes, answers, strict=False), letters)]), b""

    def _letter(self, batch: Batch, letter: DeadLetter) -> bytes:
        return encode(letter, batch.lines[letter.index], batch.where(letter.index), self._model, self._digest)


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"\n".join([*lines, b""])


class _Processor:
    """One run."""

    def __init__(
        self, source: Source, scorer: Scorer, bound: Bound, writer: _Writer, ends: Delivery, limits: Limits
    ) -> None:
        self._source = source
        self._scorer = scorer
        self._bound = bound
        self._writer = writer
        self._ends = ends
        self._limits = limits
        self._position = Position()

    def run(self, stop: threading.Event, on_progress: OnProgress | None) -> Report:
        """As `run`, on ends that nobody has opened yet."""
        began = time.monotonic()
        start = self._ends.start()
        self._bound.tally = start.tally
        self._position = start.position
        before = start.tally

        def report(ended: Ended) -> Report:
            tally = self._bound.tally
            events, dead = tally.events - before.events, tally.dead - before.dead
            return Report(
                events=events,
                answered=events - dead,
                dead=dead,
                seconds=time.monotonic() - began,
                ended=ended,
                offset=self._position.offset,
                size=self._source.size,
                continued=start.continued,
            )

        try:
            for batch in self._batches(stop):
                self._process(batch)
                if on_progress is not None:
                    on_progress(report("running"))
            self._ends.commit()
        except ReaderGone:
            self._ends.commit()
            return report("reader")
        except SinkError:
            raise
        except FourfoldError:
            self._ends.commit()  # the fault is not the sink's: what was delivered shall not be done again
            raise
        return report("end" if self._source.ended else "stopped")

    def _batches(self, stop: threading.Event) -> Iterator[Batch]:
        """Poll, then drain: wait only where nothing is there, and commit before."""
        while not stop.is_set():
            batch = self._source.take(self._limits)
            if batch is not None:
                yield batch
                if self._ends.is_due:
                    self._ends.commit()
                continue
            self._ends.commit()
            if self._source.ended:
                return
            self._source.wait(stop)

    def _process(self, batch: Batch) -> None:
        """Answer a batch and deliver what came of it.

        Raises:
            SourceError: too many events are dead.
        """
        before = self._bound.tally
        scored = self._scorer(batch)
        count = self._count(batch, scored)
        answers, letters = self._writer(batch, scored, count)
        try:
            self._ends.deliver(answers, letters, batch.after(count), self._bound.tally)
        except BaseException:
            self._bound.tally = before  # a report counts what was delivered
            raise
        self._position = batch.after(count)
        if count < len(batch.lines):
            self._raise_too_many(batch, next(letter for letter in scored.dead if letter.index == count))

    def _count(self, batch: Batch, scored: Scored) -> int:
        """Count what became of the lines; how many of them come before the dead letter that is one too many."""
        done = 0
        for letter in scored.dead:
            answered = bisect_left(scored.indexes, letter.index)
            self._bound.good(answered - done)
            done = answered
            if not self._bound.dead():
                return letter.index
        self._bound.good(len(scored.indexes) - done)
        return len(batch.lines)

    def _raise_too_many(self, batch: Batch, letter: DeadLetter) -> None:
        where = batch.where(letter.index)
        tally = self._bound.tally
        place = ", ".join(f"{key} {value}" for key, value in where.items())
        raise SourceError(
            f"too many dead letters: {tally.dead + 1} of {tally.events + 1} events, which is more than {self._bound} "
            f"allows. Stopped before the event at {place} of {self._source.name}; all before it were delivered. "
            f"It failed to {letter.stage}: {letter.errors[0]}"
        )
