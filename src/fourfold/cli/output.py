"""What every verb shows a person in the same way: errors, progress, tables, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from fourfold.errors import FourfoldError

__all__ = ["console", "fail", "literal", "print_json", "progress_bars", "table", "visible"]


def console(*, stderr: bool = False) -> Console:
    """A console for people; colours only where a terminal shows them."""
    from rich.console import Console

    out = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = 160  # a pipe has no width: whatever reads it wraps for itself
    return out


def visible(text: object) -> str:
    """A text that does nothing to a terminal but to appear: what is no printable character is written as an escape."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(each if each.isprintable() else _escape(each) for each in shown)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def literal(text: object) -> str:
    """A text from a package or a row for a line of rich's markup, in which it stands as it is."""
    from rich.markup import escape

    return escape(visible(text))


def fail(error: FourfoldError) -> int:
    """Say what went wrong, without a traceback; gives the exit status."""
    lines = [visible(line) for line in str(error).split("\n")]
    click.echo("fourfold: error: " + "\n".join(lines), err=True)
    return error.exit_status


def print_json(value: Any) -> None:
    """One JSON document on standard output, for a script to read."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows under their headings, on standard output; columns whose name ends with `#` are numbers, to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    out = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        out.add_column(name.rstrip("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    for row in rows:
        # As texts and not as strings: names and values come from packages and rows, and are no markup.
        out.add_row(*(Text(visible(cell)) for cell in row))
    console().print(out)


@contextmanager
def progress_bars(*, quiet: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """Progress bars on standard error, one a stage.

    Gives a function of the stage's name, how much of it is done, and how much there is (`None` where nobody knows).
    Where standard error is no terminal, each stage is one line when it begins.
    """
    if quiet:
        yield lambda *_: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _lines() -> Callable[[str, int, int | None], None]:
    begun: set[str] = set()

    def report(stage: str, _done: int, total: int | None) -> None:
        if stage not in begun:
            begun.add(stage)
            click.echo(f"… {stage}" + (f" ({total:,})" if total else ""), err=True)

    return report
