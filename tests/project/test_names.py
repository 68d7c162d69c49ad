"""The public names: pinned, documented, and short enough to learn."""

from __future__ import annotations

import builtins
import inspect

import pytest

import fourfold
from tests.project.tree import ROOT, SOURCE, files, python_files

PUBLIC = [
    "Field",
    "FourfoldError",
    "Package",
    "Predictor",
    "Repository",
    "Signature",
    "__version__",
    "certify",
    "list",
    "load",
    "open",
    "pack",
    "promote",
    "pull",
    "push",
    "show",
]
#: The rooms that `fourfold` lends as modules, and says that it has.
ROOMS = ["embed", "errors"]
#: Public functions that later versions bring: no room may take their names before.
RESERVED = ["compare", "export"]


def test_public_names_are_pinned() -> None:
    """A public name comes or goes only together with this list."""
    assert dir(fourfold) == sorted([*PUBLIC, *ROOMS])


def test_a_star_import_takes_no_name_of_python_away() -> None:
    """`from fourfold import *` brings all public names but those that Python has too."""
    assert sorted(fourfold.__all__) == [name for name in PUBLIC if not hasattr(builtins, name)]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name: str) -> None:
    """Every public name, and every public method and property of it, says what it is."""
    value = getattr(fourfold, name)
    if isinstance(value, str):
        return
    assert inspect.getdoc(value)
    members = vars(value).items() if inspect.isclass(value) else ()
    described = (property, staticmethod, classmethod)
    undocumented = [
        member
        for member, thing in members
        if not member.startswith("_")
        and (inspect.isroutine(thing) or isinstance(thing, described))
        and not inspect.getdoc(thing)
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_public_names_stand_in_the_docs(name: str) -> None:
    """Every public name is written about in README.md or docs/."""
    pages = [
        path for path in files() if path.suffix == ".md" and (path.parent == ROOT or ROOT / "docs" in path.parents)
    ]
    assert any(name in path.read_text(encoding="utf-8") for path in pages)


def test_no_room_bears_a_public_name() -> None:
    """No room has the name of a public function: the module would stand in its place once something imports it."""
    rooms = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in python_files("src")}
    assert rooms & {*PUBLIC, *RESERVED} == set()
