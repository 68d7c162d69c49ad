"""The words of the sources: docstrings that begin with a verb, names that say what they hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.project.tree import files, parse, python_files, shown

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
#: What only those who wrote it understand, with the plain words for it.
SLANG = {
    r"\bto hurt\b|\brows that hurt\b|\bhurtful\b": "edge cases",
    r"\bmet a bug\b": "what failed, and where the traceback stands",
    r"\b(can|cannot) bear\b|\bbears?\b": "may be, has",
    r"\bno rule for\b|\bhas no rule\b": "plans do not cover it",
    r"\b(rows?|that) miss(es)? (it|its|a|the)\b": "is missing, lacks",
    r"\bup to Infinity\b": "a number, or what differs",
    r"\b(is|are|not) spoken\b|\bspeaks (of|its|S3)\b": "is read, is served, is for",
    r"\b(dies|died) of\b": "crashes on",
    r"\bsaid nothing\b|\bsaid what no\b": "printed no error, cannot be read",
    r"\bwhoever\b": "who",
    r"\bthat (is|are) none\b(?! of)": "that is not valid, not a number, …",
    r"\bmust not answer anybody\b|\bnobody reads\b|\bnobody knows\b": "what is known, what was not loaded",
}


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


def shown_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every string of a file that users may read: no docstrings, but those of verbs."""
    tree = parse(path)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value
        elif isinstance(node, ast.FunctionDef) and node.name == "command":
            yield node.lineno, ast.get_docstring(node) or ""


def test_users_read_plain_words() -> None:
    """No page, no help and no message has a word that only those who wrote it understand."""
    pages = [path for path in files() if path.suffix == ".md" and path.parent.name != "decisions"]
    texts = [(path, number, line) for path in pages for number, line in enumerate(path.read_text().splitlines(), 1)]
    texts += [(path, number, text) for path in python_files("src") for number, text in shown_texts(path)]
    assert [
        f"{shown(path)}:{number} {found[0]!r}: say {plain}"
        for path, number, text in texts
        for slang, plain in SLANG.items()
        if (found := re.search(slang, text, re.IGNORECASE))
    ] == []
