"""Define a Python model that is stored as source files and a pickle, as a reader of another package format finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SourceModel"]


@dataclass(frozen=True)
class SourceModel:
    """Hold an object with `predict`, and the files that a package carries of it.

    Attributes:
        model: the object, loaded.
        code: its source files by name, named as by `sources.collect_files`.
        state: the pickled object; `code.PackageCode` of these files unpickles it.
        module: the module of its class.
        name: the name of its class in that module.
    """

    model: Any
    code: Mapping[str, bytes]
    state: bytes
    module: str
    name: str
