"""The pages that users read: lines that fit a screen, and links that lead somewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.project.tree import ROOT, shown

PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MAX_LINE_CHARACTERS = 150
#: `[text](target)` and `![text](target)`, and in HTML `src="target"`, `srcset=`, `href=`.
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)|\b(?:src|srcset|href)=\"([^\"]+)\"")
HEADING = re.compile(r"#{1,6} +(.+?)(?: +#+)?$")


def prose(page: Path) -> Iterator[str]:
    """Yield the lines of a page that are no code, with the code inside of them taken out."""
    fence = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        opening = re.match(r" *(`{3,}|~{3,})", line)
        if opening and not fence:
            fence = opening[1]
        elif opening and opening[1].startswith(fence):
            fence = ""
        elif not fence:
            yield re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


def slug(heading: str) -> str:
    """Return the anchor that a heading gets in a repository: lower case, words joined by dashes."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page: of its headings, and those that it names itself."""
    seen: Counter[str] = Counter()
    out = set()
    fence = False
    text = page.read_text(encoding="utf-8")
    for line in text.splitlines():
        fence ^= line.lstrip().startswith("```")
        heading = None if fence else HEADING.match(line)
        if heading:
            name = slug(heading[1])
            out.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return frozenset(out | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)))


def dead_links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page whose file or anchor does not exist."""
    for line in prose(page):
        for target in (first or second for first, second in LINK.findall(line)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue  # of another place: the network is no part of a test
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                yield target


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_lines_fit_a_screen(page: Path) -> None:
    """No line of a page is longer than a screen is wide."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {len(line)}" for number, line in enumerate(lines, 1) if len(line) > MAX_LINE_CHARACTERS] == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file that exists, and its anchor to a heading in it."""
    assert list(dead_links(page)) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    """A missing file, a missing heading and a heading of another page are told apart from links that lead somewhere."""
    (tmp_path / "other.md").write_text("# A page\n\n## What `it` does: twice\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](other.md#what-it-does-twice) [b](#page) [c](other.md#twice-1) [d](https://example.org/x.md)\n"
        '`[e](none.md)` [f](none.md) [g](other.md#page) [h](#none)\n<img src="none.svg">\n```\n[i](none.md)\n```\n'
    )
    assert list(dead_links(page)) == ["none.md", "other.md#page", "#none", "none.svg"]
