"""`fourfold stream`: the streaming process."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from fourfold.cli import options
from fourfold.cli.output import progress


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
    type=options.NUMBER_OR_SHARE,
    metavar="N|SHARE",
    help="Stop when more than N events are dead letters, or more than a share between 0.0 and 1.0 of the latest.",
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
    r"""Answer every event of a stream with a PACKAGE (a reference or a path), as it comes.

    From a file to a file every event is answered exactly once, even when the process is killed and started again.

    \b
    fourfold stream eta@production --from flights.jsonl --to etas.jsonl --keep flight
    tail -f clicks.jsonl | fourfold stream clicks@production
    """
    from fourfold.loading import load
    from fourfold.stream import open_source, run

    predictor = load(package, repository=repository, trust=trust)
    stop = threading.Event()
    with _stopped_by_signals(stop), progress(quiet=quiet or as_json) as report:
        done = run(
            predictor,
            open_source(source, follow=follow),
            sink,
            dead_letters=dead_letters,
            keep=keep,
            max_dead=max_dead,
            replace=replace,
            stop=stop,
            on_progress=lambda now: report("bytes read", now.offset, now.size) if now.size else None,
        )
    # On standard error: standard output may be where the answers go.
    if as_json:
        click.echo(json.dumps(done.to_json()), err=True)
    elif not quiet:
        click.echo(str(done), err=True)


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
