"""Blobs: bytes named by their digest, verified at every read."""

from __future__ import annotations

import hashlib

from fourfold.errors import Conflict, CorruptPackage, RepositoryError
from fourfold.repository.cache import Cache
from fourfold.repository.records import blob_key
from fourfold.repository.store import Store

__all__ = ["Blobs", "digest_of"]

#: A store may refuse a write for a passing reason (S3's answer 409); so often it is tried again.
ATTEMPTS = 5


def digest_of(data: bytes) -> str:
    """`sha256:` and the 64 hexadecimal digits of the data."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Blobs:
    """The blobs of a store.

    Args:
        store: where they lie.
        cache: where copies are kept, or `None`.
    """

    def __init__(self, store: Store, cache: Cache | None) -> None:
        self._store = store
        self._cache = cache

    def read(self, digest: str) -> bytes | None:
        """The bytes that have this digest; `None` where the store has none.

        A copy in the cache is used without asking the store; one that is damaged is thrown away and fetched again.

        Raises:
            CorruptPackage: what the store holds under the digest is something else.
            RepositoryError: the store cannot be reached.
        """
        if self._cache is not None:
            copy = self._cache.read(digest)
            if copy is not None and digest_of(copy) == digest:
                return copy
            if copy is not None:
                self._cache.discard(digest)
        held = self._store.get(blob_key(digest))
        if held is None:
            return None
        data = held[0]
        got = digest_of(data)
        if got != digest:
            raise CorruptPackage(f"the blob {blob_key(digest)} in {self._store.url}: expected {digest}, got {got}")
        if self._cache is not None:
            self._cache.write(digest, data)
        return data

    def write(self, data: bytes) -> None:
        """Put bytes under their digest. A blob that is there is read back; a damaged one is made right again.

        Raises:
            RepositoryError: the store cannot be reached or refuses.
        """
        digest = digest_of(data)
        key = blob_key(digest)
        for _ in range(ATTEMPTS):
            held = self._store.get(key)
            if held is not None and held[0] == data:
                return
            try:
                if held is None:
                    self._store.create(key, data)
                else:
                    # Only these bytes can have this digest, so nobody's blob is lost.
                    self._store.replace(key, data, held[1])
            except Conflict:
                continue  # somebody else writes the same bytes: see what stands there now
            return
        raise RepositoryError(f"cannot write {key} in {self._store.url}: it was refused {ATTEMPTS} times")
