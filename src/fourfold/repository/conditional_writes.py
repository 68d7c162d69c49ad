"""Prove that a store honours conditional writes, before the first write to it.

Some stores with the API of S3 accept conditions and ignore them: two writers could then both take one version. So the
conditions are tried on a key that holds nothing else.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from fourfold.errors import Conflict, RepositoryError
from fourfold.package import canonical_json
from fourfold.repository.records import MAX_RECORD_BYTES, PROBE_KEY
from fourfold.repository.store import Store, Tag

__all__ = ["prove"]

#: How often a write of the probe is tried: other writers may prove the same store at the same time.
MAX_ATTEMPTS = 20


def prove(store: Store) -> None:
    """Check that a store refuses put-if-absent and compare-and-swap exactly where it must.

    Raises:
        RepositoryError: the store does not honour the conditions, or cannot be written.
    """
    _ensure_probe(store)
    if not _is_refused(store, None):
        raise _proof_error(store, "it overwrote an object that was to be written only if absent")
    if not _is_refused(store, _make_stale_tag(store)):
        raise _proof_error(store, "it replaced an object although it was not what had been read before")


def _ensure_probe(store: Store) -> None:
    """Write the probe's key, unless an earlier proof left it there."""
    for _ in range(MAX_ATTEMPTS):
        if store.get(PROBE_KEY, MAX_RECORD_BYTES) is not None:
            return
        with suppress(Conflict):  # another writer was first, or the store refused for a passing reason: read again
            store.create(PROBE_KEY, _content())
    raise _proof_error(store, "it refuses to write an object that is absent")


def _make_stale_tag(store: Store) -> Tag:
    """Replace the probe's content, and return the tag of the content before."""
    for _ in range(MAX_ATTEMPTS):
        before = store.get(PROBE_KEY, MAX_RECORD_BYTES)
        if before is None:
            raise _proof_error(store, "it does not show an object that was just written")
        try:
            store.replace(PROBE_KEY, _content(), before[1])
        except Conflict:
            after = store.get(PROBE_KEY, MAX_RECORD_BYTES)
            if after is None or after[0] == before[0]:
                continue  # nobody else wrote: the reason is passing, or the store always refuses
        return before[1]
    raise _proof_error(store, "it refuses to replace an object that is what had been read before")


def _is_refused(store: Store, tag: Tag | None) -> bool:
    """Try to replace the probe where it has the tag, or to create it where `tag` is None; return if this is refused."""
    try:
        if tag is None:
            store.create(PROBE_KEY, _content())
        else:
            store.replace(PROBE_KEY, _content(), tag)
    except Conflict:
        return True
    return False


def _content() -> bytes:
    # Different every time: where a store's tag is the content's hash, equal contents would have equal tags.
    return canonical_json({"probe": secrets.token_hex(16)})


def _proof_error(store: Store, observation: str) -> RepositoryError:
    return RepositoryError(
        f"{store.url} does not honour conditional writes ({observation}), so two writers could take the same version; "
        "nothing was pushed or promoted. Use a store that does (AWS S3, Google Cloud Storage, Azure, a folder)"
    )
