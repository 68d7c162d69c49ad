"""Check other libraries' model files before native code reads them: its parsers check no bounds.

Each module reads one format, with the same names:

    check(data) -> None     raise `MalformedModel` unless the file holds together
    read(data) -> model     the same, and return what the file holds, where something of ours computes it

No module imports the library that its format belongs to.
"""

from __future__ import annotations

__all__ = ["MalformedModel", "require"]


class MalformedModel(ValueError):
    """Report a file that contradicts itself, or that the library which owns its format did not write."""


def require(holds: bool, problem: str) -> None:
    """Raise `MalformedModel` where a condition does not hold; its message is "it has" and the problem."""
    if not holds:
        raise MalformedModel(f"it has {problem}")
