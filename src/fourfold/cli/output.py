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

__all__ = [
    "clip",
    "console",
    "escape_markup",
    "print_error",
    "print_facts",
    "print_json",
    "print_table",
    "printable",
    "progress_bars",
]

#: The most characters that are printed of one text of a package or an error, and the most lines of an error.
MAX_TEXT_CHARACTERS = 2_000
MAX_ERROR_LINES = 100
#: The most rows of a table: rich takes half a millisecond for each.
MAX_TABLE_ROWS = 10_000


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


def clip(text: object, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a printable text of at most `limit` characters, with what was left out where it is longer."""
    raw = str(text)
    if len(raw) <= limit:
        return printable(raw)
    return f"{printable(raw[:limit])}… and {len(raw) - limit:,} characters more"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def escape_markup(text: object) -> str:
    """Return a text of a package or a row as rich's markup that prints exactly this text."""
    from rich.markup import escape

    return escape(clip(text))


def print_error(error: FourfoldError) -> int:
    """Print an error without a traceback, and return its exit status."""
    lines = [clip(line) for line in str(error).split("\n", MAX_ERROR_LINES)]
    click.echo("fourfold: error: " + "\n".join(lines), err=True)
    return error.exit_status


def print_json(value: Any) -> None:
    """Print a JSON document on standard output, for a script to read."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=2, ensure_ascii=not is_unicode)
    if not text.isascii():
        # JSON only escapes the oldest of the characters that a terminal acts on.
        text = "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    click.echo(text.replace("\x7f", "\\u007f"))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; columns of numbers, whose name ends with `#`, are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    out = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        out.add_column(name.rstrip("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    for row in rows[:MAX_TABLE_ROWS]:
        # Not as strings, which rich reads as markup: names and values come from packages and rows.
        out.add_row(*(Text(clip(cell)) for cell in row))
    console().print(out)
    if len(rows) > MAX_TABLE_ROWS:
        click.echo(f"… and {len(rows) - MAX_TABLE_ROWS:,} rows more (--json prints all)")


def print_facts(facts: Sequence[tuple[object, object]], *, indent: int = 0) -> None:
    """Print names with their texts on standard output; a text that needs several lines stays beside its name.

    Args:
        facts: the name and the text of each.
        indent: the spaces before each name.
    """
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    out = Table.grid(padding=(0, 2, 0, 0))
    out.add_column(no_wrap=True, style="bold", min_width=12)
    out.add_column(overflow="fold")
    for name, text in facts[:MAX_TABLE_ROWS]:
        out.add_row(Text(clip(name)), Text(clip(text)))
    console().print(Padding(out, (0, 0, 0, indent)))


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
