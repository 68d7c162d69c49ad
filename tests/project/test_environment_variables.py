"""The environment variables that the sources read are those that users are told."""

from __future__ import annotations

import re

from tests.project.tree import ROOT, python_files

VARIABLE = re.compile(r"FOURFOLD_[A-Z_]+")


def test_every_variable_is_in_the_table_of_the_command_line() -> None:
    """docs/cli.md lists each variable of the sources, and no other."""
    sources = "".join(path.read_text(encoding="utf-8") for path in python_files("src"))
    table = "".join(
        line.split("|")[1]
        for line in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `FOURFOLD_")
    )
    assert set(VARIABLE.findall(table)) == set(re.findall(r'"(FOURFOLD_[A-Z_]+)"', sources))
