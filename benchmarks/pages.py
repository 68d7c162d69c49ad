"""Write the parts of pages that the benchmarks share: lists and paragraphs in lines of one width."""

from __future__ import annotations

import textwrap

__all__ = ["LINE_CHARACTERS", "list_item", "paragraph", "shorten"]

#: The longest line of a page.
LINE_CHARACTERS = 120


def shorten(text: str, limit: int) -> str:
    """Return a text in one line, cut where it has more than `limit` characters, with an ellipsis that says so."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def list_item(text: str) -> list[str]:
    """Return the lines of one item of a list."""
    return textwrap.wrap(
        text,
        LINE_CHARACTERS,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def paragraph(text: str) -> list[str]:
    """Return the lines of a paragraph."""
    return textwrap.wrap(text, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)
