"""Refuse JSON objects that have a key twice; `json.loads` alone would silently keep the last value.

A key that nobody asks for may be there twice: which of its values is meant, nobody needs to know.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = ["RepeatedKey", "unique_keys"]


class RepeatedKey(ValueError):
    """Report that an object has a key twice.

    Attributes:
        key: the key.
    """

    def __init__(self, key: str) -> None:
        super().__init__("a key is there twice")
        self.key = key


def unique_keys(pairs: list[tuple[str, Any]], known: Collection[str] | None = None) -> dict[str, Any]:
    """Return a JSON object as a dict: the `object_pairs_hook` of `json.loads`.

    Args:
        pairs: its keys and values.
        known: the keys that somebody asks for; `None` for all.

    Raises:
        RepeatedKey: two pairs have the same key, one that is known.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen and (known is None or key in known):
                raise RepeatedKey(key)
            seen.add(key)
    return members
