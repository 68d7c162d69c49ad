"""The lists of exact versions: whole, hashed, agreeing with each other and with pyproject.toml."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fourfold.cli.pack import _EXTRAS
from fourfold.installation import EXTRA_OF_LIBRARY
from tests.project.tree import ROOT, parse, pyproject, python_files, shown

LISTS = ("build", "compiler", "demo", "dev")


@cache
def pins(name: str) -> dict[str, Requirement]:
    """A list's requirements by name; each keeps its hashes to itself."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    found = [Requirement(entry.partition(" --hash")[0].strip()) for entry in entries]
    return {canonicalize_name(pin.name): pin for pin in found}


def wanted() -> dict[str, list[str]]:
    """What pyproject.toml asks for: the requirements of each list that are not the project itself."""
    project = pyproject()["project"]
    extras = project["optional-dependencies"]

    def of(extra: str) -> list[str]:
        listed = []
        for entry in extras[extra]:
            requirement = Requirement(entry)
            own = requirement.name == "fourfold"
            listed += [inner for name in sorted(requirement.extras) for inner in of(name)] if own else [entry]
        return listed

    groups = pyproject()["dependency-groups"]
    return {
        "build": groups["build"],
        "compiler": groups["compiler"],
        "demo": project["dependencies"] + of("demo"),
        "dev": project["dependencies"] + [entry for extra in extras for entry in of(extra)] + groups["dev"],
    }


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_is_exact_and_hashed(name: str) -> None:
    """Each entry of a list is one version with at least one hash, so nothing else can be installed in its place."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    whole = re.compile(r"[A-Za-z0-9._-]+==[^ ;]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert entries
    assert [entry[:60] for entry in entries if not whole.fullmatch(entry)] == []


@pytest.mark.parametrize("name", LISTS)
def test_lists_name_no_place(name: str) -> None:
    """A list says what is installed, never from where."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert [
        line for line in text.splitlines() if "://" in line or re.match(r"\s*(-i|-f|--[a-z]+-(url|links))", line)
    ] == []


@pytest.mark.parametrize("name", LISTS)
def test_lists_hold_what_is_asked_for(name: str) -> None:
    """Every requirement of pyproject.toml is in its list, at a version that it allows; if not, `make lock`."""
    missing = []
    for entry in wanted()[name]:
        requirement = Requirement(entry)
        pin = pins(name).get(canonicalize_name(requirement.name))
        version = next(iter(pin.specifier)).version if pin else None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{entry} (pinned: {version})")
    assert missing == []


def test_lists_agree() -> None:
    """The demo runs on the versions that the tests run on, and both are built with the same tools."""
    disagree = [
        name
        for one, other in (("demo", "dev"), ("build", "dev"), ("compiler", "dev"))
        for name in sorted(pins(one).keys() & pins(other).keys())
        if pins(one)[name].specifier != pins(other)[name].specifier
    ]
    assert disagree == []
    assert pins("demo").keys() - pins("dev").keys() == set()


def test_every_extra_is_in_all() -> None:
    """The extra `all` brings what every other extra brings."""
    extras = pyproject()["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == extras.keys() - {"all"}


def test_errors_name_extras_that_exist() -> None:
    """Whoever follows the advice of a `MissingLibrary` error asks pip for an extra that is there."""
    extras = pyproject()["project"]["optional-dependencies"]
    unknown = [
        f"{shown(path)}:{node.lineno} {keyword.value.value!r}"
        for path in python_files("src")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "extra"
        and isinstance(keyword.value, ast.Constant)
        # The other two: what a signature does with unknown fields.
        and not set(str(keyword.value.value).split(",")) <= {*extras, "forbid", "ignore"}
    ]
    assert unknown == []
    assert set(EXTRA_OF_LIBRARY.values()) - extras.keys() == set()
    assert set(_EXTRAS.values()) - extras.keys() == set()
