"""Define `fourfold predict`: answer the rows of a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli import options
from fourfold.cli.groups import SuggestingChoice
from fourfold.cli.output import clip, print_json, printable, progress_bars
from fourfold.codecs.formats import FORMATS
from fourfold.durable.outputs import check_no_link
from fourfold.errors import OutputExists, SinkError, counted

if TYPE_CHECKING:
    from fourfold.package.levels import Level

#: The kinds of answers that `--as` names, each with the suffix of such files.
_KINDS = {"csv": ".csv", "jsonl": ".jsonl", "json": ".json", "parquet": ".parquet", "arrow": ".arrow"}
_SUFFIXES = tuple(
    suffix for name in ("json", "json-lines", "csv", "arrow", "parquet") for suffix in FORMATS[name].suffixes
)
_TEXT_SUFFIXES = tuple(suffix for name in ("json", "json-lines", "csv") for suffix in FORMATS[name].suffixes)
_STANDARD_OUTPUT = ("-", "/dev/stdout")
#: How many bytes of the answers are copied to standard output at a time.
_COPIED_BYTES = 2**20


class _RowsPath(options.FilePath):
    """Parse the path of the rows, whose suffix says their format."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; refuse standard input, which has no suffix."""
        if value in ("-", "/dev/stdin"):
            self.fail(
                "name a file, whose suffix says the format; JSON lines on standard input: fourfold stream", param, ctx
            )
        return super().convert(value, param, ctx)


@click.command("predict")
@click.argument("package")
@click.option(
    "--rows",
    type=_RowsPath(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The file of rows: CSV, JSON lines, JSON, Parquet or Arrow. Columns that are no inputs are left out.",
)
@click.option(
    "--to",
    "output",
    metavar="FILE",
    default="-",
    help="Where the answers go, in the format of its suffix. Default: standard output, in the format of the rows.",
)
@click.option("--as", "kind", type=SuggestingChoice(list(_KINDS)), help="The format of answers on standard output.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Copy this column next to the answers; may be repeated.")
@options.absent
@click.option("--replace", is_flag=True, help="Replace a file that is there already.")
@options.repository
@options.trust
@options.as_json
@options.quiet
def command(
    package: str,
    rows: Path,
    output: str,
    kind: str | None,
    repository: str | None,
    *,
    keep: tuple[str, ...],
    absent: tuple[str, ...],
    replace: bool,
    trust: Level | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Answer the rows of a file with a PACKAGE (a reference or a path): a line for each row, in the same order.

    Where a row does not fit, nothing is written: the error names the rows, and the exit status is 3. With --json the
    answers on standard output are one JSON array; beside --to, what was done is printed as JSON. For files that are
    many, or large, or have rows at fault: fourfold batch run.

    \b
    fourfold predict eta@production --rows flights.csv
    fourfold predict eta@production --rows flights.parquet --to etas.parquet --keep flight
    """
    from fourfold.batch import Job
    from fourfold.batch.one_file import answer_file
    from fourfold.loading import load

    target = None if output in _STANDARD_OUTPUT else Path(output)
    suffix = _suffix(rows, target, kind, as_json=as_json)
    if target is not None:
        _check_target(target, rows, replace=replace)
    elif not suffix.endswith(_TEXT_SUFFIXES) and sys.stdout.isatty():
        raise click.UsageError(
            f"the answers would be {suffix.removeprefix('.')}, which is no text for a terminal: name a file with --to "
            f"answers{suffix}, or print text with --as csv"
        )
    predictor = load(package, repository=repository, trust=trust)
    with (
        _folder_for(target) as folder,
        progress_bars(quiet=quiet or as_json or target is None) as report,
    ):
        job = Job(source=str(rows), output=f"answers{suffix}", keep=keep, absent=absent)
        path, count = answer_file(predictor, job, folder, lambda done, total: report("rows", done, total))
        if target is None:
            _print(path, is_text=suffix.endswith(_TEXT_SUFFIXES))
            return
        _publish(path, target, replace=replace)
    if as_json:
        done = {"output": str(target), "rows": count}
        print_json({**done, "name": predictor.name, "version": predictor.version, "digest": predictor.digest})
    elif not quiet:
        named = predictor.name if predictor.version is None else f"{predictor.name}:{predictor.version}"
        click.echo(f"{clip(target)}: {counted(count, 'row')} answered by {named}")


def _suffix(rows: Path, target: Path | None, kind: str | None, *, as_json: bool) -> str:
    """Return the suffix that says the format of the answers, in lower case.

    Raises:
        UsageError: a suffix says no format, or the format is named twice.
    """
    source = _suffix_of(rows, "the rows in")
    if target is not None:
        if kind is not None:
            raise click.UsageError("the suffix of --to says the format of the answers: leave --as out")
        return _suffix_of(target, "the answers in")
    if as_json:
        if kind not in (None, "json"):
            raise click.UsageError(f"--json prints the answers as a JSON array: leave it or --as {kind} out")
        return ".json"
    return source if kind is None else _KINDS[kind]


def _suffix_of(path: Path, what: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES or path.name.lower().endswith(FORMATS["json-columns"].suffixes):
        raise click.UsageError(
            f"{what} {path}: the name does not say the format; expected it to end in one of {', '.join(_SUFFIXES)}"
        )
    return suffix


def _check_target(target: Path, rows: Path, *, replace: bool) -> None:
    """Check, before anything is loaded, that the answers can go to a file.

    Raises:
        OutputExists: it exists, and may not be replaced.
        SinkError: it is the file of the rows, a folder, or in a folder that does not exist.
    """
    if target.is_dir():
        raise SinkError(f"{target} is a folder; expected the path of a file to write")
    if target.exists() and target.samefile(rows):
        raise SinkError(f"the answers would replace the rows in {target}: name another file")
    if os.path.lexists(target) and not replace:
        raise OutputExists(
            f"{target} exists; remove it, name another output, or say that it may be replaced: --replace"
        )
    if not target.absolute().parent.is_dir():
        raise SinkError(f"{target} cannot be written: the folder {target.parent} does not exist")
    try:
        check_no_link(target)
    except OSError as error:
        raise SinkError(f"{target} cannot be written: {error.strerror}") from error


@contextmanager
def _folder_for(target: Path | None) -> Iterator[Path]:
    """Make a folder for answers in progress, and remove it afterwards: beside their file, so that it can be renamed.

    Raises:
        SinkError: it cannot be made.
    """
    try:
        beside = None if target is None else target.absolute().parent
        folder = Path(tempfile.mkdtemp(prefix=".fourfold-predict-", dir=beside))
    except OSError as error:
        raise SinkError(f"{target or 'a temporary file'} cannot be written: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(path: Path, target: Path, *, replace: bool) -> None:
    """Give complete answers their name.

    Raises:
        OutputExists: a file came into being there meanwhile.
        SinkError: the system refuses.
    """
    from fourfold.durable.files import sync_file, sync_folder

    try:
        sync_file(path)
        if replace:
            path.replace(target)
        else:
            target.hardlink_to(path)
        sync_folder(target.absolute().parent)
    except FileExistsError:
        raise OutputExists(f"{target} came into being meanwhile; nothing was replaced") from None
    except OSError as error:
        raise SinkError(f"{target} cannot be written: {error.strerror or error}") from error


def _print(path: Path, *, is_text: bool) -> None:
    """Copy complete answers to standard output; to a terminal without what it would act on."""
    if is_text and sys.stdout.isatty():
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                click.echo(printable(line.rstrip("\n")))
        return
    with path.open("rb") as file:
        while data := file.read(_COPIED_BYTES):
            click.echo(data, nl=False)
