"""The words of the sources: docstrings that begin with a verb, names that say what they hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.project.tree import parse, python_files, shown

#: Words that no docstring begins with: it says first what the code does.
NOT_VERBS = frozenset(
    re.findall(
        r"\w+",
        """
        a all also an and another any as at both by each either every few for from how if in it its less
        like many more most neither never no none nor not nothing of on one only or other others some such
        than that the their them then there these they this those through to two under until what whatever
        when where whether which while who whoever whose why with within without
        """,
    )
)
#: Names that hold anything, and so say nothing.
EMPTY_NAMES = frozenset({"each", "every", "found", "made", "place", "stuff", "thing"})
FOLDERS = ("src", "scripts", "build_backend")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line of every documented module, class and function of a file, and its docstring."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def bound_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of every variable and parameter that a file binds."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def test_docstrings_begin_with_a_verb() -> None:
    """No docstring of the sources begins with an article, a question word or another word that is no verb."""
    assert [
        f"{shown(path)}:{line} {text.splitlines()[0][:60]}"
        for path in python_files(*FOLDERS)
        for line, text in docstrings(path)
        if text.split()[0].strip("`*'\".,:;()").lower() in NOT_VERBS
    ] == []


def test_names_say_what_they_hold() -> None:
    """No variable of the sources has a name that would do for any other."""
    assert [
        f"{shown(path)}:{line} {name}"
        for path in python_files(*FOLDERS)
        for line, name in bound_names(path)
        if name in EMPTY_NAMES
    ] == []
