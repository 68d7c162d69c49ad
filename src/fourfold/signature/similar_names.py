"""Find the name that a misspelt one may stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["did_you_mean", "similar_name"]

#: Longer names, and more candidates, are only compared for equality: a search takes a time that grows with both.
MAX_NAME_CHARACTERS = 64
MAX_CANDIDATES = 300
#: A longer name is not compared at all: a key of a request may have millions of characters.
MAX_COMPARED_CHARACTERS = 4096


def similar_name(name: str, candidates: Sequence[str]) -> str | None:
    """Return the candidate that a name most likely stands for, or `None`.

    A name that differs in case, spaces and punctuation alone goes before one with other letters.
    """
    if len(name) > MAX_COMPARED_CHARACTERS:
        return None
    bare = _bare(name)
    for candidate in candidates:
        if bare and _bare(candidate) == bare:
            return candidate
    if len(name) > MAX_NAME_CHARACTERS or len(candidates) > MAX_CANDIDATES:
        return None
    import difflib  # only who misspells a name waits for it

    short = {candidate.casefold(): candidate for candidate in candidates if len(candidate) <= MAX_NAME_CHARACTERS}
    matches = difflib.get_close_matches(name.casefold(), short, n=1, cutoff=0.75)
    return short[matches[0]] if matches else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return `, did you mean 'candidate'?`, or nothing where no candidate is similar."""
    similar = similar_name(name, list(candidates))
    return "" if similar is None else f", did you mean {similar!r}?"


def _bare(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
