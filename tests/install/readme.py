"""What README.md prints to be typed: its Python, and its commands."""

from __future__ import annotations

import re
import shlex
from functools import cache

from tests.project.tree import ROOT

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INVISIBLE = re.compile(r"^<!--- invisible-code-block: python\n(.*?)^-->$", re.DOTALL | re.MULTILINE)


@cache
def text() -> str:
    """Return README.md."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def python_blocks() -> list[str]:
    """Return the Python in the order of the page, with what it needs and does not show."""
    blocks = [(match.start(), match[1]) for match in _INVISIBLE.finditer(text())]
    blocks += [(match.start(), match[2]) for match in _BLOCK.finditer(text()) if match[1] == "python"]
    return [block for _, block in sorted(blocks)]


def commands() -> list[str]:
    """Return the lines of its blocks of commands, without what `make` does: that sets up an environment of its own."""
    lines = [line for match in _BLOCK.finditer(text()) if not match[1] for line in match[2].splitlines()]
    return [line for line in lines if shlex.split(line, comments=True)[:1] not in ([], ["make"])]


def table_commands() -> list[str]:
    """Return the commands in the table of architectures."""
    rows = [line for line in text().splitlines() if line.startswith("| [")]
    return [command for row in rows for command in re.findall(r"`(fourfold [^`]*)`", row)]


def install_commands() -> list[str]:
    """Return the commands that install."""
    return re.findall(r"`(pip install [^`]*)`", text())
