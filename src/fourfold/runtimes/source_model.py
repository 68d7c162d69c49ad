"""A Python model whose code and state are files already, as another format's reader finds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Carried"]


@dataclass(frozen=True)
class Carried:
    """An object with `predict`, and what a package carries of it.

    Attributes:
        model: the object, as it was before its state became a file.
        code: its source files by name, as `code.collect` names them.
        state: the object pickled; `code.Code` of these files unpickles it.
        module: the module of its class.
        name: its class's name in that module.
    """

    model: Any
    code: Mapping[str, bytes]
    state: bytes
    module: str
    name: str
