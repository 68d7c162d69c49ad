"""What stands in the project's files, and what must not."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import fourfold
from tests.project.tree import ROOT, files, parse, python_files, shown

#: In parts, so that this file names none of them either.
HOSTS = tuple(
    ".".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("repo", "maven"),
        ("repo1", "maven"),
        ("crates", "io"),
        ("proxy", "golang"),
        ("deb", "debian", "org"),
    )
)
#: Somebody's home, or the folder of this very checkout.
HOMES = re.compile(rf"/(?:root|(?:home|Users)/\w+)/|{re.escape(str(ROOT))}/")
#: A second idea may live in a file that is longer, or in a function that does not fit a screen.
FILE_LINES = 600
FUNCTION_LINES = 70


def lines() -> list[tuple[str, str]]:
    """Every line of every text file, after the place where it stands."""
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text: a picture, a Parquet file
        found += [(f"{shown(path)}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    return found


def test_no_registry_is_named() -> None:
    """Where packages come from is the machine's affair: no file names a registry's host."""
    assert [place for place, line in lines() if any(host in line for host in HOSTS)] == []


def test_no_machine_path_is_named() -> None:
    """No file names a folder that only one machine has."""
    assert [place for place, line in lines() if HOMES.search(line)] == []


def test_sources_are_short() -> None:
    """No source or test file holds more lines than a reader keeps in mind."""
    long = [path for path in python_files("src", "tests") if len(path.read_text("utf-8").splitlines()) > FILE_LINES]
    assert [shown(path) for path in long] == []


def test_functions_fit_a_screen() -> None:
    """No function is longer than a screen."""
    long = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in python_files("src", "tests", "scripts", "examples", "benchmarks")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno > FUNCTION_LINES
    ]
    assert long == []


def test_changelog_knows_the_version() -> None:
    """The changelog has a heading for the version that the code says it is."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert fourfold.__version__ in headings


def commands(page: Path) -> list[str]:
    """The commands in a page's code blocks, in order, without prompts and comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [line.removeprefix("$ ").partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in found if re.match(r"(make|fourfold|pip|python|uv|git)\b", line)]


#: What a reader sees of README.md before scrolling: about a screen, without the picture.
FIRST_SCREEN_LINES = 45


def test_readme_says_what_this_is_before_how_to_run_it() -> None:
    """The first screen has, in this order: one sentence, a picture, code, `make demo` and `make test`."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    screen = "\n".join(page.splitlines()[:FIRST_SCREEN_LINES])
    parts = ("# Fourfold", "**Pack a trained model once", "<picture>", "```python", "\nmake demo", "\nmake test")
    positions = [screen.index(part) for part in parts]
    assert positions == sorted(positions)
    typed = [line for line in commands(ROOT / "README.md") if not line.startswith("fourfold.")]
    assert typed[:2] == ["make demo", "make test"]


def makefile_targets() -> set[str]:
    """The targets that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_target_is_explained() -> None:
    """Every target that a person may call is listed by `make help`."""
    phony = re.findall(r"^\.PHONY: (.+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert makefile_targets() == set(" ".join(phony).split())


def test_pages_name_only_targets_that_exist() -> None:
    """Every `make TARGET` that a page tells its reader to type is there."""
    pages = [path for path in files() if path.suffix == ".md"]
    named = {
        (shown(path), target)
        for path in pages
        for target in re.findall(r"(?:`|^)make ([a-z]+(?:-[a-z]+)*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert [pair for pair in sorted(named) if pair[1] not in makefile_targets()] == []


def test_configuration_is_whole() -> None:
    """The package ships its type marker, and its licence is in full."""
    assert (ROOT / "src" / "fourfold" / "py.typed").is_file()
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["license"] == "Apache-2.0"
    assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text(encoding="utf-8")
