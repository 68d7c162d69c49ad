"""The pictures of README.md show what the project does today."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import click

from fourfold.cli import command
from scripts.pictures import FOLDER, PALETTES, draw_architectures, pictures
from tests.project.tree import ROOT


def test_the_pictures_are_drawn_from_what_is_kept() -> None:
    """Every picture is what the script draws from the kept certificate, and nothing else lies there."""
    drawn = pictures()
    assert {path.name for path in FOLDER.iterdir()} == {*drawn, "certificate.txt"}
    for name, content in drawn.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, name
        ET.fromstring(content)


def test_readme_shows_every_picture() -> None:
    """Each picture stands in README.md, the one for a dark page beside the one for a light page."""
    shown = set(re.findall(r'"docs/pictures/([^"]+)"', (ROOT / "README.md").read_text(encoding="utf-8")))
    assert shown == set(pictures())


def test_a_picture_names_the_commands_that_exist() -> None:
    """The commands in the picture of the architectures are those of the command line."""
    text = draw_architectures("sha256:" + 64 * "0", PALETTES["light"])
    named = set(re.findall(r">fourfold ([a-z]+)", text)) | set(re.findall(r">(pack|certify)<", text))
    assert named == {"serve", "stream", "batch", "pack", "certify"}
    assert isinstance(command, click.Group)
    assert named <= set(command.list_commands(click.Context(command)))
