"""`fourfold stream`: the streaming process."""

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
from fourfold.cli.output import progress_bars
from fourfold.errors import SourceError

if TYPE_CHECKING:
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
@click.option("--follow", is_flag=True, help="Go on as the file grows.")
@click.option(
    "--max-dead",
    type=options.COUNT_OR_SHARE,
    metavar="N|SHARE",
    help="Stop when more than N events are dead letters, or more than a share from 0.0 to 1.0 of the latest.",
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
    max_dead: float | None,
    repository: str | None,
    *,
    follow: bool,
    replace: bool,
    trust: bool,
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
    from fourfold.stream import Job, open_source, run

    predictor = load(package, repository=repository, trust=trust)
    job = Job(
        source=open_source(source, follow=follow),
        sink=sink,
        dead_letters=dead_letters,
        keep=keep,
        max_dead=max_dead,
        replace=replace,
    )
    stop = threading.Event()
    with _stopped_by_signals(stop), progress_bars(quiet=quiet or as_json) as report:
        done = run(
            predictor,
            job,
            stop=stop,
            on_progress=lambda now: report("bytes read", now.offset, now.size) if now.size else None,
        )
    # On standard error: standard output may be where the answers go.
    if as_json:
        click.echo(json.dumps(done.to_json()), err=True)
    elif not quiet:
        click.echo(str(done), err=True)
    _explain(done, _letters(sink, dead_letters))


def _letters(sink: str, dead_letters: str | None) -> Path | None:
    """The file of the dead letters, where they go to one."""
    where = dead_letters or (f"{sink}.dead.jsonl" if sink != "-" else "-")
    path = Path(where.removeprefix("file://"))
    return path if path.is_file() else None


def _explain(done: Report, letters: Path | None) -> None:
    """Say where dead letters are and why the first one is; a run that answered nothing is an error.

    Raises:
        SourceError: the source ended and not one of its events was answered.
    """
    if not done.dead:
        return
    why = ""
    if letters is not None:
        with letters.open("rb") as file:
            first = json.loads(file.readline())["errors"][0]
        field = "the event" if first["field"] is None else f"field {first['field']!r}"
        why = f"; the first: {field}: expected {first['expected']}, got {first['got']}"
    message = f"dead letters: {letters or 'on the pipe'}{why}"
    if done.ended == "end" and not done.answered:
        raise SourceError(f"not one of {done.events:,} events was answered. {message}")
    click.echo(message, err=True)


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """While this lasts, SIGTERM and SIGINT end the run after the events in hand; a second one ends it at once."""

    def ask(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
