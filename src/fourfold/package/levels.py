"""Define the levels of trust: what a host may let a package do."""

from __future__ import annotations

from typing import Literal

from fourfold.errors import shorten

__all__ = ["LEVELS", "Level", "allows", "parse_level"]

#: `data`: flat arrays that Fourfold's evaluator computes. `foreign`: files that other libraries parse or rebuild.
#: `code`: Python source or pickle, which runs.
Level = Literal["data", "foreign", "code"]

#: All levels; each includes those before it.
LEVELS: tuple[Level, ...] = ("data", "foreign", "code")


def parse_level(value: object, source: str) -> Level:
    """Check a level of trust, and return it.

    Args:
        value: what a caller or a setting said.
        source: who said it, for the error: `trust=`, or the name of an environment variable.

    Raises:
        ValueError: it is none of `LEVELS`.
    """
    for level in LEVELS:
        if value == level:
            return level
    raise ValueError(f"{source}: expected one of 'data', 'foreign' and 'code'; got {shorten(value)}")


def allows(granted: Level, required: Level) -> bool:
    """Return whether a granted level includes a required one."""
    return LEVELS.index(granted) >= LEVELS.index(required)
