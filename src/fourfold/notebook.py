"""Write the HTML that a notebook shows of an object: tables and lines, in the notebook's own colours.

Every text is escaped and cut, whoever wrote it. Nothing is loaded or runs, and no style reaches beyond its element.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from fourfold.errors import printable

__all__ = ["block", "facts", "heading", "line", "table"]

#: The most rows of a table, and the most characters of a cell.
MAX_ROWS = 100
MAX_CELL_CHARACTERS = 500

# Notebooks align cells to the right and stripe rows, which fits numbers only.
_TABLE = "border-collapse:collapse;background:none;color:inherit;margin:0.4em 0"
_CELL = "padding:0.15em 1em 0.15em 0;vertical-align:top;background:none;color:inherit;white-space:normal"
_RULE = "border-bottom:1px solid currentColor"


def escape(text: object, limit: int = MAX_CELL_CHARACTERS) -> str:
    """Return a text of others as HTML that shows exactly this text: cut, in one line, no character acts on the page."""
    return html.escape(printable(str(text), limit), quote=True)


def block(*parts: str) -> str:
    """Return what is shown of an object, from its parts."""
    return f'<div style="background:none;color:inherit">{"".join(parts)}</div>'


def heading(title: object, *notes: object) -> str:
    """Return a line with a title, and each note in a line of its own, set as code."""
    codes = "".join(f"<div><code>{escape(note)}</code></div>" for note in notes)
    return f"<div><strong>{escape(title)}</strong></div>{codes}"


def line(text: object, *, is_strong: bool = False) -> str:
    """Return a line of text."""
    escaped = escape(text)
    return f"<div>{f'<strong>{escaped}</strong>' if is_strong else escaped}</div>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; columns of numbers, whose name ends with `#`, are aligned to the right."""
    sides = ["right" if name.endswith("#") else "left" for name in columns]
    head = _row("th", [name.rstrip("#") for name in columns], sides, f"{_CELL};{_RULE}")
    body = "".join(_row("td", row, sides, f"{_CELL};border:none") for row in rows[:MAX_ROWS])
    more = line(f"… and {len(rows) - MAX_ROWS:,} more") if len(rows) > MAX_ROWS else ""
    return f'<table style="{_TABLE}"><thead>{head}</thead><tbody>{body}</tbody></table>{more}'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return labelled texts, a line each."""
    body = "".join(
        f'<tr style="background:none"><th style="{_CELL};border:none;text-align:left">{escape(label)}</th>'
        f'<td style="{_CELL};border:none;text-align:left">{escape(text)}</td></tr>'
        for label, text in pairs
        if text
    )
    return f'<table style="{_TABLE}"><tbody>{body}</tbody></table>'


def _row(tag: str, cells: Sequence[object], sides: Sequence[str], style: str) -> str:
    parts = (
        f'<{tag} style="{style};text-align:{side}">{escape(cell)}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f'<tr style="background:none">{"".join(parts)}</tr>'
