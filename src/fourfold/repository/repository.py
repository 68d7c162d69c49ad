"""Push packages to a repository, name them by versions and aliases, and find them again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from fourfold.errors import CorruptPackage, NotFound
from fourfold.other_names import OF_REPOSITORY, NamesWhatExists
from fourfold.package import Package
from fourfold.package.manifest import MAX_MANIFEST_BYTES
from fourfold.repository import conditional_writes
from fourfold.repository.blobs import Blobs
from fourfold.repository.cache import Cache, default_folder
from fourfold.repository.index import Index, Model
from fourfold.repository.location import default_url, open_store
from fourfold.repository.moves import Move
from fourfold.repository.records import Version
from fourfold.repository.reference import Reference, check_alias, check_digest, is_digest
from fourfold.repository.store import Store

__all__ = ["Repository", "Resolved"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Hold the package that a reference names at this moment.

    Attributes:
        name: the model's name.
        digest: `sha256:` and 64 hexadecimal digits.
        version: the version, or `None` where the reference is a full digest, which needs no version.
    """

    name: str
    digest: str
    version: int | None


class Repository(NamesWhatExists):
    """Store packages by digest, with versions that never change and aliases that move; safe to use from many threads.

    Nothing is read or written before the first method is called.

    Args:
        store: the store of all blobs and records.
        cache: where to keep local copies of blobs; `None` keeps none.
    """

    _INSTEAD = OF_REPOSITORY

    def __init__(self, store: Store, cache: Cache | None = None) -> None:
        if isinstance(store, (str, os.PathLike)):
            raise TypeError(f"a folder or a URL is opened: Repository.open({os.fspath(store)[:200]!r})")
        self._store = store
        self._blobs = Blobs(store, cache)
        self._index = Index(store)
        self._is_proved = False

    @classmethod
    def open(cls, location: str | os.PathLike[str] | None = None) -> Repository:
        """Open the repository at a location, which need not exist before the first push.

        Args:
            location: a folder, or the URL `file:///…`, `s3://bucket/prefix`, `gs://bucket/prefix`,
                `az://container/prefix` or `memory://name`; `$FOURFOLD_REPOSITORY` where it is `None`.

        Raises:
            RepositoryError: no location is given, or it is neither a folder nor a URL of these kinds.
            MissingLibrary: the location is a bucket, and obstore is not installed.
        """
        store = open_store(default_url() if location is None else location)
        folder = default_folder() if store.is_remote else None
        return cls(store, None if folder is None else Cache(folder))

    @property
    def url(self) -> str:
        """Return the folder's path or the bucket's URL, without secrets."""
        return self._store.url

    def __repr__(self) -> str:
        return f"Repository({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to open the same repository in another process, with its own settings and cache."""
        return Repository.open, (self.url,)

    def push(self, package: Package, *, version: int | None = None, alias: str | None = None) -> int:
        """Store a package and give it a version of its model, and, where an alias is named, point that at it.

        The files are written first and the version last, so that no version names an incomplete package. Pushing the
        same package again changes nothing, and replaces blobs of it that are damaged.

        Args:
            package: the package; all its files are read and verified.
            version: the version that it must get, which must be the next; by default the next at the time of writing.
            alias: the alias to point at the version once it is there, wherever it points now.

        Returns:
            The version: a new one, or the one that the model already has for this package.

        Raises:
            Conflict: `version` is another package, the package is another version, too many writers push at once, or
                another writer moved the alias at the same moment: then the version is there.
            RepositoryError: the store cannot be written or trusted, a record is damaged, `version` leaves a gap, or the
                alias is invalid.
            CorruptPackage: the package is damaged.
        """
        if alias is not None:
            check_alias(alias)
        self._prove_store()
        if version is not None:
            self._index.find_claim(package.name, package.digest, version)  # a version that is taken: nothing is written
        for name in package.names:
            self._blobs.write(package.read(name))
        self._blobs.write(package.manifest_bytes)
        claimed = self._index.claim(package.name, package.digest, version)
        if alias is not None:
            self._index.move(package.name, alias, Version(claimed, package.digest), None)
        package.repository = self.url
        return claimed

    def promote(self, reference: str | Reference, alias: str, *, expected: int | str | None = None) -> Resolved:
        """Point an alias of a model at one of its versions.

        Args:
            reference: the version, in any of the four forms.
            alias: the alias; it is made where it does not exist.
            expected: the version, or the full digest, that the alias must point at now. By default it may point
                anywhere, or not exist.

        Returns:
            The package that the alias now names; its version is never `None`.

        Raises:
            NotFound: the reference names no package, or a digest that is no version of the model.
            Conflict: the alias does not point at `expected`, or another writer moved it at the same moment; the message
                says where it points.
            RepositoryError: the store cannot be written or trusted, a record is damaged, or the alias is invalid.
        """
        check_alias(alias)
        if isinstance(expected, str):
            check_digest(expected)
        resolved = self.resolve(reference)
        target = (
            self._index.digest(resolved.name, resolved.digest)
            if resolved.version is None
            else Version(resolved.version, resolved.digest)
        )
        self._prove_store()
        self._index.move(resolved.name, alias, target, expected)
        return Resolved(resolved.name, target.digest, target.version)

    def resolve(self, reference: str | Reference) -> Resolved:
        """Return the package that a reference names now, by its digest.

        Raises:
            NotFound: the reference names no package; the message lists those that exist.
            RepositoryError: the reference is invalid, a record is damaged, or the store cannot be reached.
            CorruptPackage: the blob of a full digest is damaged, or is no package.
        """
        parsed = reference if isinstance(reference, Reference) else Reference.parse(reference)
        if parsed.digest is not None and is_digest(parsed.digest):
            return Resolved(parsed.name, self._find_by_digest(parsed.name, parsed.digest).digest, None)
        if parsed.digest is not None:
            version = self._index.digest(parsed.name, parsed.digest)
        elif parsed.alias is not None:
            version = self._index.alias(parsed.name, parsed.alias)
        else:
            version = self._index.version(parsed.name, parsed.version)
        return Resolved(parsed.name, version.digest, version.version)

    def find(self, reference: str | Reference) -> tuple[Package, int | None]:
        """Return the package that a reference names now, and its version as `resolve` returns it.

        The package's files are fetched when they are read. A full digest whose blobs are cached needs no store.

        Raises:
            NotFound: the reference names no package; the message lists those that exist.
            CorruptPackage: a blob is missing or damaged, or is no package of this model.
            RepositoryError: the reference is invalid, a record is damaged, or the store cannot be reached.
        """
        resolved = self.resolve(reference)
        package = self._read_package(resolved.digest)
        if package is None:
            raise CorruptPackage(f"the manifest {resolved.digest} of {reference} is missing from {self.url}")
        if package.name != resolved.name:
            raise CorruptPackage(
                f"{reference} in {self.url} points at {resolved.digest}, the package of a model named {package.name!r}"
            )
        return package, resolved.version

    def pull(self, reference: str | Reference) -> Package:
        """Return the package that a reference names now; raise as `find` does."""
        return self.find(reference)[0]

    def models(self) -> tuple[Model, ...]:
        """Return all models with their versions and aliases, sorted by name.

        Raises:
            NotFound: the repository's folder does not exist.
            RepositoryError: a record is damaged, or the store cannot be reached.
        """
        return self._index.models()

    def history(self, name: str, alias: str) -> tuple[Move, ...]:
        """Return the last moves of an alias, the newest first: the first says where it points now.

        Raises:
            NotFound: the repository has no such model, or the model no such alias.
            RepositoryError: the alias is invalid, a record is damaged, or the store cannot be reached.
        """
        return self._index.history(Reference.parse(name).name, check_alias(alias))

    def model(self, name: str) -> Model:
        """Return a model with its versions and aliases.

        Raises:
            NotFound: the repository has no such model; the message lists those that exist.
            RepositoryError: the name is invalid, a record is damaged, or the store cannot be reached.
        """
        return self._index.model(Reference.parse(name).name)

    def _prove_store(self) -> None:
        if not self._is_proved:
            conditional_writes.prove(self._store)
            self._is_proved = True

    def _find_by_digest(self, name: str, digest: str) -> Package:
        package = self._read_package(digest)
        if package is None:
            version = self._index.digest(name, digest)  # raises `NotFound` where no version has the digest
            raise CorruptPackage(f"the manifest {digest} of {name}:{version.version} is missing from {self.url}")
        if package.name != name:
            raise NotFound(f"{digest} in {self.url} is the package of a model named {package.name!r}, not {name!r}")
        return package

    def _read_package(self, digest: str) -> Package | None:
        manifest = self._blobs.read(digest, MAX_MANIFEST_BYTES)
        if manifest is None:
            return None

        def fetch(file: str) -> bytes:
            entry = package.manifest["files"][file]
            sha256 = entry["sha256"]
            data = self._blobs.read(f"sha256:{sha256}", entry["size"])
            if data is None:
                raise CorruptPackage(f"the file {file} of {package.name} (sha256:{sha256}) is missing from {self.url}")
            return data

        package = Package(manifest, fetch)
        package.repository = self.url
        return package
