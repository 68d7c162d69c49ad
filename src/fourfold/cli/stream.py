"""Define `fourfold stream`: run a stream."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from fourfold.cli import options
from fourfold.cli.output import printable, progress_bars
from fourfold.durable.file_urls import local_file
from fourfold.errors import SinkError, SourceError

if TYPE_CHECKING:
    from fourfold.package.levels import Level
    from fourfold.signature import Extra
    from fourfold.stream import Report


@click.command("stream")
@click.argument("package")
@click.option(
    "--from",
    "source",
    metavar="URL",
    default="-",
    show_default=True,
    help="JSON lines: a file, or - for standard input.",
)
@click.option(
    "--to", "sink", metavar="URL", default="-", show_default=True, help="JSON lines: a file, or - for standard output."
)
@click.option(
    "--dead-letters",
    metavar="URL",
    help="Where events go that cannot be answered. Default: beside the output, or standard error.",
)
@click.option(
    "--keep", multiple=True, metavar="FIELD", help="Copy this field of the event into the answer; may be repeated."
)
@options.extra
@options.absent
@click.option("--follow", is_flag=True, help="Go on as the file grows.")
@click.option(
    "--max-dead",
    type=options.COUNT_OR_SHARE,
    metavar="N|SHARE",
    help="Stop when more than N events are dead letters, or more than a share from 0.0 to 1.0 of the latest.",
)
@click.option(
    "--max-decoded",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="The most memory that an event may take, in MiB; one that takes more is a dead letter.",
)
@click.option("--replace", is_flag=True, help="Start over: replace the output and what was remembered of the last run.")
@options.repository
@options.trust
@options.as_json
@options.quiet
def command(
    package: str,
    source: str,
    sink: str,
    dead_letters: str | None,
    keep: tuple[str, ...],
    extra: Extra | None,
    absent: tuple[str, ...],
    max_dead: float | None,
    max_decoded: int,
    repository: str | None,
    *,
    follow: bool,
    replace: bool,
    trust: Level | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Answer every event of a stream with a PACKAGE (a reference or a path), as it comes.

    From a file to a file every event is answered exactly once, even when the process is killed and started again.

    \b
    fourfold stream eta@production --from flights.jsonl --to etas.jsonl --keep flight
    tail -f clicks.jsonl | fourfold stream clicks@production
    """
    from fourfold.loading import load
    from fourfold.stream import Job, Limits, open_source, run

    predictor = load(package, repository=repository, trust=trust)
    job = Job(
        source=open_source(source, follow=follow),
        sink=sink,
        dead_letters=dead_letters,
        keep=keep,
        extra=extra or "ignore",
        absent=absent,
        max_dead=max_dead,
        replace=replace,
        limits=Limits(max_decoded_bytes=max_decoded * 2**20),
    )
    stop = threading.Event()
    with _stop_on_signals(stop), progress_bars(quiet=quiet or as_json) as report:
        result = run(
            predictor,
            job,
            stop=stop,
            on_progress=lambda so_far: report("bytes read", so_far.offset, so_far.size) if so_far.size else None,
        )
    # On standard error, because the answers may go to standard output.
    if as_json:
        click.echo(json.dumps(result.to_json()), err=True)
    elif not quiet:
        click.echo(str(result), err=True)
    _report_dead_letters(result, _dead_letters_file(sink, dead_letters))


def _dead_letters_file(sink: str, dead_letters: str | None) -> Path | None:
    """Return the file of the dead letters, or `None` if they go to a pipe."""
    name = dead_letters or (f"{sink}.dead.jsonl" if sink != "-" else "-")
    path = Path(local_file(name, SinkError, "the dead letters"))
    return path if path.is_file() else None


def _report_dead_letters(result: Report, letters: Path | None) -> None:
    """Print where the dead letters are, and the reason of the first.

    Raises:
        SourceError: the source ended, and none of its events was answered.
    """
    if not result.dead:
        return
    why = ""
    if letters is not None:
        with letters.open("rb") as file:
            first = json.loads(file.readline())["errors"][0]
        field = "the event" if first["field"] is None else f"field {first['field']!r}"
        why = printable(f"; the first: {field}: expected {first['expected']}, got {first['got']}")
    message = f"dead letters: {letters or 'on the pipe'}{why}"
    if result.ended == "end" and not result.answered:
        raise SourceError(f"not one of {result.events:,} events was answered. {message}")
    click.echo(message, err=True)


@contextmanager
def _stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM or SIGINT during the block; a second signal ends the process at once."""

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    previous_handlers = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
