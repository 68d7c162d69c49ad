"""Run a batch job: extract, transform, predict, load.

A run goes through these steps:

    preflight              everything is checked that needs no prediction (`preflight.py`)
    Staging                the output's lock is taken, and a folder made for files in progress (`load/staging.py`)
    SourceFiles.chunks     extract: the next chunk of source columns (`extract/source.py`)
    SourceFiles.inputs     transform: its input fields (`transform/columns.py`), parsed by the format
    predict_chunk          predict: its answers, and its rows at fault (`predict.py`)
    OutputFile.write       load: pass-through columns and answers (`load/files.py`); `Quarantine.add` for rows at fault
    Staging.publish        the quarantine, the report and at last the output get their names
"""

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
    from fourfold.batch.extract.formats import ChunkPart
    from fourfold.batch.extract.source import Chunk, SourceFiles
    from fourfold.batch.load.files import OutputFile
    from fourfold.batch.preflight import Preflight
    from fourfold.predictor import Predictor

__all__ = ["OnProgress", "run"]

#: Called at the start and after each chunk with the number of rows done, and of all rows where it is known.
OnProgress = Callable[[int, int | None], object]


def run(predictor: Predictor, job: Job, on_progress: OnProgress | None = None) -> Report:
    """Predict every row of a job's source and write the answers: all of them, or nothing.

    Args:
        predictor: the package, loaded.
        job: what to read, which columns pass through, and where to write.
        on_progress: called at the start, and after each chunk.

    Returns:
        The report, which is also written beside the output, to `_fourfold/<output's name>.run.json`.

    Raises:
        OutputExists: the output or the quarantine exists and may not be replaced; nothing was read.
        SourceError: the source cannot be read, is damaged, lacks a column that the package needs, or has changed while
            it was read; or too many of its rows are at fault.
        SinkError: the output cannot be written, or another run is writing it.
        SignatureError: the job keeps or renames columns, or calls some absent, that the signature does not allow.
        EngineError: the engine failed, and not because of single rows.
        MissingLibrary: pyarrow is not installed.
    """
    clock_start, started = time.monotonic(), datetime.now(UTC)
    try:
        from fourfold.batch.preflight import preflight
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise MissingLibrary("pyarrow", extra="arrow", purpose="a batch run") from error
    predictor = predictor.with_extra(job.extra)
    checked = preflight(predictor, job)
    with ExitStack() as stack:
        staging = stack.enter_context(Staging(checked.target))
        quarantine_staging = staging if job.quarantine is None else stack.enter_context(Staging(checked.quarantine))
        refuse_existing(checked.target, replace=job.replace)  # another run may have written it before we had the lock
        attempt = _Attempt(predictor, checked, staging, quarantine_staging)
        attempt.predict_all(on_progress or _ignore_progress)
        report = attempt.report(time.monotonic() - clock_start, started)
        attempt.publish(report)
    return report


def _ignore_progress(done: int, total: int | None) -> None:
    """Do nothing."""


class _Attempt:
    """Write the files of one run to staging folders, then publish them.

    Args:
        predictor: the package, loaded.
        preflight: the job, its source and its targets, checked.
        staging: where the output is written.
        quarantine_staging: where the quarantine is written: `staging`, unless the job names another path for it.
    """

    def __init__(
        self, predictor: Predictor, preflight: Preflight, staging: Staging, quarantine_staging: Staging
    ) -> None:
        self._predictor = predictor
        self._preflight = preflight
        self._staging = staging
        self._quarantine_staging = quarantine_staging
        self._output_path = staging.path("output")
        self._quarantine = Quarantine(quarantine_staging.path("quarantine"), preflight.run_key)
        self._rows_in = self._rows_out = self._chunks = 0

    def predict_all(self, on_progress: OnProgress) -> None:
        """Predict all rows, and write the staged output and quarantine."""
        from fourfold.batch.load.files import OutputFile

        preflight, source = self._preflight, self._preflight.source
        output = OutputFile(
            self._output_path,
            preflight.target,
            source.passthrough_schema,
            self._predictor.signature.outputs,
            {"fourfold.model": self._predictor.name, "fourfold.digest": self._predictor.digest},
            preflight.label_columns,
        )
        try:
            on_progress(0, source.rows)
            with closing(_read_ahead(_extract(source, preflight.job))) as chunks:
                for chunk, parts in chunks:
                    self._predict_chunk(chunk, parts, output)
                    self._chunks += 1
                    self._rows_in += len(chunk.table)
                    self._check_quarantine_limit(source.rows)
                    on_progress(self._rows_in, source.rows)
            self._check_quarantine_limit(self._rows_in)
            output.close()
            self._quarantine.close()
        except BaseException:
            output.abort()
            self._quarantine.abort()
            raise
        self._rows_out = output.rows

    def _predict_chunk(self, chunk: Chunk, parts: Sequence[ChunkPart], output: OutputFile) -> None:
        import pyarrow as pa

        from fourfold.batch.predict import predict_chunk

        source = self._preflight.source
        answer = predict_chunk(self._predictor, parts, self._preflight.job.absent)
        passthrough = source.passthrough(chunk)
        if answer.errors:
            kept = pa.array(answer.kept, type=pa.int64())
            passthrough = [column.take(kept) for column in passthrough]
            errors_by_row = [list(errors) for _, errors in groupby(answer.errors, key=lambda error: error.row)]
            originals = source.original_rows(chunk, [errors[0].row for errors in errors_by_row])
            self._quarantine.add(chunk.file, chunk.start, zip(errors_by_row, originals, strict=True))
        output.write(passthrough, answer.outputs)

    def _check_quarantine_limit(self, total: int | None) -> None:
        """Raise as soon as it is certain that more rows are quarantined than the job allows.

        Args:
            total: the number of all rows, where it is known.
        """
        limit, quarantined = self._preflight.job.max_quarantined, self._quarantine.rows
        if limit is None:
            # A source in which no row fits is the wrong source, and an empty output would hide that.
            if total is None or not 0 < total == quarantined:
                return
            reason = "that is every one"
        elif isinstance(limit, float):
            if total is None or quarantined <= limit * total:
                return
            reason = f"max_quarantined allows a share of {limit}"
        elif quarantined <= limit:
            return
        else:
            reason = f"max_quarantined allows {limit}"
        first_errors = "\n".join(self._quarantine.first_errors)
        raise SourceError(
            f"{quarantined} of {self._rows_in} rows read from {self._preflight.job.source} do not fit: {reason}; "
            f"nothing was written. The first errors:\n{first_errors}"
        )

    def report(self, seconds: float, started: datetime) -> Report:
        """Return what the run did."""
        preflight, quarantine = self._preflight, self._quarantine
        reasons = quarantine.reasons.most_common()
        return Report(
            rows_in=self._rows_in,
            rows_out=self._rows_out,
            quarantined=quarantine.rows,
            chunks=self._chunks,
            seconds=round(seconds, 3),
            output=str(preflight.target),
            quarantine=str(preflight.quarantine) if quarantine.rows else None,
            report=str(preflight.report),
            model=self._predictor.name,
            version=self._predictor.version,
            digest=self._predictor.digest,
            run_key=preflight.run_key,
            started=started.isoformat(timespec="seconds"),
            absent=list(preflight.source.absent),
            reasons=[{"field": name, "code": code, "count": count} for (name, code), count in reasons],
            sources=[state.to_json() for state in preflight.source.states],
        )

    def publish(self, report: Report) -> None:
        """Publish the files, the output last: once it exists, all that belongs to it exists too."""
        preflight, staging, replace = self._preflight, self._staging, self._preflight.job.replace
        staged_report = staging.write("report", report.encode())
        preflight.source.check_unchanged()
        if report.quarantine is not None:
            self._quarantine_staging.publish(
                self._quarantine.path, preflight.quarantine, replace=preflight.owns_quarantine
            )
        elif preflight.owns_quarantine:
            self._quarantine_staging.unpublish(preflight.quarantine)
        staging.publish(staged_report, preflight.report, replace=True)
        try:
            staging.publish(self._output_path, preflight.target, replace=replace)
        except BaseException:
            if not replace and not staging.is_published(self._output_path, preflight.target):
                staging.unpublish(preflight.report)
                if report.quarantine is not None:
                    self._quarantine_staging.unpublish(preflight.quarantine)
            raise


def _extract(source: SourceFiles, job: Job) -> Generator[tuple[Chunk, list[ChunkPart]]]:
    """Yield each chunk as it is in the source, and its inputs for the predictor."""
    for chunk in source.chunks(job.chunk_rows, job.chunk_bytes):
        yield chunk, source.inputs(chunk)


def _read_ahead(items: Generator[Any]) -> Generator[Any]:
    """Yield the items; a thread computes the next one while the caller works on the current one."""
    end = object()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="fourfold-extract") as reader:
        next_item = reader.submit(next, items, end)
        while (item := next_item.result()) is not end:
            next_item = reader.submit(next, items, end)
            yield item
