"""A batch run: extract, transform, predict, load."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fourfold.batch.job import Job
from fourfold.batch.load.staging import Staging, refuse_existing
from fourfold.batch.quarantine import Quarantine
from fourfold.batch.report import Report
from fourfold.errors import MissingLibrary, SourceError

if TYPE_CHECKING:
    from fourfold.batch.extract.formats import Piece
    from fourfold.batch.extract.source import Chunk, Source
    from fourfold.batch.load.files import Output
    from fourfold.batch.preflight import Plan
    from fourfold.predictor import Predictor

__all__ = ["OnProgress", "run"]

#: Called after each chunk with the rows that are done, and with all rows where their number is known beforehand.
OnProgress = Callable[[int, int | None], object]


def run(predictor: Predictor, job: Job, on_progress: OnProgress | None = None) -> Report:
    """Answer every row of a job's source and write the answers: all of them, or nothing.

    Args:
        predictor: the package, loaded.
        job: what to read, what to keep of it, and where to write.
        on_progress: called after each chunk.

    Returns:
        The report, which also lies beside the output, in `_fourfold/<output's name>.run.json`.

    Raises:
        OutputExists: the output or the quarantine is there already and may not be replaced; nothing was read.
        SourceError: the source cannot be read, is damaged, lacks what the package takes, or has changed while it was
            read; or too many of its rows are at fault.
        SinkError: the output cannot be written, or another run is writing it.
        SignatureError: the job keeps or renames what the package's signature does not allow.
        EngineError: the engine failed, and not because of single rows.
        MissingLibrary: pyarrow is not installed.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    try:
        from fourfold.batch.preflight import plan
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise MissingLibrary("pyarrow", extra="arrow", purpose="a batch run") from error
    planned = plan(predictor, job)
    with ExitStack() as stack:
        staging = stack.enter_context(Staging(planned.target))
        aside = staging if job.quarantine is None else stack.enter_context(Staging(planned.quarantine))
        refuse_existing(planned.target, replace=job.replace)  # another run may have written it before this one's lock
        attempt = _Attempt(predictor, planned, staging, aside)
        attempt.answer(on_progress or _silent)
        report = attempt.report(time.monotonic() - began, started)
        attempt.publish(report)
    return report


def _silent(done: int, total: int | None) -> None:
    """Tell nobody."""


class _Attempt:
    """One attempt at a plan: writes the files where nobody looks, then publishes them.

    Args:
        predictor: the package, loaded.
        plan: what to do.
        staging: where the output is written.
        aside: where the quarantine is written; the same place unless it goes elsewhere.
    """

    def __init__(self, predictor: Predictor, plan: Plan, staging: Staging, aside: Staging) -> None:
        self._predictor = predictor
        self._plan = plan
        self._staging = staging
        self._aside = aside
        self._output = staging.path("output")
        self._quarantine = Quarantine(aside.path("quarantine"), plan.run_key)
        self._rows_in = self._rows_out = self._chunks = 0

    def answer(self, on_progress: OnProgress) -> None:
        """Answer all rows into the staged files."""
        from fourfold.batch.load.files import Output

        plan, job = self._plan, self._plan.job
        model = {"fourfold.model": self._predictor.name, "fourfold.digest": self._predictor.digest}
        output = Output(self._output, plan.target, plan.source.kept, self._predictor.signature.outputs, model)
        try:
            with closing(_ahead(_extracted(plan.source, job))) as chunks:
                for chunk, pieces in chunks:
                    self._answer_chunk(chunk, pieces, output)
                    self._chunks += 1
                    self._rows_in += len(chunk.table)
                    self._check_limit(plan.source.rows)
                    on_progress(self._rows_in, plan.source.rows)
            self._check_limit(self._rows_in)
            output.close()
            self._quarantine.close()
        except BaseException:
            output.abort()
            self._quarantine.abort()
            raise
        self._rows_out = output.rows

    def _answer_chunk(self, chunk: Chunk, pieces: Sequence[Piece], output: Output) -> None:
        import pyarrow as pa

        from fourfold.batch.predict import answer_pieces

        answer = answer_pieces(self._predictor, pieces)
        passed = self._plan.source.passed(chunk)
        if answer.errors:
            kept = pa.array(answer.kept, type=pa.int64())
            passed = [column.take(kept) for column in passed]
            by_row = [list(errors) for _, errors in groupby(answer.errors, key=lambda error: error.row)]
            rows = self._plan.source.as_they_came(chunk, [errors[0].row for errors in by_row])
            self._quarantine.add(chunk.file, chunk.start, zip(by_row, rows, strict=True))
        output.write(passed, answer.outputs)

    def _check_limit(self, total: int | None) -> None:
        """Stop where more rows are quarantined than may be, as soon as that is certain.

        Args:
            total: the number of all rows, where it is known.
        """
        limit, bad = self._plan.job.max_quarantined, self._quarantine.rows
        if limit is None:
            # A source in which nothing fits is the wrong source, and an empty output would hide that.
            if total is None or not 0 < total == bad:
                return
            why = "that is every one"
        elif isinstance(limit, float):
            if total is None or bad <= limit * total:
                return
            why = f"max_quarantined allows a share of {limit}"
        elif bad <= limit:
            return
        else:
            why = f"max_quarantined allows {limit}"
        first = "\n".join(self._quarantine.first)
        raise SourceError(
            f"{bad} of {self._rows_in} rows read from {self._plan.job.source} do not fit: {why}; nothing was "
            f"written. The first errors:\n{first}"
        )

    def report(self, seconds: float, started: datetime) -> Report:
        """What the attempt did."""
        plan, bad = self._plan, self._quarantine
        reasons = bad.reasons.most_common()
        return Report(
            rows_in=self._rows_in,
            rows_out=self._rows_out,
            quarantined=bad.rows,
            chunks=self._chunks,
            seconds=round(seconds, 3),
            output=str(plan.target),
            quarantine=str(plan.quarantine) if bad.rows else None,
            report=str(plan.report),
            model=self._predictor.name,
            version=self._predictor.version,
            digest=self._predictor.digest,
            run_key=plan.run_key,
            started=started.isoformat(timespec="seconds"),
            absent=list(plan.source.absent),
            reasons=[{"field": name, "code": code, "count": count} for (name, code), count in reasons],
            sources=[pin.to_json() for pin in plan.source.pins],
        )

    def publish(self, report: Report) -> None:
        """Put the files in their places, the output last: where it is, all that belongs to it is there already."""
        plan, staging, replace = self._plan, self._staging, self._plan.job.replace
        staged_report = staging.write("report", report.encode())
        plan.source.check_unchanged()
        if report.quarantine is not None:
            self._aside.publish(self._quarantine.path, plan.quarantine, replace=plan.own_quarantine)
        elif plan.own_quarantine:
            self._aside.retract(plan.quarantine)
        staging.publish(staged_report, plan.report, replace=True)
        try:
            staging.publish(self._output, plan.target, replace=replace)
        except BaseException:
            if not replace and not staging.is_published(self._output, plan.target):
                staging.retract(plan.report)
                if report.quarantine is not None:
                    self._aside.retract(plan.quarantine)
            raise


def _extracted(source: Source, job: Job) -> Generator[tuple[Chunk, list[Piece]]]:
    """Each chunk as it came, and its inputs as the predictor takes them."""
    for chunk in source.chunks(job.chunk_rows, job.chunk_bytes):
        yield chunk, source.inputs(chunk)


def _ahead(items: Generator[Any]) -> Generator[Any]:
    """The items, each of which is made by another thread while the one before it is worked on."""
    end = object()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="fourfold-extract") as reader:
        coming = reader.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = reader.submit(next, items, end)
            yield item
