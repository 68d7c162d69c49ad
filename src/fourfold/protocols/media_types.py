"""Parse the headers `Content-Type` and `Accept`, and choose the media type of a reply (RFC 9110, §8.3 and §12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fourfold.codecs.formats import FORMATS

__all__ = ["CODECS", "MEDIA_TYPES", "SPLITS_LABELS", "choose_media_type", "parse_media_type"]

#: The codec's module for every media type that requests and replies can have.
CODECS = {form.media_types[0]: form.module for form in FORMATS.values() if form.media_types}
MEDIA_TYPES = tuple(CODECS)
#: The media types in which outputs with labels are one column for each label.
SPLITS_LABELS = frozenset(form.media_types[0] for form in FORMATS.values() if form.splits_labels)

# Match text up to a comma (or semicolon) outside of quotes. A quote without its end quotes the rest of the text: if it
# were skipped, each later quote would be tried to the end again, and a long header would take seconds.
_ELEMENT = re.compile(r'(?:"(?:\\.|[^"\\])*+(?:"|\\?\Z)|[^,"])++', re.DOTALL)
_PARAMETER = re.compile(r'(?:"(?:\\.|[^"\\])*+(?:"|\\?\Z)|[^;"])++', re.DOTALL)
_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)
_QUALITY = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def parse_media_type(text: str) -> tuple[str, dict[str, str]] | None:
    """Return a media type in lower case, and its parameters; `None` where the text is not a media type."""
    media_type, *parameter_texts = (part.strip() for part in _PARAMETER.findall(text) or [""])
    if not _TYPE.fullmatch(media_type):
        return None
    parameters = {}
    for parameter in parameter_texts:
        name, _, value = parameter.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return media_type.lower(), parameters


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the offered media type that a client prefers.

    Args:
        accept: the `Accept` header; `None` and an empty header mean `*/*`.
        offered: the possible media types; where the client prefers several equally, the first of them is taken.

    Returns:
        One of `offered`, or `None` where the client accepts none of them.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = _ranges(accept)
    qualities = [(_quality(media_type, ranges), media_type) for media_type in offered]
    best = max(quality for quality, _ in qualities)
    return next(media_type for quality, media_type in qualities if quality == best) if best > 0 else None


def _ranges(accept: str) -> dict[str, float]:
    """Return the quality of each range; malformed ranges and all parameters but `q` are ignored."""
    ranges: dict[str, float] = {}
    for element in _ELEMENT.findall(accept):
        parsed = parse_media_type(element)
        if parsed is None:
            continue
        quality = parsed[1].get("q", "1")
        if _QUALITY.fullmatch(quality):
            # A range can be there twice, with different parameters: the higher quality counts.
            ranges[parsed[0]] = max(float(quality), ranges.get(parsed[0], 0.0))
    return ranges


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """Return the quality of the most specific range that contains the media type; 0.0 where none does."""
    for media_range in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
