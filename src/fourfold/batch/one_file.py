"""Answer one file of rows with another: all of its rows or, where one does not fit, none.

What a batch run does without what it leaves for the next: no quarantine, no report, no lock. The rows are read, checked
and answered by the same functions, so the answers have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fourfold.batch.job import Job
from fourfold.codecs import by_suffix
from fourfold.codecs.files import Sink, name_in_errors, open_source
from fourfold.codecs.json_scan import Scanner
from fourfold.errors import DecodeError, InputError, MissingLibrary, RowErrors, SourceError
from fourfold.signature.table_columns import check_absent, check_columns

if TYPE_CHECKING:
    from fourfold.batch.preflight import Preflight
    from fourfold.predictor import Predictor

__all__ = ["JSON_SUFFIX", "answer_file"]

#: The suffix of an array of objects. Batch reads and writes its elements as JSON lines: the bytes of each are the same.
JSON_SUFFIX = ".json"
LINES_SUFFIX = ".jsonl"
#: The most errors of rows that are listed; the others are counted.
MAX_LISTED_ERRORS = 10_000


def answer_file(
    predictor: Predictor,
    job: Job,
    folder: Path,
    on_progress: Callable[[int, int | None], object],
) -> tuple[Path, int]:
    """Answer every row of a file, in the format of the output's suffix.

    Args:
        predictor: the package, loaded.
        job: the file as `source`; as `output` a path whose suffix says the format, at which nothing is written; and
            the columns that pass through or are absent.
        folder: an empty folder, where the answers are written.
        on_progress: called with the number of rows done, and of all where it is known.

    Returns:
        The path of the answers, in `folder`, and the number of rows.

    Raises:
        InputError: rows do not fit the signature.
        TableError: the file lacks a column, or `absent` names no field that may be missing.
        SourceError: the file cannot be read.
        DecodeError: it is damaged, or not of the format that its suffix says.
        SinkError: the answers cannot be written, or their format cannot hold a column that passes through.
        SignatureError: a column that passes through has the name of an output.
        EngineError: the engine failed.
        MissingLibrary: pyarrow is not installed.
    """
    try:
        from fourfold.batch.preflight import preflight
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise MissingLibrary("pyarrow", extra="arrow", purpose="answering a file") from error
    source, answers = Path(job.source), folder / f"answers{Path(job.output).suffix.lower()}"
    _check_columns(predictor, source, job)
    if source.name.lower().endswith(JSON_SUFFIX):
        source = _write_lines(source, folder / f"rows{LINES_SUFFIX}")
    is_array = answers.suffix == JSON_SUFFIX
    written = answers.with_suffix(LINES_SUFFIX) if is_array else answers
    try:
        checked = preflight(predictor, replace(job, source=str(source), output=str(written)))
        rows = _answer(predictor, checked, written, on_progress)
    except SourceError as error:
        # The lines of an array stand in a file that nobody knows; and bytes that do not fit are no file out of reach.
        kind = DecodeError if isinstance(error.__cause__, DecodeError) else SourceError
        raise kind(str(error).replace(str(source), job.source)) from error
    if is_array:
        _join_lines(written, answers)
    return answers, rows


def _check_columns(predictor: Predictor, source: Path, job: Job) -> None:
    """Check the columns of a file that has names of columns; raise `TableError` where one is missing."""
    fields = predictor.signature.inputs
    names = by_suffix(source).names(source)
    if names is None:
        check_absent(fields, job.absent)
        return
    has_header = source.suffix.lower() == ".csv"
    check_columns(fields, names, "ignore", job.absent, advice="--absent {}", has_header=has_header)


def _answer(
    predictor: Predictor, checked: Preflight, path: Path, on_progress: Callable[[int, int | None], object]
) -> int:
    """Write the answers to all rows, and return their number; raise as `answer_file` does."""
    from fourfold.batch.load.files import OutputFile
    from fourfold.batch.predict import predict_chunk

    job, source, errors = checked.job, checked.source, RowErrors()
    metadata = {"fourfold.model": predictor.name, "fourfold.digest": predictor.digest}
    outputs = predictor.signature.outputs
    output = OutputFile(path, path, source.passthrough_schema, outputs, metadata, checked.label_columns)
    done = 0
    try:
        for chunk in source.chunks(job.chunk_rows, job.chunk_bytes):
            answer = predict_chunk(predictor, source.inputs(chunk), job.absent)
            _add_errors(errors, answer.errors, chunk.start)
            if not errors.total:
                output.write(source.passthrough(chunk), answer.outputs)
            done += len(chunk.table)
            on_progress(done, source.rows)
        source.check_unchanged()
        output.close()
    except BaseException:
        output.abort()
        raise
    if errors.total:
        raise InputError(errors)
    return done


def _add_errors(errors: RowErrors, more: RowErrors, start: int) -> None:
    """Add the errors of a chunk that begins at a row of the file."""
    room = MAX_LISTED_ERRORS - len(errors)
    errors.extend(replace(error, row=start + error.row) for error in more[: max(room, 0)])
    errors.total += more.total
    errors.rows += more.rows


def _write_lines(source: Path, path: Path) -> Path:
    """Write the elements of a JSON array, or a JSON object alone, as lines, and return their path.

    Raises:
        DecodeError: the file is neither.
    """
    with open_source(source) as file, name_in_errors(source), closing(Sink(path)) as sink:
        for text in _elements(Scanner(file)):
            # A line's end is white space in JSON, and never part of a text, which would hold its escape.
            sink.write(text.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
    return path


def _elements(scanner: Scanner) -> Iterator[bytes]:
    if scanner.peek() == b"{":
        yield scanner.value()
    else:
        yield from scanner.array()
    scanner.end()


def _join_lines(lines: Path, path: Path) -> None:
    """Write JSON lines as an array."""
    with open_source(lines) as file, closing(Sink(path)) as sink:
        separator = b"[\n"
        for line in file:
            sink.write(separator + line.rstrip(b"\n"))
            separator = b",\n"
        sink.write(b"[]\n" if separator == b"[\n" else b"\n]\n")
