"""The import contracts of pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.project.tree import ROOT, SOURCE, parse, pyproject, python_files, shown


def test_contracts_are_kept() -> None:
    """Imports go down only, and no contract of the import linter is broken."""
    command: list[str | Path] = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_contracts_are_sentences() -> None:
    """Every contract's name is a sentence: a person learns from it what must not happen."""
    names = [contract["name"] for contract in pyproject()["tool"]["importlinter"]["contracts"]]
    assert [name for name in names if len(name.split()) < 4 or not name[0].isupper()] == []


def test_only_durable_syncs_and_locks() -> None:
    """No room but `durable` calls fsync or locks a file: whoever must not lose anything takes its functions."""
    names = {"fsync", "fdatasync", "fcntl", "flock", "lockf"}
    elsewhere = [
        f"{shown(path)}:{node.lineno} {ast.unparse(node)}"
        for path in python_files("src")
        if SOURCE / "durable" not in path.parents
        for node in ast.walk(parse(path))
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.Import | ast.ImportFrom) and names & {alias.name for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module in names)
    ]
    assert elsewhere == []
