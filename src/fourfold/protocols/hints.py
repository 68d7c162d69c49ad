"""Say what to change in a request that is refused: the header to add, or what its body really is.

Nothing here decides what is answered: only requests that are refused anyway come here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fourfold.codecs import json_bytes
from fourfold.codecs.formats import ARROW, CSV, FORMATS, JSON, JSON_LINES, PARQUET
from fourfold.errors import DecodeError, shorten
from fourfold.protocols.media_types import MEDIA_TYPES, parse_media_type
from fourfold.protocols.replies import Refused
from fourfold.signature.field import Field

__all__ = ["ARRAY_IN_LINES", "body_hint", "unknown_media_type", "wrong_encoding"]

#: What `curl -d` and forms of web pages say where nobody says otherwise.
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
#: Other names of the media types that are spoken.
_ALIASES = {
    "text/json": JSON,
    "application/x-json": JSON,
    "text/x-json": JSON,
    "application/csv": CSV,
    "application/x-csv": CSV,
    "text/x-csv": CSV,
    "application/ndjson": JSON_LINES,
    "application/parquet": PARQUET,
    "application/x-parquet": PARQUET,
    **{alias: form.media_types[0] for form in FORMATS.values() for alias in form.media_types[1:]},
}
_UNPACK = "send what is in it, not compressed"
#: How the bytes of a body begin that is in none of the formats, and what to do.
_BEGINNINGS = (
    (b"\x1f\x8b", f"the body is compressed with gzip: {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"the body is compressed with zstd: {_UNPACK}"),
    (b"BZh", f"the body is compressed with bzip2: {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"the body is compressed with xz: {_UNPACK}"),
    (b"PK\x03\x04", "the body is a zip file, or a workbook of Excel: send the table in it as text/csv"),
    (b"\xff\xfe", "the body is text in UTF-16: write it in UTF-8"),
    (b"\xfe\xff", "the body is text in UTF-16: write it in UTF-8"),
    (b"PAR1", f"the body is Parquet: send it with content-type: {PARQUET}"),
    (b"ARROW1", f"the body is Arrow: send it with content-type: {ARROW}"),
    (b"\xff\xff\xff\xff", f"the body is Arrow: send it with content-type: {ARROW}"),
)
_OWN_BEGINNINGS = {PARQUET: (b"PAR1",), ARROW: (b"ARROW1", b"\xff\xff\xff\xff")}
#: What to do with an array where JSON lines are said to be.
ARRAY_IN_LINES = f"an array is JSON: send it with content-type: {JSON}"
_BOM = b"\xef\xbb\xbf"
#: How much of a body is looked at.
_MAX_LOOKED_AT = 64 * 1024
# Python's json.dumps writes these words for floats that JSON has no number for.
_NO_JSON_NUMBER = re.compile(rb"[:,\[]\s{0,8}(?:NaN|-?Infinity)\s{0,8}[,}\]]")


def unknown_media_type(content_type: str, body: bytes) -> Refused:
    """Return the refusal of a media type that is not spoken, with the header that the body needs.

    Rows under the media types of web forms are refused on purpose, JSON in them too: a page of any site can make its
    visitor's browser send these without asking the server, and no others.
    """
    parsed = parse_media_type(content_type)
    media_type = parsed[0] if parsed else content_type.partition(";")[0].strip().lower()
    got = shorten(content_type) if content_type else "none"
    likely = _ALIASES.get(media_type) or _look(body)
    if media_type == _FORM and likely is None and b"=" in body[:_MAX_LOOKED_AT]:
        return Refused(
            415,
            "media_type",
            f"expected rows in {', '.join(MEDIA_TYPES)}; got the fields of a web form: send an object in JSON, with "
            f"-H 'content-type: {JSON}' (in Python's requests, json=row instead of data=row)",
        )
    if media_type == _FORM:
        got += ", which curl -d sends by itself"
    elif media_type == _MULTIPART:
        got += ", as curl -F and web forms send it: send the file alone, with curl --data-binary @FILE"
        likely = likely or CSV
    advice = f"add -H 'content-type: {likely}'" if likely else "name the one that the body has"
    if media_type == _FORM and likely != JSON:
        advice += ", and send files with --data-binary, since -d drops the ends of lines"
    return Refused(415, "media_type", f"expected a content-type of {', '.join(MEDIA_TYPES)}; got {got}; {advice}")


def wrong_encoding(encoding: str) -> Refused:
    """Return the refusal of a body that is compressed, by its header."""
    return Refused(
        415,
        "media_type",
        f"expected a body that is not compressed; got the encoding {shorten(encoding)}: {_UNPACK} "
        "and without the header content-encoding",
    )


def _look(body: bytes) -> str | None:
    """Return the media type that a body seems to have."""
    if body.startswith(b"PAR1"):
        return PARQUET
    if body.startswith(_OWN_BEGINNINGS[ARROW]):
        return ARROW
    start = body[:_MAX_LOOKED_AT].removeprefix(_BOM).lstrip()
    if start.startswith((b"{", b"[")):
        return JSON_LINES if _is_json_lines(start) else JSON
    first = start.partition(b"\n")[0]
    return CSV if b"," in first and b"=" not in first and first != start else None


def _is_json_lines(start: bytes) -> bool:
    """Return whether the first line is an object of its own, and another line begins after it."""
    first, _, rest = start.partition(b"\n")
    if not rest.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(json_bytes.parse(first), dict)
    except DecodeError:
        return False


def body_hint(body: bytes, media_type: str, fields: Sequence[Field]) -> str | None:
    """Return what a body that is refused really is, and how to send it; `None` where that does not show.

    Args:
        body: the body.
        media_type: the media type that the request names.
        fields: the signature's inputs.
    """
    for beginning, hint in _BEGINNINGS:
        if beginning not in _OWN_BEGINNINGS.get(media_type, ()) and body.startswith(beginning):
            return hint
    start = body[:_MAX_LOOKED_AT]
    if media_type in (JSON, JSON_LINES) and start.startswith(_BOM):
        return "write the text without it: in Python encoding='utf-8', not 'utf-8-sig'"
    start = start.removeprefix(_BOM).lstrip()
    if media_type == JSON and _is_json_lines(start):
        return f"an object on each line is JSON lines: send it with content-type: {JSON_LINES}"
    if media_type not in (JSON, JSON_LINES) and start.startswith((b"{", b"[")):
        return f"the body looks like JSON: send it with content-type: {_look(start)}"
    if media_type == JSON_LINES and start.startswith(b"["):
        return ARRAY_IN_LINES
    cells = {cell.strip(b' \t\r"') for cell in start.partition(b"\n")[0].split(b",")}
    if media_type != CSV and any(field.name.encode("utf-8", "replace") in cells for field in fields):
        return f"the body looks like CSV: send it with content-type: {CSV}"
    if start.startswith((b'"{', b'"[')):
        return "the body is a text with JSON in it: it was encoded twice"
    if start.startswith((b"{'", b"[{'", b"'{", b"'[")):
        return "JSON has double quotes only: in Python json.dumps writes it; around it a shell takes single ones"
    if media_type in (JSON, JSON_LINES) and _NO_JSON_NUMBER.search(start):
        return "NaN and Infinity are no JSON: a missing value is null"
    if media_type == JSON and b"=" in start.partition(b"\n")[0] and not start.startswith((b"{", b"[", b'"')):
        return "the body looks like the fields of a web form: send JSON, such as curl -d '{\"name\": 1}'"
    return None
