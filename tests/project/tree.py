"""The project's own files, as the house rules read them."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "fourfold"


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project that git tracks, or would track if it were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted({path for path in paths if path.is_file()}))


def python_files(*folders: str) -> list[Path]:
    """The Python files below the folders named, from the project's root."""
    tops = [ROOT / folder for folder in folders]
    return [path for path in files() if path.suffix == ".py" and any(top in path.parents for top in tops)]


@cache
def parse(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def shown(path: Path) -> str:
    """A path as a failure shows it: from the project's root."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """A source file's module, such as `fourfold.codecs.csv`."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def pyproject() -> dict[str, Any]:
    """pyproject.toml, read."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
