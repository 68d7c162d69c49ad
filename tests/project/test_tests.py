"""The tests' own rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.project.tree import parse, python_files, shown


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every test, and the file that it stands in."""
    for path in python_files("tests"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node


def test_every_test_says_what_must_hold() -> None:
    """Every test has a docstring: one sentence that says what must hold."""
    silent = [f"{shown(path)}:{node.lineno} {node.name}" for path, node in functions() if not ast.get_docstring(node)]
    assert silent == []


def test_no_test_is_skipped() -> None:
    """A test that cannot run here is a failure, not a skip: a skip hides the component that is missing."""
    skipping = {"skip", "skipif", "importorskip"}
    skips = [
        f"{shown(path)}:{node.lineno} {node.attr}"
        for path in python_files("tests")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and node.attr in skipping
        and ast.unparse(node.value) in {"pytest", "pytest.mark"}
    ]
    assert skips == []


def test_test_files_are_found() -> None:
    """A file below tests/ that holds a test has a name under which pytest finds it."""
    lost = {shown(path) for path, _ in functions() if not path.name.startswith("test_")}
    assert lost == set()
