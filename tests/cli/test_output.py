from __future__ import annotations

import pytest

from fourfold.certificate.certificate import Certificate, DoorReport
from fourfold.cli.certify import print_certificate
from fourfold.cli.output import escape_markup, print_error, print_table, printable
from fourfold.cli.show import print_package
from fourfold.errors import DecodeError
from fourfold.package import Package
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
    assert f"provenance   {printable(text)} {printable(text)}" in shown
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
