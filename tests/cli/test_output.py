from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from fourfold.certificate.certificate import Certificate, DoorReport
from fourfold.cli.certify import print_certificate
from fourfold.cli.output import (
    MAX_TABLE_ROWS,
    MAX_TEXT_CHARACTERS,
    clip,
    escape_markup,
    print_error,
    print_json,
    print_table,
    printable,
)
from fourfold.cli.show import print_package
from fourfold.errors import CorruptPackage, DecodeError
from fourfold.package import Package
from fourfold.package.words import verdict_line
from fourfold.signature.bits import Difference
from tests.package.sample import FILES, manifest

#: What a terminal, or rich, would take for something to do.
HOSTILE = [
    "[red]x[/red]",
    "[/]",
    "[link=https://example.org]x[/link]",
    "a\\",
    "\x1b]0;title\x07\x1b[2J",
    "a\rb\nc",
    "\u202etxt",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_does_nothing_but_appear(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Markup stands there as it was written, and what is no printable character as its escape."""
    print_table(["name"], [(text,)])
    shown = capsys.readouterr().out
    assert printable(text) in shown
    assert printable(text).isprintable()
    assert not set(text) & set(shown) - set(printable(text)) - set(" \n")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_package_says_of_itself_only_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, descriptions and provenance from a stranger's manifest are printed, and not carried out."""
    field = {"name": text, "dtype": "float64", "description": text}
    signature = {"inputs": [field], "outputs": [field], "extra": "forbid"}
    runtime = {"name": text, "settings": {}, "requires": "", "libraries": {text: text}}
    print_package(Package.build(manifest(signature=signature, runtime=runtime, provenance={text: text}), FILES))
    shown = capsys.readouterr().out
    assert f"provenance    {printable(text)} {printable(text)}" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_a_certificate_shows_only_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The row that a certificate shows comes from whoever made the rows."""
    print_certificate(
        Certificate(
            name="eta",
            version=None,
            digest="sha256:0",
            rows=1,
            refused=0,
            exactness={},
            golden_rows=1,
            shown={text: text},
            doors=[DoorReport("embed", text, text, 1, 1, Difference(0, text, text, text), text, {text: text}, 0.0)],
        )
    )
    assert f"{printable(text)}={printable(text)}" in capsys.readouterr().out


def test_an_error_keeps_its_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """An error with a line for each row at fault is printed so; an escape in it is not obeyed."""
    assert print_error(DecodeError("one \x1b[31m\ntwo")) == 3
    assert capsys.readouterr().err == "fourfold: error: one \\x1b[31m\ntwo\n"
    assert escape_markup("[b]") == "\\[b]"


#: What stands where a manifest has a number, a text or a list: nothing that adds, compares or formats well.
ODD: list[Any] = [
    10**400,
    -(10**400),
    10**18,
    1e308,
    -1e308,
    5e-324,
    -0.0,
    True,
    None,
    "",
    "many",
    "\x1b[2J" * 9,
    [],
    [[]],
    {},
    {"a": 1},
]


VERDICTS = ("exact", "equal", "bound", "absent", "\x07")


def whole() -> dict[str, Any]:
    """Return a manifest that has every part that is printed."""
    finding = {"block": None, "rows": 3, "differing": 0, "largest_gap": 0.0, "variation": None}
    bound = {"rows": 3, "differing": 1, "ulp": 2.0, "gap": 1e-9, "why": ""}
    scaled = {"factor": 10, "rows": 3, "differing": 1, "ulp": "Infinity", "gap": "Infinity"}
    expected = {"rows": 3, "rtol": 1e-5, "largest_gap": 1e-7}
    return manifest(
        exactness={
            "exact": True,
            "block": 8,
            "rows": 3,
            "tested": [finding, {**finding, "differing": 1}],
            "accepted": "tight",
            "original": {"rows": 3, "differing": 1, "ulp": 2.0, "gap": 1e-9},
            "expected": expected,
        },
        engines=[
            {"engine": "plan", "verdict": "exact", "chosen": True, "rows": 3},
            {"engine": "onnx", "verdict": "bound", "chosen": False, **bound},
            {
                "engine": "other",
                "verdict": "equal",
                "chosen": False,
                "rows": 3,
                "scaled": [scaled, {**scaled, "ulp": 2}],
            },
        ],
        provenance={"maker": "me"},
    )


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every part of a manifest as what holds it, and the key or index there."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def test_show_survives_every_odd_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in a manifest is printed or refused, and never a traceback, nor an order to a terminal."""
    printed = refused = 0
    for index in range(len(list(places(whole())))):
        for odd in ODD:
            changed = whole()
            holder, key = list(places(changed))[index]
            holder[key] = odd
            try:
                print_package(Package.build(changed, FILES))
                printed += 1
            except CorruptPackage:
                refused += 1
    assert printed > 250
    assert refused > 250
    assert "\x1b" not in capsys.readouterr().out


def test_show_survives_parts_that_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """A verdict without what belongs to it, or a finding that is none, is printed as it is."""
    engines = [{"engine": "x", "verdict": verdict, "chosen": True} for verdict in VERDICTS]
    tested = [1, {}, {"block": None}, {"differing": "some"}, "\x1b[2J"]
    exactness = {**whole()["exactness"], "tested": tested}
    print_package(Package.build(manifest(engines=engines, exactness=exactness), FILES))
    shown = capsys.readouterr().out
    assert "'?' of '?'" not in shown
    assert "? of ? rows differ" in shown
    assert "\x1b" not in shown


def test_long_texts_are_cut_and_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """A text of megabytes does not fill the terminal: its beginning is printed, and how much was left out."""
    print_package(Package.build(manifest(provenance={"maker": "m" * 3_000_000}), FILES))
    out = capsys.readouterr().out
    assert len(out) < 10_000
    assert f"and {3_000_000 + len('maker ') - MAX_TEXT_CHARACTERS:,} characters more" in out
    assert clip("x" * MAX_TEXT_CHARACTERS) == "x" * MAX_TEXT_CHARACTERS
    print_table(["name"], [("row",)] * (MAX_TABLE_ROWS + 5))
    assert "… and 5 rows more (--json prints all)" in capsys.readouterr().out
    print_error(DecodeError("x" * 100_000 + "\n" * 100_000))
    assert len(capsys.readouterr().err) < 8_000


def test_json_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON for a script holds every character that a terminal acts on as an escape, and reads back as it was."""
    chance = random.Random(3)
    texts = [
        *HOSTILE,
        "é 😀",
        "\x7f\x9b\u2028\ufeff",
        "".join(chr(chance.randrange(0xD7FF)) for _ in range(500)),
        "\ud800",
    ]
    for text in texts:
        print_json({text: [text]})
        out = capsys.readouterr().out
        assert json.loads(out) == {text: [text]}
        assert all(char.isprintable() or char == "\n" for char in out)


def test_a_tiny_distance_is_said_to_be_one() -> None:
    """The distance of two zeros is no number of twenty digits."""
    scaled = [{"factor": 10, "rows": 3, "differing": 1, "ulp": 8.7e-19, "gap": 1e-34}]
    entry = {"verdict": "bound", "rows": 3, "differing": 1, "ulp": 2.0, "gap": 4e-16, "why": "a BLAS", "scaled": scaled}
    assert verdict_line(entry) == (
        "1 of 3 rows differ, by up to 2 ulp (4e-16), less than 0.01 ulp at 10 times their numbers: a BLAS"
    )
