"""Define a repository's keys, and read and write the records of versions and aliases.

- `blobs/sha256/<hex>`: the bytes with this digest: a package's manifest or one of its files
- `models/<name>/versions/<n>.json`: `{"digest":"sha256:<hex>","version":n}`, written once
- `models/<name>/aliases/<alias>.json`: `{"digest":"sha256:<hex>","token":"<hex>","version":n}` of the version that the
  alias points at; replaced when the alias moves
- `probe.json`: written to prove that the store honours conditional writes
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fourfold.codecs.unique_keys import unique_keys
from fourfold.errors import RepositoryError, shorten
from fourfold.package import canonical_json, check_name
from fourfold.repository.reference import check_alias, check_digest

__all__ = [
    "MAX_RECORD_BYTES",
    "MAX_VERSION",
    "MODELS_PREFIX",
    "PROBE_KEY",
    "Version",
    "alias_key",
    "blob_key",
    "folder_prefix",
    "is_misnumbered",
    "parse_key",
    "version_key",
]

MODELS_PREFIX = "models/"
PROBE_KEY = "probe.json"
#: The most bytes of a record; far more than a record needs.
MAX_RECORD_BYTES = 4096

#: The largest number of a version.
MAX_VERSION = 999_999_999

_KEY = re.compile(
    r"models/(?P<name>[a-z0-9._-]+)/(?:versions/(?P<version>[1-9][0-9]{0,8})|aliases/(?P<alias>[a-z0-9._-]+))\.json",
    re.ASCII,
)

_NUMBERED = re.compile(r"models/(?P<name>[a-z0-9._-]+)/versions/[1-9][0-9]{9,}\.json", re.ASCII)
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """Hold one version of a model.

    Attributes:
        version: its number, counted from 1.
        digest: the digest of its package.
        written_s: when its record was written, in seconds from 1970, by the store's clock: when it was pushed, or, of
            what an alias points at, when the alias was moved. `None` where the store does not say it.
    """

    version: int
    digest: str
    written_s: float | None = field(default=None, compare=False)

    @property
    def written(self) -> datetime | None:
        """Return when the record was written, in UTC; `None` where nobody knows."""
        try:
            return None if self.written_s is None else datetime.fromtimestamp(self.written_s, UTC)
        except (ValueError, OverflowError, OSError):
            return None  # no date that has a name

    def encode(self, token: str | None = None) -> bytes:
        """Return the version's record in canonical JSON; with a token, the record of an alias that points at it.

        Each move of an alias has its own token. By it a writer that lost the store's answer recognises its own record,
        and two moves to one version differ even where the store's tag is a hash of the content.
        """
        record: dict[str, Any] = {"digest": self.digest, "version": self.version}
        return canonical_json(record if token is None else {**record, "token": token})

    @classmethod
    def decode(cls, data: bytes, label: str, *, is_alias: bool = False, written_s: float | None = None) -> Version:
        """Read the record of a version, or of an alias; errors name it by `label`.

        Raises:
            RepositoryError: the record is invalid.
        """
        record = _parse_object(data, label)
        keys = {"digest", "version"} | ({"token"} if is_alias else set())
        if set(record) != keys:
            raise RepositoryError(
                f"{label} is damaged: expected the keys {', '.join(sorted(keys))}; got {shorten(record, 120)}"
            )
        if is_alias and (not isinstance(record["token"], str) or not _TOKEN.fullmatch(record["token"])):
            raise RepositoryError(
                f"{label} is damaged: expected a token, 32 hexadecimal digits; got {shorten(record['token'])}"
            )
        version = record["version"]
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= MAX_VERSION:
            raise RepositoryError(
                f"{label} is damaged: expected a version, an integer from 1 to {MAX_VERSION}, got {shorten(version)}"
            )
        try:
            return cls(version, check_digest(record["digest"]), written_s)
        except RepositoryError as error:
            raise RepositoryError(f"{label} is damaged: {error}") from None


def blob_key(digest: str) -> str:
    """Return the key of the bytes with this digest."""
    return "blobs/sha256/" + check_digest(digest).removeprefix("sha256:")


def folder_prefix(name: str, kind: str) -> str:
    """Return the prefix, with a slash at its end, of a model's `versions` or `aliases`."""
    return f"{MODELS_PREFIX}{check_name(name)}/{kind}/"


def version_key(name: str, version: int) -> str:
    """Return the key of a version's record."""
    return f"{folder_prefix(name, 'versions')}{version:d}.json"


def alias_key(name: str, alias: str) -> str:
    """Return the key of an alias's record."""
    return f"{folder_prefix(name, 'aliases')}{check_alias(alias)}.json"


def parse_key(key: str) -> tuple[str, int | str] | None:
    """Return the model and the version or alias of a record's key; `None` where the key is no record's."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        name = check_name(match["name"])
        return name, int(match["version"]) if match["version"] else check_alias(match["alias"])
    except (ValueError, RepositoryError):
        return None  # not a record: no reference can name it


def is_misnumbered(key: str) -> bool:
    """Return whether a key would be that of a version, but for its number, which is too large."""
    match = _NUMBERED.fullmatch(key)
    if match is None or parse_key(key) is not None:
        return False
    try:
        check_name(match["name"])
    except ValueError:
        return False
    return True


def _parse_object(data: bytes, label: str) -> dict[str, Any]:
    if len(data) > MAX_RECORD_BYTES:
        raise RepositoryError(f"{label} is damaged: expected at most {MAX_RECORD_BYTES} bytes, got {len(data)}")
    try:
        record = json.loads(data.decode(), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise RepositoryError(
            f"{label} is damaged: expected JSON, got {shorten(data)} ({shorten(str(error), 80)})"
        ) from None
    if not isinstance(record, dict):
        raise RepositoryError(f"{label} is damaged: expected an object, got {shorten(record)}")
    return record
