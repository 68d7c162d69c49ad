"""Read the versions and aliases of a store, claim new versions and move aliases."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from fourfold.errors import Conflict, NotFound, RepositoryError, shorten
from fourfold.repository import not_found
from fourfold.repository.history import History
from fourfold.repository.moves import Move
from fourfold.repository.records import (
    MAX_RECORD_BYTES,
    MAX_VERSION,
    MODELS_PREFIX,
    Version,
    alias_key,
    folder_prefix,
    is_misnumbered,
    parse_key,
    version_key,
)
from fourfold.repository.store import Oversized, Store, Tag

__all__ = ["Index", "Model"]

#: The most version numbers that a push tries, one after the other, while other writers take them.
MAX_CLAIM_ATTEMPTS = 100
#: How often a write is tried: a store may refuse one for a passing reason (status 409 of S3).
MAX_WRITE_ATTEMPTS = 5
#: The threads that read the records of a bucket: a thousand versions take seconds, not minutes.
READ_THREADS = 16


@dataclass(frozen=True, slots=True)
class Model:
    """Hold the versions and aliases of a model.

    Attributes:
        name: the model's name.
        versions: its versions, oldest first.
        aliases: its aliases by name, each with the version that it points at.
    """

    name: str
    versions: tuple[Version, ...]
    aliases: dict[str, Version]


class Index:
    """Read and write the records of a store.

    Every method raises `RepositoryError` where a record is damaged or the store cannot be reached.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # Versions never change, so each is read only once.
        self._versions: dict[str, Version] = {}
        self._history = History(store)

    # ------------------------------------------------------------------ reading

    def version(self, name: str, number: int | None) -> Version:
        """Return a version by its number, or the newest where it is None; raise `NotFound` where there is none.

        For the newest, the versions of the model must have no gaps.
        """
        key_number = number or max(self._version_numbers(name), default=0)
        version = self._read(version_key(name, key_number)) if key_number else None
        if version is None:
            raise not_found.missing_version(self._store.url, name, number, self._labels(name)[0])
        return version

    def alias(self, name: str, alias: str) -> Version:
        """Return the version that an alias points at; raise `NotFound` where there is no such alias.

        The records of the alias and of the version must agree: an alias cannot make a package another version.
        """
        version = self._read(alias_key(name, alias))
        if version is None:
            raise not_found.missing_alias(self._store.url, name, alias, self._labels(name)[1])
        self._check_agreement(name, alias, version, self._read(version_key(name, version.version)))
        return version

    def digest(self, name: str, digest: str) -> Version:
        """Return the only version whose digest begins with `digest`; raise `NotFound` for none or several."""
        versions = self.model(name).versions
        matches = [version for version in versions if version.digest.startswith(digest)]
        if len(matches) != 1:
            raise not_found.missing_digest(self._store.url, name, digest, versions)
        return matches[0]

    def history(self, name: str, alias: str) -> tuple[Move, ...]:
        """Return the last moves of an alias, the newest first; raise `NotFound` where there is no such alias."""
        self.alias(name, alias)
        return self._history.moves(name, alias)

    def model(self, name: str) -> Model:
        """Return a model by its name; raise `NotFound` where there is none."""
        models = self._read_models(f"{MODELS_PREFIX}{name}/")
        if not models:
            raise self._missing_model(name)
        return models[0]

    def models(self) -> tuple[Model, ...]:
        """Return all models, sorted by name; raise `NotFound` where the store itself does not exist."""
        return self._read_models(MODELS_PREFIX)

    # ------------------------------------------------------------------ writing

    def find_claim(self, name: str, digest: str, version: int | None) -> tuple[int | None, int]:
        """Return the version that a digest has, `None` where it has none, and the next that is free.

        Raises:
            Conflict: `version` is another package, or this package is another version.
            RepositoryError: `version` leaves a gap.
        """
        # A writer takes a version only after it has read all versions before it, so no digest can get two.
        keys = [version_key(name, number) for number in self._version_numbers(name)]
        versions_by_number = {record.version: record for record in self._read_all(keys) if record is not None}
        label = _push_label(name, version, self._store.url)
        for existing in versions_by_number.values():
            if existing.digest == digest:
                if version not in {None, existing.version}:
                    raise Conflict(f"{label}: this package is {name}:{existing.version} already")
                return existing.version, existing.version
        next_number = max(versions_by_number, default=0) + 1
        if version is not None and version in versions_by_number:
            raise Conflict(f"{label}: it is taken by {versions_by_number[version].digest}")
        if version not in {None, next_number}:
            raise RepositoryError(f"{label}: versions have no gaps, and the next is {next_number}")
        return None, next_number

    def claim(self, name: str, digest: str, version: int | None) -> int:
        """Give a digest the next version of a model, or return the version that it has; see `Repository.push`."""
        held, next_number = self.find_claim(name, digest, version)
        if held is not None:
            return held
        label = _push_label(name, version, self._store.url)
        for number in range(next_number, next_number + MAX_CLAIM_ATTEMPTS):
            holder = self._claim_number(name, Version(number, digest))
            if holder.digest == digest:
                return number
            if version is not None:
                raise Conflict(f"{label}: {holder.digest} took it at the same moment")
        raise Conflict(f"{label}: {MAX_CLAIM_ATTEMPTS} other writers were first; push again")

    def move(self, name: str, alias: str, target: Version, expected: int | str | None) -> None:
        """Point an alias at a version; see `Repository.promote`."""
        key = alias_key(name, alias)
        label = f"{name}@{alias} in {self._store.url} was not moved"
        before = self._get(key)
        current = self._decode(key, before)
        if expected is not None and (current is None or expected not in {current.version, current.digest}):
            raise Conflict(f"{label}: expected {expected}, and {_describe_target(current)}")
        if current == target:
            return
        record = target.encode(secrets.token_hex(16))
        for _ in range(MAX_WRITE_ATTEMPTS):
            if self._try_write(key, record, before):
                self._history.remember(name, alias, record, before)
                return
            # The client repeats a write whose answer was lost, and the store then refuses the repetition. So a refusal
            # means little: read the alias to see who wrote it.
            after = self._get(key)
            current = self._decode(key, after)
            is_ours = after is not None and after[0] == record
            if is_ours or (expected is None and current == target):
                if is_ours:
                    self._history.remember(name, alias, record, before)
                return
            if after != before:
                raise Conflict(f"{label}: another writer moved it at the same moment, and {_describe_target(current)}")
        raise RepositoryError(f"{label}: the store refused {MAX_WRITE_ATTEMPTS} times to write {key}")

    # ------------------------------------------------------------------ helpers

    def _claim_number(self, name: str, version: Version) -> Version:
        """Try to write a version's record; return the version that has its number afterwards, ours or another's."""
        key = version_key(name, version.version)
        for _ in range(MAX_WRITE_ATTEMPTS):
            if self._try_write(key, version.encode(), None):
                return version
            # A record with our digest counts as ours: perhaps we wrote it, and only the store's answer was lost.
            holder = self._read(key)
            if holder is not None:
                return holder
        raise RepositoryError(f"cannot write {key} in {self._store.url}: it was refused {MAX_WRITE_ATTEMPTS} times")

    def _try_write(self, key: str, record: bytes, before: tuple[bytes, Tag] | None) -> bool:
        """Write a record where the key still has the content `before`; return False where the store refuses."""
        try:
            if before is None:
                self._store.create(key, record)
            else:
                self._store.replace(key, record, before[1])
        except Conflict:
            return False
        return True

    def _read_models(self, prefix: str) -> tuple[Model, ...]:
        versions: dict[str, list[Version]] = {}
        aliases: dict[str, dict[str, Version]] = {}
        keys = self._record_keys(prefix)
        for key, record in zip(keys, self._read_all(keys), strict=True):
            parsed = parse_key(key)
            if parsed is None or record is None:
                continue
            name, label = parsed
            versions.setdefault(name, [])
            aliases.setdefault(name, {})
            if isinstance(label, int):
                versions[name].append(record)
            else:
                aliases[name][label] = record
        for name, by_alias in aliases.items():
            records = {version.version: version for version in versions[name]}
            self._check_numbers(name, records)
            for alias, target in by_alias.items():
                # A version that was made while the store was listed may be missing in the list.
                version = records.get(target.version) or self._read(version_key(name, target.version))
                self._check_agreement(name, alias, target, version)
        return tuple(
            Model(
                name,
                tuple(sorted(versions[name], key=lambda version: version.version)),
                dict(sorted(aliases[name].items())),
            )
            for name in sorted(versions)
        )

    def _parsed_keys(self, prefix: str) -> list[tuple[str, int | str]]:
        """Return the model and the version or alias of each record under a prefix, without reading the records."""
        return [parsed for parsed in map(parse_key, self._record_keys(prefix)) if parsed]

    def _record_keys(self, prefix: str) -> list[str]:
        """Return the keys of all records under a prefix; what cannot be one is left out, unless it looks like one."""
        keys: dict[str, None] = {}  # each once, whatever the listing says
        for key in self._store.keys(prefix):
            if parse_key(key):
                keys[key] = None
            elif is_misnumbered(key):
                raise RepositoryError(
                    f"{self._store.url} holds {shorten(key, 120)}, which is no version: they are numbered from 1 to "
                    f"{MAX_VERSION} without gaps; remove it"
                )
        return list(keys)

    def _version_numbers(self, name: str) -> list[int]:
        """Return the numbers of a model's versions, after checking that they have no gaps."""
        numbers = [label for _, label in self._parsed_keys(folder_prefix(name, "versions")) if isinstance(label, int)]
        self._check_numbers(name, numbers)
        return list(range(1, max(numbers, default=0) + 1))

    def _check_numbers(self, name: str, numbers: Collection[int]) -> None:
        """Check that the numbers of a model's versions count from 1 without gaps.

        A record with a far number would be the newest version for ever, and leave no number for the next.
        """
        newest, existing = max(numbers, default=0), set(numbers)
        if newest == len(existing):
            return
        is_far = newest - len(existing) > MAX_CLAIM_ATTEMPTS
        for number in range(1, newest):
            # A listing is no snapshot: it may hold a version that was made while it was read, and not the one before.
            if number not in existing and (is_far or self._read(version_key(name, number)) is None):
                raise RepositoryError(
                    f"the versions of {name} in {self._store.url} are damaged: version {number} is missing, and there "
                    f"is a version {newest}. Versions have no gaps: put the record {version_key(name, number)} back, "
                    "or remove those behind it"
                )

    def _check_agreement(self, name: str, alias: str, target: Version, version: Version | None) -> None:
        """Check that an alias points at a version that has its digest."""
        if version != target:
            says = "there is no such version" if version is None else f"its record says {version.digest}"
            raise RepositoryError(
                f"the alias {name}@{alias} in {self._store.url} is damaged: it points at version {target.version} with "
                f"{target.digest}, and {says}; promote a version anew"
            )

    def _labels(self, name: str) -> tuple[list[int], list[str]]:
        """Return the version numbers and the aliases of a model; raise `NotFound` where it has neither."""
        labels = [label for _, label in self._parsed_keys(f"{MODELS_PREFIX}{name}/")]
        if not labels:
            raise self._missing_model(name)
        numbers = [label for label in labels if isinstance(label, int)]
        return numbers, [label for label in labels if isinstance(label, str)]

    def _missing_model(self, name: str) -> NotFound:
        names = {model for model, _ in self._parsed_keys(MODELS_PREFIX)}
        return not_found.missing_model(self._store.url, name, names)

    def _read_all(self, keys: list[str]) -> list[Version | None]:
        """Return the records of keys, in their order; None where a key does not exist."""
        if not self._store.is_remote:
            return [self._read(key) for key in keys]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(READ_THREADS) as pool:
            return list(pool.map(self._read, keys))

    def _read(self, key: str) -> Version | None:
        if key in self._versions:
            return self._versions[key]
        record = self._decode(key, self._get(key))
        parsed = parse_key(key)
        if record is not None and parsed is not None and isinstance(parsed[1], int):
            if record.version != parsed[1]:
                raise RepositoryError(
                    f"the record {key} in {self._store.url} is damaged: expected version {parsed[1]}, "
                    f"got {record.version}"
                )
            self._versions[key] = record
        return record

    def _get(self, key: str) -> tuple[bytes, Tag] | None:
        """Return the bytes of a record and their tag; None where the key does not exist."""
        try:
            return self._store.get(key, MAX_RECORD_BYTES)
        except Oversized as error:
            raise RepositoryError(f"the record {error}") from None

    def _decode(self, key: str, content: tuple[bytes, Tag] | None) -> Version | None:
        if content is None:
            return None
        data, tag = content
        label = f"the record {key} in {self._store.url}"
        return Version.decode(data, label, is_alias="/aliases/" in key, written_s=tag.written_s)


def _push_label(name: str, version: int | None, url: str) -> str:
    return f"cannot push {name}{'' if version is None else f':{version}'} to {url}"


def _describe_target(target: Version | None) -> str:
    return "it does not exist" if target is None else f"it points at version {target.version}, {target.digest}"
