"""Check the names of a package's files: each must be able to stand in a folder of any system, beside the others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fourfold.errors import shorten

__all__ = ["MANIFEST", "MAX_FILES", "MAX_FILE_NAME_CHARACTERS", "check_file_names"]

#: The manifest's name in a package.
MANIFEST = "manifest.json"

MAX_FILES = 10_000
MAX_FILE_NAME_CHARACTERS = 255

# No space, no character outside of ASCII: so no two names differ in their Unicode form only.
_SEGMENT = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*", re.ASCII)
# Windows takes these for devices, whatever follows a first dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


def check_file_names(names: Iterable[str]) -> None:
    """Check the names of the files of one package; the manifest's own is taken already.

    Raises:
        ValueError: a name is not allowed, or two cannot stand beside each other; the message says which and why.
    """
    spellings = {MANIFEST: MANIFEST}
    for name in names:
        reason = _fault(name)
        if reason:
            raise ValueError(f"a file with a name that is not allowed: {shorten(name, 120)} {reason}")
        twin = spellings.setdefault(name.lower(), name)
        if twin != name:
            raise ValueError(
                f"two files whose names differ only in case, {shorten(twin, 120)} and {shorten(name, 120)}: many "
                "systems take them for one"
            )
    for lower, name in spellings.items():
        folder, slash, _ = lower.rpartition("/")
        while slash:
            if folder in spellings:
                raise ValueError(
                    f"two files that cannot stand beside each other, {shorten(spellings[folder], 120)} and "
                    f"{shorten(name, 120)}: the first would be a folder"
                )
            folder, slash, _ = folder.rpartition("/")


def _fault(name: str) -> str:
    """Return why a name is not allowed, as words to put behind it; "" where it is."""
    if name == MANIFEST:
        return "is the manifest's own"
    if len(name) > MAX_FILE_NAME_CHARACTERS:
        return f"has {len(name)} characters, more than {MAX_FILE_NAME_CHARACTERS}"
    for segment in name.split("/"):
        if not _SEGMENT.fullmatch(segment):
            return (
                "has a part that is not made of A-Z, a-z, 0-9, '.', '_', '+' and '-', or that is empty or begins "
                "with a dot"
            )
        if segment.endswith("."):
            return "has a part that ends with a dot, which Windows drops"
        if segment.partition(".")[0].lower() in _DEVICES:
            return f"has the part {segment}, which is a device on Windows"
    return ""
