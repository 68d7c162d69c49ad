"""What a repository holds: where each thing lies, and the JSON of versions and aliases.

- `blobs/sha256/<hex>`: the bytes that have this digest: files of packages, and their manifests
- `models/<name>/versions/<n>.json`: `{"digest":"sha256:<hex>","version":n}`, written once
- `models/<name>/aliases/<alias>.json`: `{"digest":"sha256:<hex>","token":"<hex>","version":n}` of the version that the
  alias points at; replaced when it moves
- `probe.json`: how the store was seen to honour conditional writes
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from fourfold.codecs.unique_keys import unique_keys
from fourfold.errors import RepositoryError, shorten
from fourfold.package import canonical_json, check_name
from fourfold.repository.reference import check_alias, check_digest

__all__ = ["MODELS", "PROBE", "Version", "alias_key", "blob_key", "folder_key", "parse_key", "version_key"]

MODELS = "models/"
PROBE = "probe.json"
#: Far above what a record needs; a longer one is none.
MAX_BYTES = 4096

_KEY = re.compile(
    r"models/(?P<name>[a-z0-9._-]+)/(?:versions/(?P<version>[1-9][0-9]{0,8})|aliases/(?P<alias>[a-z0-9._-]+))\.json",
    re.ASCII,
)

_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model: its number, counted from 1, and the digest of its package."""

    version: int
    digest: str

    def encode(self, token: str | None = None) -> bytes:
        """The record of the version, in canonical JSON; with a token, the record of an alias that points at it.

        The token is the one move's own: it tells a writer whose answer was lost from another who wrote the same, and
        two moves to one version from one another, where a store names a content by its hash.
        """
        record: dict[str, Any] = {"digest": self.digest, "version": self.version}
        return canonical_json(record if token is None else {**record, "token": token})

    @classmethod
    def decode(cls, data: bytes, where: str, *, alias: bool = False) -> Version:
        """Read the record of a version, or of an alias; `where` names it in errors.

        Raises:
            RepositoryError: it is no such record.
        """
        record = _object(data, where)
        keys = {"digest", "version"} | ({"token"} if alias else set())
        if set(record) != keys:
            raise RepositoryError(
                f"{where} is damaged: expected the keys {', '.join(sorted(keys))}; got {shorten(record, 120)}"
            )
        if alias and (not isinstance(record["token"], str) or not _TOKEN.fullmatch(record["token"])):
            raise RepositoryError(
                f"{where} is damaged: expected a token, 32 hexadecimal digits; got {shorten(record['token'])}"
            )
        version = record["version"]
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise RepositoryError(
                f"{where} is damaged: expected a version, an integer from 1 on, got {shorten(version)}"
            )
        try:
            return cls(version, check_digest(record["digest"]))
        except RepositoryError as error:
            raise RepositoryError(f"{where} is damaged: {error}") from None


def blob_key(digest: str) -> str:
    """Where the bytes of this digest lie."""
    return "blobs/sha256/" + check_digest(digest).removeprefix("sha256:")


def folder_key(name: str, kind: str) -> str:
    """Where a model's `versions` or `aliases` lie; ends with a slash."""
    return f"{MODELS}{check_name(name)}/{kind}/"


def version_key(name: str, version: int) -> str:
    """Where the record of a version lies."""
    return f"{folder_key(name, 'versions')}{version:d}.json"


def alias_key(name: str, alias: str) -> str:
    """Where the record of an alias lies."""
    return f"{folder_key(name, 'aliases')}{check_alias(alias)}.json"


def parse_key(key: str) -> tuple[str, int | str] | None:
    """The model of a record's key, and its version or alias; `None` where the key is that of no record."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        name = check_name(match["name"])
        return name, int(match["version"]) if match["version"] else check_alias(match["alias"])
    except (ValueError, RepositoryError):
        return None  # something else lies beside the records, and nothing could refer to it


def _object(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise RepositoryError(f"{where} is damaged: expected at most {MAX_BYTES} bytes, got {len(data)}")
    try:
        record = json.loads(data.decode(), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise RepositoryError(
            f"{where} is damaged: expected JSON, got {shorten(data)} ({shorten(str(error), 80)})"
        ) from None
    if not isinstance(record, dict):
        raise RepositoryError(f"{where} is damaged: expected an object, got {shorten(record)}")
    return record
