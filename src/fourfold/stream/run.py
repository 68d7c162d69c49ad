"""Run a stream: take events as they come, predict, deliver the answers, commit."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import merge

from fourfold.codecs import Bounds
from fourfold.errors import FourfoldError, SinkError, SourceError
from fourfold.predictor import Predictor
from fourfold.signature.first_records import MAX_FIRST_RECORDS
from fourfold.signature.table_columns import check_absent
from fourfold.stream.dead_letter_limit import DeadLetterLimit
from fourfold.stream.dead_letters import DeadLetter, encode_dead_letter
from fourfold.stream.delivery import choose_delivery, default_dead_letters
from fourfold.stream.delivery.protocol import Delivery, OutputContents
from fourfold.stream.first_events import check_first_events
from fourfold.stream.job import Job
from fourfold.stream.limits import Limits
from fourfold.stream.lines import EventBatch, Position
from fourfold.stream.passthrough import PassThrough
from fourfold.stream.predict import EventAnswers, EventPredictor
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

    From file to file every event is answered exactly once, even if the process is killed, as long as it is started
    again with the same job. With a pipe at one end there is no such promise (see docs/stream.md).

    Args:
        predictor: the package, loaded.
        job: the source and the sinks, the fields that pass through, and the limits.
        stop: set it, from a signal handler or another thread, to end the run after the events at hand.
        on_progress: called after every delivery.

    Returns:
        The report of this run.

    Raises:
        SignatureError: a name in `keep` is also an output's, or is listed twice.
        TableError: a name in `absent` is no nullable field.
        SourceError: the source cannot be read, or is not the one from which the output was made; none of its first
            events has a field that `absent` does not name; or more events failed `max_dead` allows, in which case
            all before the last of them are delivered.
        SinkError: an output cannot be written, or another process writes it.
        OutputExists: the output exists, and was not made by this package from this input.
        EngineError: the engine fails on every event and on its golden rows too.
    """
    source = open_source(job.source) if isinstance(job.source, (str, os.PathLike)) else job.source
    sink = _open_if_named(job.sink)
    dead_letters = default_dead_letters(sink) if job.dead_letters is None else _open_if_named(job.dead_letters)
    pass_through = PassThrough(job.keep, predictor.signature)
    check_absent(predictor.signature.inputs, job.absent)
    bounds = Bounds(job.limits.max_decoded_bytes)
    contents = OutputContents(predictor.digest, pass_through.names)
    delivery = choose_delivery(source, sink, dead_letters, contents, job.limits, replace=job.replace)
    share_pipe = isinstance(sink, PipeSink) and isinstance(dead_letters, PipeSink) and sink.pipe == dead_letters.pipe
    loop = _Loop(
        source,
        partial(
            check_first_events,
            fields=predictor.signature.inputs,
            absent=job.absent,
            kept=pass_through.names,
            bounds=bounds,
        ),
        EventPredictor(predictor.with_extra(job.extra), pass_through, job.limits.line, bounds),
        DeadLetterLimit(job.max_dead),
        _Encoder(predictor.name, predictor.digest, share_pipe=share_pipe),
        delivery,
        job.limits,
    )
    try:
        return loop.run(stop or threading.Event(), on_progress)
    finally:
        delivery.close()


def _open_if_named(sink: str | os.PathLike[str] | Sink) -> Sink:
    return open_sink(sink) if isinstance(sink, (str, os.PathLike)) else sink


class _Encoder:
    """Turn the answers and dead letters of a batch into bytes.

    Args:
        model: the name of the model.
        digest: the digest of its package.
        share_pipe: whether answers and dead letters go to the same pipe.
    """

    def __init__(self, model: str, digest: str, *, share_pipe: bool) -> None:
        self._model = model
        self._digest = digest
        self._share_pipe = share_pipe

    def encode(self, batch: EventBatch, results: EventAnswers, count: int) -> tuple[bytes, bytes]:
        """Return the bytes of the answers and of the dead letters of the first `count` lines of a batch.

        Where both go to one pipe, the first holds all of them in the order of the events, and the second is empty.
        """
        answers = results.answers[: bisect_left(results.indexes, count)]
        dead = [letter for letter in results.dead if letter.index < count]
        if not self._share_pipe:
            return _join_lines(answers), _join_lines([self._encode_dead(batch, letter) for letter in dead])
        letters = ((letter.index, self._encode_dead(batch, letter)) for letter in dead)
        return _join_lines([line for _, line in merge(zip(results.indexes, answers, strict=False), letters)]), b""

    def _encode_dead(self, batch: EventBatch, letter: DeadLetter) -> bytes:
        location = batch.location(letter.index)
        return encode_dead_letter(letter, batch.lines[letter.index], location, self._model, self._digest)


def _join_lines(lines: Sequence[bytes]) -> bytes:
    return b"\n".join([*lines, b""])


class _Loop:
    """Run one stream, from the start of its delivery to its last commit."""

    def __init__(
        self,
        source: Source,
        check_first: Callable[..., None],
        event_predictor: EventPredictor,
        dead_letter_limit: DeadLetterLimit,
        encoder: _Encoder,
        delivery: Delivery,
        limits: Limits,
    ) -> None:
        self._source = source
        self._check_first = check_first
        self._event_predictor = event_predictor
        self._dead_letter_limit = dead_letter_limit
        self._encoder = encoder
        self._delivery = delivery
        self._limits = limits
        self._position = Position()

    def run(self, stop: threading.Event, on_progress: OnProgress | None) -> Report:
        """Start the delivery, and answer events until the source ends, the run is stopped, or the reader goes."""
        started_s = time.monotonic()
        start = self._delivery.start()
        self._dead_letter_limit.tally = start.tally
        self._position = start.position

        def report(ended: Ended) -> Report:
            tally = self._dead_letter_limit.tally
            events, dead = tally.events - start.tally.events, tally.dead - start.tally.dead
            return Report(
                events=events,
                answered=events - dead,
                dead=dead,
                seconds=time.monotonic() - started_s,
                ended=ended,
                offset=self._position.offset,
                size=self._source.size,
                continued=start.continued,
            )

        try:
            for batch in self._take_batches(stop, is_continued=start.continued):
                self._process(batch)
                if on_progress is not None:
                    on_progress(report("running"))
            self._delivery.commit()
        except ReaderGone:
            self._delivery.commit()
            return report("reader")
        except SinkError:
            raise
        except FourfoldError:
            self._delivery.commit()  # the sinks are sound: the next run need not repeat what was delivered
            raise
        return report("end" if self._source.ended else "stopped")

    def _take_batches(self, stop: threading.Event, *, is_continued: bool) -> Iterator[EventBatch]:
        """Yield the events that are there; where there are none, commit and wait for more.

        Args:
            stop: ends the wait.
            is_continued: whether an earlier run has looked at the first events.

        Raises:
            SourceError: none of the first events has one of the fields.
        """
        first: list[EventBatch] | None = [] if is_continued else None
        while not stop.is_set():
            if first is None and (first := self._take_first()) is not None:
                self._check_first(first, self._source)
            batch = first.pop(0) if first else self._source.take(self._limits)
            if batch is not None:
                yield batch
                if self._delivery.is_due:
                    self._delivery.commit()
                continue
            self._delivery.commit()
            if self._source.ended:
                return
            self._source.wait(stop)

    def _take_first(self) -> list[EventBatch] | None:
        """Return the first events that are there, about as many as are looked at; `None` where there is none yet."""
        batches: list[EventBatch] = []
        while sum(len(batch.lines) for batch in batches) < MAX_FIRST_RECORDS:
            batch = self._source.take(self._limits)
            if batch is None:
                break
            batches.append(batch)
        return batches or None

    def _process(self, batch: EventBatch) -> None:
        """Answer a batch, and deliver its answers and dead letters.

        Raises:
            SourceError: there are too many dead letters.
        """
        tally_before = self._dead_letter_limit.tally
        results = self._event_predictor.predict(batch)
        count = self._count_results(batch, results)
        answers, letters = self._encoder.encode(batch, results, count)
        try:
            self._delivery.deliver(answers, letters, batch.position_after(count), self._dead_letter_limit.tally)
        except BaseException:
            self._dead_letter_limit.tally = tally_before  # a report counts what was delivered
            raise
        self._position = batch.position_after(count)
        if count < len(batch.lines):
            self._raise_too_many(batch, next(letter for letter in results.dead if letter.index == count))

    def _count_results(self, batch: EventBatch, results: EventAnswers) -> int:
        """Count the answers and dead letters of a batch, and return how many lines come before the limit is exceeded.

        This is the number of all lines where the limit holds.
        """
        answers_counted = 0
        for letter in results.dead:
            answers_before = bisect_left(results.indexes, letter.index)
            self._dead_letter_limit.count_answered(answers_before - answers_counted)
            answers_counted = answers_before
            if not self._dead_letter_limit.count_dead_if_allowed():
                return letter.index
        self._dead_letter_limit.count_answered(len(results.indexes) - answers_counted)
        return len(batch.lines)

    def _raise_too_many(self, batch: EventBatch, letter: DeadLetter) -> None:
        tally = self._dead_letter_limit.tally
        location = ", ".join(f"{key} {value}" for key, value in batch.location(letter.index).items())
        raise SourceError(
            f"too many dead letters: {tally.dead + 1} of {tally.events + 1} events, which is more than "
            f"{self._dead_letter_limit} allows. Stopped before the event at {location} of {self._source.name}; "
            f"all before it were delivered. It failed to {letter.stage}: {letter.errors[0]}"
        )
