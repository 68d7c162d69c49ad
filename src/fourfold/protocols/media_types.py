"""Media types: the ones that are spoken, and what `Content-Type` and `Accept` say of them (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fourfold.codecs.formats import FORMATS

__all__ = ["CODECS", "MEDIA_TYPES", "choose_media_type", "parse_media_type"]

#: The codec's module for every media type that requests and replies can have.
CODECS = {form.media_types[0]: form.module for form in FORMATS.values() if form.media_types}
MEDIA_TYPES = tuple(CODECS)

# Text up to a comma or a semicolon that no quotes enclose. A quote that never closes encloses the rest: were it passed
# over, every quote after it would be tried to the end again, and a long header would keep the server busy for seconds.
_ELEMENT = re.compile(r'(?:"(?:\\.|[^"\\])*+(?:"|\\?\Z)|[^,"])++', re.DOTALL)
_PARAMETER = re.compile(r'(?:"(?:\\.|[^"\\])*+(?:"|\\?\Z)|[^;"])++', re.DOTALL)
_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)
_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def parse_media_type(text: str) -> tuple[str, dict[str, str]] | None:
    """A media type in lower case, and its parameters; `None` where the text is none."""
    first, *rest = (piece.strip() for piece in _PARAMETER.findall(text) or [""])
    if not _TYPE.fullmatch(first):
        return None
    parameters = {}
    for piece in rest:
        name, _, value = piece.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return first.lower(), parameters


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """The media type that a client likes best.

    Args:
        accept: the `Accept` header; `None` or nothing in it stands for `*/*`.
        offered: the media types that there are, the one to take where the client has no preference first.

    Returns:
        One of `offered`, or `None` where the client takes none of them.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = _ranges(accept)
    qualities = [(_quality(media_type, ranges), media_type) for media_type in offered]
    best = max(quality for quality, _ in qualities)
    return next(media_type for quality, media_type in qualities if quality == best) if best > 0 else None


def _ranges(accept: str) -> dict[str, float]:
    """The quality of every range; one that cannot be read counts as not there, and so do parameters other than `q`."""
    ranges: dict[str, float] = {}
    for element in _ELEMENT.findall(accept):
        parsed = parse_media_type(element)
        if parsed is None:
            continue
        quality = parsed[1].get("q", "1")
        if _QUALITY.fullmatch(quality):
            # The same range twice, with other parameters: the more liberal one.
            ranges[parsed[0]] = max(float(quality), ranges.get(parsed[0], 0.0))
    return ranges


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """What the most specific range that covers the media type says of it."""
    for candidate in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if candidate in ranges:
            return ranges[candidate]
    return 0.0
