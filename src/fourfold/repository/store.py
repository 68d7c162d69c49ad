"""Define the four operations that a repository needs of its storage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from fourfold.errors import RepositoryError

__all__ = ["MAX_KEYS", "Oversized", "Store", "Tag"]

#: The most keys of one listing, so that a folder of junk names does not fill the memory.
MAX_KEYS = 1_000_000


@dataclass(frozen=True, slots=True)
class Tag:
    """Identify the content of a key that was read; a compare-and-swap compares tags.

    Attributes:
        e_tag: the store's identifier of the content; most stores have one.
        version: the store's number of the write, where it counts writes (Google Cloud Storage does).
        written_s: when the store says that the content was written, in seconds from 1970; it identifies nothing.
    """

    e_tag: str | None
    version: str | None = None
    written_s: float | None = field(default=None, compare=False)


class Oversized(RepositoryError):
    """Report a content that is longer than it may be, and was not read.

    Attributes:
        tag: the tag of the content, with which it can be replaced.
    """

    def __init__(self, message: str, tag: Tag) -> None:
        super().__init__(message)
        self.tag = tag


class Store(Protocol):
    """Describe a store of bytes by key: writes are atomic, and every later read sees them.

    Keys are validated names, joined by slashes. Every method raises `RepositoryError` where the store cannot be reached
    or refuses the operation; its message holds no secret.
    """

    @property
    def url(self) -> str:
        """Return the store's address for people, without secrets."""

    @property
    def is_remote(self) -> bool:
        """Return whether reads go over a network, so that local copies are worth keeping."""

    def get(self, key: str, max_bytes: int) -> tuple[bytes, Tag] | None:
        """Return the bytes of a key and their tag; `None` where the key does not exist.

        Raises:
            Oversized: the content is longer than `max_bytes`; nothing of it was kept.
        """

    def create(self, key: str, data: bytes) -> None:
        """Write a new key.

        Raises:
            Conflict: the key exists, or the store could not tell: read the key to decide.
        """

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Replace the content of a key, if it still has the content that `tag` identifies.

        Raises:
            Conflict: the key has another content now, or does not exist.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every key that begins with `prefix`, which ends with a slash, in any order.

        Raises:
            NotFound: the store itself does not exist.
            RepositoryError: there are more than `MAX_KEYS`.
        """
