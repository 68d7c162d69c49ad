"""Read and write blobs: bytes that are named by their digest, and verified at every read."""

from __future__ import annotations

from fourfold.errors import Conflict, CorruptPackage, RepositoryError
from fourfold.package.manifest import digest_of
from fourfold.repository.cache import Cache
from fourfold.repository.records import blob_key
from fourfold.repository.store import Oversized, Store

__all__ = ["Blobs"]

#: How often a write is tried: a store may refuse one for a passing reason (status 409 of S3).
MAX_WRITE_ATTEMPTS = 5


class Blobs:
    """Read and write the blobs of a store.

    Args:
        store: the store.
        cache: where to keep local copies, or `None`.
    """

    def __init__(self, store: Store, cache: Cache | None) -> None:
        self._store = store
        self._cache = cache

    def read(self, digest: str, max_bytes: int) -> bytes | None:
        """Return the bytes that have this digest; `None` where the store has none.

        A valid copy in the cache is returned without asking the store; a damaged one is removed and fetched again.

        Args:
            digest: the digest.
            max_bytes: the most bytes that there may be: those that the manifest says, or the most of a manifest.

        Raises:
            CorruptPackage: the store's bytes have another digest, or are more than there may be; those are not read.
            RepositoryError: the store cannot be reached.
        """
        if self._cache is not None:
            copy = self._cache.read(digest, max_bytes)
            if copy is not None and digest_of(copy) == digest:
                return copy
            self._cache.discard(digest)
        try:
            content = self._store.get(blob_key(digest), max_bytes)
        except Oversized as error:
            raise CorruptPackage(f"the blob {error}") from None
        if content is None:
            return None
        data = content[0]
        got = digest_of(data)
        if got != digest:
            raise CorruptPackage(f"the blob {blob_key(digest)} in {self._store.url}: expected {digest}, got {got}")
        if self._cache is not None:
            self._cache.write(digest, data)
        return data

    def write(self, data: bytes) -> None:
        """Write bytes under their digest. An existing blob is read and compared; a damaged one is replaced.

        Raises:
            RepositoryError: the store cannot be reached or refuses the write.
        """
        digest = digest_of(data)
        key = blob_key(digest)
        for _ in range(MAX_WRITE_ATTEMPTS):
            try:
                content = self._store.get(key, len(data))
                tag = None if content is None else content[1]
                if content is not None and content[0] == data:
                    return
            except Oversized as error:
                tag = error.tag
            try:
                if tag is None:
                    self._store.create(key, data)
                else:
                    # Safe: only these bytes have this digest, so the blob that is replaced is damaged.
                    self._store.replace(key, data, tag)
            except Conflict:
                continue  # another writer writes the same bytes: read them again
            return
        raise RepositoryError(f"cannot write {key} in {self._store.url}: it was refused {MAX_WRITE_ATTEMPTS} times")
