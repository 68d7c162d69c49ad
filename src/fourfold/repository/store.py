"""The four operations that a repository needs of the place it lies in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Store", "Tag"]


@dataclass(frozen=True, slots=True)
class Tag:
    """Which content of a key was read: what a compare-and-swap compares.

    Attributes:
        e_tag: the store's name for the content; most stores have one.
        version: the store's number for the write, where it counts writes (Google Cloud Storage does).
    """

    e_tag: str | None
    version: str | None = None


class Store(Protocol):
    """Keys and bytes; a write is whole or not at all, and is seen by every later read.

    Keys are made of validated names alone, joined by slashes. Every method raises `RepositoryError` where the store
    cannot be reached or refuses, with a message that holds no secret.
    """

    @property
    def url(self) -> str:
        """Where the store is, for people; holds no secret."""

    @property
    def remote(self) -> bool:
        """Whether reading costs a trip over a network, so that a local copy is worth keeping."""

    def get(self, key: str) -> tuple[bytes, Tag] | None:
        """The bytes of a key and their tag; `None` where nothing is."""

    def create(self, key: str, data: bytes) -> None:
        """Write a key that is not there yet.

        Raises:
            Conflict: it is there (or the store could not tell: read it and decide).
        """

    def replace(self, key: str, data: bytes, tag: Tag) -> None:
        """Write a key that still has the content that `tag` names.

        Raises:
            Conflict: it has another content by now, or none.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that begins with `prefix`, which ends with a slash; in no order that counts.

        Raises:
            NotFound: the place itself does not exist, so that nothing can be in it.
        """
