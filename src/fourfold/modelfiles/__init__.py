"""Other libraries' file formats, checked before native code reads them: its parsers check no bounds.

One module a format. None of them imports the library that the format belongs to.
"""

from __future__ import annotations

__all__ = ["MalformedModel"]


class MalformedModel(ValueError):
    """A model file that contradicts itself, or that the library which owns its format did not write."""
