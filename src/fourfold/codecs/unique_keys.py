"""Refuse JSON objects that have a key twice; `json.loads` alone would silently keep the last value."""

from __future__ import annotations

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


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict: the `object_pairs_hook` of `json.loads`.

    Raises:
        RepeatedKey: two pairs have the same key.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(key)
            seen.add(key)
    return members
