"""Other libraries' file formats, checked before native code reads them: its parsers check no bounds.

One module a format. None of them imports the library that the format belongs to.
"""

from __future__ import annotations

__all__ = ["MalformedModel", "require"]


class MalformedModel(ValueError):
    """A model file that contradicts itself, or that the library which owns its format did not write."""


def require(holds: bool, problem: str) -> None:
    """Raise `MalformedModel` where a condition does not hold; the message is "it has" and the problem."""
    if not holds:
        raise MalformedModel(f"it has {problem}")
