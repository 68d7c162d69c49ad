"""The index: which versions and aliases a store has, how a version is claimed and how an alias moves."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from fourfold.errors import Conflict, RepositoryError
from fourfold.repository import not_found
from fourfold.repository.records import MODELS, Version, alias_key, folder_key, parse_key, version_key
from fourfold.repository.store import Store, Tag

__all__ = ["Index", "Model"]

#: A writer that finds the next version taken tries the one after it; so often, then it gives up.
ATTEMPTS = 100
#: A store may refuse a write for a passing reason, with nobody else in the way (S3's answer 409).
SPURIOUS = 5
#: Records of a bucket are read so many at a time: a thousand versions cost seconds, not minutes.
READERS = 16


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a repository.

    Attributes:
        name: its name.
        versions: its versions, oldest first.
        aliases: its aliases, by name, and the version that each points at.
    """

    name: str
    versions: tuple[Version, ...]
    aliases: dict[str, Version]


class Index:
    """The records of a store.

    Every method raises `RepositoryError` where a record is damaged or the store cannot be reached.

    Args:
        store: where they lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        # Versions never change, so what was read of them once is known for good.
        self._known: dict[str, Version] = {}

    # ------------------------------------------------------------------ reading

    def version(self, name: str, number: int | None) -> Version:
        """A version by its number, or the newest; raises `NotFound`."""
        wanted = number or max(self._numbers(name), default=0)
        found = self._read(version_key(name, wanted)) if wanted else None
        if found is None:
            raise not_found.missing_version(self._store.url, name, number, self._keys_of(name)[0])
        return found

    def alias(self, name: str, alias: str) -> Version:
        """The version that an alias points at; raises `NotFound`."""
        found = self._read(alias_key(name, alias))
        if found is None:
            raise not_found.missing_alias(self._store.url, name, alias, self._keys_of(name)[1])
        return found

    def digest(self, name: str, digest: str) -> Version:
        """The version whose package has the digest, or the only one whose digest begins so; raises `NotFound`."""
        versions = self.model(name).versions
        meant = [each for each in versions if each.digest.startswith(digest)]
        if len(meant) != 1:
            raise not_found.missing_digest(self._store.url, name, digest, versions)
        return meant[0]

    def model(self, name: str) -> Model:
        """One model; raises `NotFound`."""
        found = self._models(f"{MODELS}{name}/")
        if not found:
            raise self._no_model(name)
        return found[0]

    def models(self) -> tuple[Model, ...]:
        """Every model, by name; raises `NotFound` where the store's own place does not exist."""
        return self._models(MODELS)

    # ------------------------------------------------------------------ writing

    def claim(self, name: str, digest: str, version: int | None) -> int:
        """Give a digest the next version of a model, or find the one that it has; see `Repository.push`."""
        # A version is only taken by who has seen all versions before it, so no digest can get two.
        taken = {each.version: each for each in self._read_all(self._store.keys(folder_key(name, "versions")))}
        label = f"cannot push {name}{'' if version is None else f':{version}'} to {self._store.url}"
        for each in taken.values():
            if each.digest == digest:
                if version not in {None, each.version}:
                    raise Conflict(f"{label}: this package is {name}:{each.version} already")
                return each.version
        following = max(taken, default=0) + 1
        if version is not None and version in taken:
            raise Conflict(f"{label}: it is taken by {taken[version].digest}")
        if version not in {None, following}:
            raise RepositoryError(f"{label}: versions have no gaps, and the next is {following}")
        for number in range(following, following + ATTEMPTS):
            holder = self._claimed(name, Version(number, digest))
            if holder.digest == digest:
                return number
            if version is not None:
                raise Conflict(f"{label}: {holder.digest} took it at the same moment")
        raise Conflict(f"{label}: {ATTEMPTS} other writers were first; push again")

    def move(self, name: str, alias: str, target: Version, expected: int | str | None) -> None:
        """Point an alias at a version; see `Repository.promote`."""
        key = alias_key(name, alias)
        label = f"{name}@{alias} in {self._store.url} was not moved"
        before = self._store.get(key)
        pointed = self._decoded(key, before)
        if expected is not None and (pointed is None or expected not in {pointed.version, pointed.digest}):
            raise Conflict(f"{label}: expected {expected}, and {_points(pointed)}")
        if pointed == target:
            return
        record = target.encode(secrets.token_hex(16))
        for _ in range(SPURIOUS):
            if self._wrote(key, record, before):
                return
            # A store that lost its answer and tried again refuses its own write: what stands there now decides.
            after = self._store.get(key)
            pointed = self._decoded(key, after)
            if (after is not None and after[0] == record) or (expected is None and pointed == target):
                return
            if after != before:
                raise Conflict(f"{label}: another writer moved it at the same moment, and {_points(pointed)}")
        raise RepositoryError(f"{label}: the store refused {SPURIOUS} times to write {key}")

    # ------------------------------------------------------------------ how

    def _claimed(self, name: str, wanted: Version) -> Version:
        """Try to write a version; whose it is afterwards."""
        key = version_key(name, wanted.version)
        for _ in range(SPURIOUS):
            if self._wrote(key, wanted.encode(), None):
                return wanted
            # The same digest is as good as our own record: perhaps it is, and only the answer was lost.
            holder = self._read(key)
            if holder is not None:
                return holder
        raise RepositoryError(f"cannot write {key} in {self._store.url}: it was refused {SPURIOUS} times")

    def _wrote(self, key: str, record: bytes, before: tuple[bytes, Tag] | None) -> bool:
        try:
            if before is None:
                self._store.create(key, record)
            else:
                self._store.replace(key, record, before[1])
        except Conflict:
            return False
        return True

    def _models(self, prefix: str) -> tuple[Model, ...]:
        versions: dict[str, list[Version]] = {}
        aliases: dict[str, dict[str, Version]] = {}
        keys = [key for key in self._store.keys(prefix) if parse_key(key)]
        for key, record in zip(keys, self._read_each(keys), strict=True):
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
        return tuple(
            Model(
                name,
                tuple(sorted(versions[name], key=lambda each: each.version)),
                dict(sorted(aliases[name].items())),
            )
            for name in sorted(versions)
        )

    def _numbers(self, name: str) -> list[int]:
        parsed = map(parse_key, self._store.keys(folder_key(name, "versions")))
        return [each[1] for each in parsed if each and isinstance(each[1], int)]

    def _keys_of(self, name: str) -> tuple[list[int], list[str]]:
        """The versions and aliases that a model has, without reading them; raises `NotFound`."""
        labels = [each[1] for each in map(parse_key, self._store.keys(f"{MODELS}{name}/")) if each]
        if not labels:
            raise self._no_model(name)
        return [each for each in labels if isinstance(each, int)], [each for each in labels if isinstance(each, str)]

    def _no_model(self, name: str) -> Exception:
        names = {each[0] for each in map(parse_key, self._store.keys(MODELS)) if each}
        return not_found.missing_model(self._store.url, name, names)

    def _read_all(self, keys: Iterable[str]) -> list[Version]:
        return [each for each in self._read_each([key for key in keys if parse_key(key)]) if each is not None]

    def _read_each(self, keys: list[str]) -> list[Version | None]:
        """The records of keys, in their order."""
        if not self._store.remote:
            return [self._read(key) for key in keys]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self._read, keys))

    def _read(self, key: str) -> Version | None:
        if key in self._known:
            return self._known[key]
        record = self._decoded(key, self._store.get(key))
        parsed = parse_key(key)
        if record is not None and parsed is not None and isinstance(parsed[1], int):
            if record.version != parsed[1]:
                raise RepositoryError(
                    f"the record {key} in {self._store.url} is damaged: expected version {parsed[1]}, "
                    f"got {record.version}"
                )
            self._known[key] = record
        return record

    def _decoded(self, key: str, held: tuple[bytes, Tag] | None) -> Version | None:
        if held is None:
            return None
        return Version.decode(held[0], f"the record {key} in {self._store.url}", alias="/aliases/" in key)


def _points(pointed: Version | None) -> str:
    return "it does not exist" if pointed is None else f"it points at version {pointed.version}, {pointed.digest}"
