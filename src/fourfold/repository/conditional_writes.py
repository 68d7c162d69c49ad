"""The proof that a store honours conditional writes, made before the first write to it.

Some stores that speak S3 take the conditions and ignore them: two writers then both believe that they were first. A
version or an alias is only as good as the answer of its store, so the answer is tried on one key that means nothing.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from fourfold.errors import Conflict, RepositoryError
from fourfold.package import canonical_json
from fourfold.repository.records import PROBE
from fourfold.repository.store import Store, Tag

__all__ = ["prove"]

#: Other writers may prove the same store at the same time; so many may be in the way one after the other.
ATTEMPTS = 20


def prove(store: Store) -> None:
    """See put-if-absent and compare-and-swap refused where they must be, and obeyed where they may be.

    Raises:
        RepositoryError: the store does not honour them, or cannot be written.
    """
    _stand(store)
    if not _refused(store, None):
        raise _untrusted(store, "it overwrote an object that was to be written only if absent")
    if not _refused(store, _stale(store)):
        raise _untrusted(store, "it replaced an object although it was not what had been read before")


def _stand(store: Store) -> None:
    """See to it that the probe's key is there; an earlier proof may have left it."""
    for _ in range(ATTEMPTS):
        if store.get(PROBE) is not None:
            return
        with suppress(Conflict):  # somebody else's, or a refusal for a passing reason: look again
            store.create(PROBE, _content())
    raise _untrusted(store, "it refuses to write an object that is absent")


def _stale(store: Store) -> Tag:
    """A tag of the probe's key that was right once, and is not any more."""
    for _ in range(ATTEMPTS):
        before = store.get(PROBE)
        if before is None:
            raise _untrusted(store, "it does not show an object that was just written")
        try:
            store.replace(PROBE, _content(), before[1])
        except Conflict:
            after = store.get(PROBE)
            if after is None or after[0] == before[0]:
                continue  # refused for no reason that can be seen: a passing one, or a store that always refuses
        return before[1]
    raise _untrusted(store, "it refuses to replace an object that is what had been read before")


def _refused(store: Store, tag: Tag | None) -> bool:
    try:
        if tag is None:
            store.create(PROBE, _content())
        else:
            store.replace(PROBE, _content(), tag)
    except Conflict:
        return True
    return False


def _content() -> bytes:
    # Never the same twice: stores that name a content by its hash could not tell a stale tag otherwise.
    return canonical_json({"probe": secrets.token_hex(16)})


def _untrusted(store: Store, found: str) -> RepositoryError:
    return RepositoryError(
        f"{store.url} does not honour conditional writes ({found}), so two writers could take the same version; "
        "nothing was pushed or promoted. Use a store that does (AWS S3, Google Cloud Storage, Azure, a folder)"
    )
