"""Print errors, progress bars, tables and JSON in the same way for every verb."""

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

__all__ = ["console", "escape_markup", "print_error", "print_json", "print_table", "printable", "progress_bars"]


def console(*, stderr: bool = False) -> Console:
    """Return a console for text to read, with colours if it is a terminal."""
    from rich.console import Console

    out = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not out.is_terminal:
        out.width = 160  # a pipe has no width; its reader can wrap lines itself
    return out


def printable(text: object) -> str:
    """Return a text with escapes for all characters that a terminal would act on: those that are not printable."""
    raw = str(text)
    return raw if raw.isprintable() else "".join(char if char.isprintable() else _escape(char) for char in raw)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def escape_markup(text: object) -> str:
    """Return a text of a package or a row as rich's markup that prints exactly this text."""
    from rich.markup import escape

    return escape(printable(text))


def print_error(error: FourfoldError) -> int:
    """Print an error without a traceback, and return its exit status."""
    lines = [printable(line) for line in str(error).split("\n")]
    click.echo("fourfold: error: " + "\n".join(lines), err=True)
    return error.exit_status


def print_json(value: Any) -> None:
    """Print a JSON document on standard output, for a script to read."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; columns of numbers, whose name ends with `#`, are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    out = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        out.add_column(name.rstrip("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    for row in rows:
        # Not as strings, which rich reads as markup: names and values come from packages and rows.
        out.add_row(*(Text(printable(cell)) for cell in row))
    console().print(out)


@contextmanager
def progress_bars(*, quiet: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show progress bars on standard error, one a stage; if it is no terminal, print a line when a stage begins.

    Yields:
        A function to call with the stage's name, the amount done, and the total (`None` if it is not known).
    """
    if quiet:
        yield lambda *_: None
        return
    if not sys.stderr.isatty():
        yield _line_printer()
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


def _line_printer() -> Callable[[str, int, int | None], None]:
    stages_seen: set[str] = set()

    def report(stage: str, _done: int, total: int | None) -> None:
        if stage not in stages_seen:
            stages_seen.add(stage)
            click.echo(f"… {stage}" + (f" ({total:,})" if total else ""), err=True)

    return report
