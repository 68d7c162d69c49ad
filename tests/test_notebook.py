"""What notebooks show: everything escaped and cut, nothing from elsewhere, in the notebook's own colours."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from fourfold import notebook
from fourfold.certificate import Certificate, DoorReport
from fourfold.package import Package
from fourfold.signature import Field, Signature
from fourfold.signature.bits import Difference
from tests.support import double, make_package, make_predictor

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m"
TAGS = {"div", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}


class _Reader(HTMLParser):
    """Collect tags, attributes and text, and check that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def read(shown: str) -> str:
    """Return the text of HTML, after checking that it holds our own tags and styles and nothing else."""
    reader = _Reader()
    reader.feed(shown)
    reader.close()
    assert reader.tags <= TAGS
    assert reader.attributes <= {"style"}
    assert reader.opened == []
    assert re.findall(r"url\(|https?:|#[0-9a-f]{3,6}\b|rgb|white;|black", shown) == []
    assert shown.isprintable()
    return reader.text


def _hostile_package() -> Package:
    package = make_package(
        lambda row: {HOSTILE: double({**row, "x": row[HOSTILE]})["y"]},
        signature=Signature(
            (
                Field(HOSTILE, "float64", description=HOSTILE),
                Field("n", "int64", nullable=True),
                Field("word", "string", nullable=True, categories=(HOSTILE,), open=True),
            ),
            (Field(HOSTILE, "float64"),),
        ),
        golden=[{HOSTILE: 1.0, "n": 1, "word": HOSTILE}],
    )
    manifest: dict[str, Any] = {name: value for name, value in package.manifest.items() if name != "files"}
    manifest["provenance"] = {HOSTILE: HOSTILE}
    manifest["runtime"] = {**manifest["runtime"], "libraries": {HOSTILE: HOSTILE}}
    manifest["engines"] = [
        {"engine": "original", "verdict": "original", "chosen": True},
        {"engine": "plan", "verdict": "absent", "why": HOSTILE, "chosen": False},
    ]
    return Package.build(manifest, {name: package.read(name) for name in package.names})


def test_a_package_shows_fields_engines_and_exactness() -> None:
    """The table of the tournament stands there with its reasons; texts of a hostile maker are text."""
    package = _hostile_package()
    text = read(package._repr_html_())
    for part in ("tiny", package.digest, "takes", "gives", "original (chosen)", "cannot run this model", "golden rows"):
        assert part in text
    assert "<script>alert(1)</script>" in text  # as text: the reader saw no such tag
    assert "\\u202e\\x1b[31m" in text
    package.figures = {"plan": dict.fromkeys(("one_row", "rows_per_second", "start_up", "memory", "size"), 0.5)}
    assert "rows/s" in read(package._repr_html_())
    assert len(repr(package)) < 60


def test_a_predictor_says_that_it_is_ready() -> None:
    """It shows its package, its version, and the replay."""
    text = read(make_predictor(version=3)._repr_html_())
    assert "tiny:3" in text
    assert "ready to answer: 2 golden rows, the same bits here" in text


@pytest.mark.parametrize("differs", [False, True])
def test_a_certificate_shows_a_line_for_each_architecture(differs: bool) -> None:
    """And the answers to one row side by side, what differs, and the verdict."""
    first = Difference(0, HOSTILE, 0.5, 0.25) if differs else None
    doors = [
        DoorReport(architecture, f"{HOSTILE}{door}", "whole", 10, int(differs), first, HOSTILE, {HOSTILE: 0.5}, 0.1)
        for architecture in ("service", "embed")
        for door in range(2)
    ]
    certificate = Certificate("eta", 2, "sha256:" + "0" * 64, 10, 1, {}, 5, {HOSTILE: HOSTILE}, doors)
    text = read(certificate._repr_html_())
    assert certificate.by_architecture == [("service", 2, 20, 2 * differs), ("embed", 2, 20, 2 * differs)]
    assert "certificate of eta:2" in text
    assert "0.5 (0x1.0000000000000p-1)" in text
    assert ("4 answers differ" if differs else "the same bits everywhere") in text
    assert ("expected 0.5, got 0.25; likely cause: " in text) is differs
    assert repr(certificate).startswith("<Certificate eta:2 sha256:000000000000: 10 rows, ")


def test_much_is_cut() -> None:
    """Neither many fields nor a long text make a page that a browser cannot show."""
    many = Signature(tuple(Field(f"x{index}", "float64") for index in range(3_000)), (Field("y", "float64"),))
    golden = [{field.name: 1.0 for field in many.inputs}]
    package = make_package(lambda _: {"y": 1.0}, signature=many, golden=golden)
    shown = package._repr_html_()
    assert f"… and {3_000 - notebook.MAX_ROWS:,} more" in read(shown)
    assert len(shown) < 200_000
    assert len(notebook.table(("a#",), [("x" * 10**6,)] * 1_000)) < 150_000
