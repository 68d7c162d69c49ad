"""Write modules and distributions into folders, as users and installers have them, for the tests."""

from __future__ import annotations

import base64
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: A transformer of one's own, whose answers depend on its module, on its package, and on a module beside it.
FEATURES = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from scale4f import scale

from . import shifts

LIMIT = {limit}


class Clip(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        import lazy4f

        return lazy4f.sign(scale(np.clip(np.asarray(X), -LIMIT, LIMIT)) + shifts.SHIFT)
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files below a folder, and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def write_project(folder: Path, *, limit: float, factor: float, shift: float) -> Path:
    """Write a package and two modules of one's own."""
    return write(
        folder,
        {
            "acme4f/__init__.py": "",
            "acme4f/features.py": FEATURES.format(limit=limit),
            "acme4f/shifts.py": f"SHIFT = {shift}\n",
            "acme4f/data.csv": "not carried",
            "scale4f.py": f"def scale(x):\n    return x * {factor}\n",
            "lazy4f.py": f"def sign(x):\n    return x if {factor} > 0 else -x\n",
            "unused4f.py": "1 / 0\n",
        },
    )


def install(site: Path, name: str, version: str, files: dict[str, str], *, hashed: bool = True) -> Path:
    """Write an installed distribution with its metadata and list of files, and return the folder."""
    write(site, files)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    write(site, {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"})
    lines = [f"{info}/METADATA,,", f"{info}/RECORD,,"]
    for file in files:
        data = (site / file).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{file},sha256={digest},{len(data)}" if hashed else f"{file},,")
    write(site, {f"{info}/RECORD": "\n".join(lines) + "\n"})
    return site


@contextmanager
def importing(*folders: Path) -> Iterator[Callable[[str], Any]]:
    """Import modules from folders as a script would, and forget them afterwards."""
    paths, modules = sys.path[:], set(sys.modules)
    sys.path[:0] = map(str, folders)
    importlib.invalidate_caches()

    def load(name: str) -> Any:
        return importlib.import_module(name)

    try:
        yield load
    finally:
        # All are judged before the first is forgotten: a namespace package looks its parent up.
        imported = [name for name in set(sys.modules) - modules if _comes_from(sys.modules[name], folders)]
        sys.path[:] = paths
        for name in imported:
            del sys.modules[name]
        importlib.invalidate_caches()


def _comes_from(module: Any, folders: tuple[Path, ...]) -> bool:
    """Return whether a module lies in one of these folders."""
    places = [str(getattr(module, "__file__", "")), *map(str, getattr(module, "__path__", ()))]
    return any(place.startswith(str(folder)) for place in places for folder in folders)
