"""The repository: push a package, name it, find it again."""

from __future__ import annotations

import os
from dataclasses import dataclass

from fourfold.errors import CorruptPackage, NotFound
from fourfold.package import Package
from fourfold.repository import conditional_writes
from fourfold.repository.blobs import Blobs
from fourfold.repository.cache import Cache, default_folder
from fourfold.repository.index import Index, Model
from fourfold.repository.location import default_url, open_store
from fourfold.repository.records import Version
from fourfold.repository.reference import Reference, check_alias, check_digest, is_digest
from fourfold.repository.store import Store

__all__ = ["Repository", "Resolved", "push"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means at this moment.

    Attributes:
        name: the model's name.
        digest: `sha256:` and 64 hexadecimal digits.
        version: the version, or `None` where a whole digest was asked for, which needs none.
    """

    name: str
    digest: str
    version: int | None


class Repository:
    """Packages by digest, with versions that never change and aliases that move.

    One object may be used by many threads. Nothing is asked of the store before the first verb.

    Args:
        store: where everything lies.
        cache: where copies of blobs are kept; `None` keeps none.
    """

    def __init__(self, store: Store, cache: Cache | None = None) -> None:
        self._store = store
        self._blobs = Blobs(store, cache)
        self._index = Index(store)
        self._proved = False

    @classmethod
    def open(cls, location: str | os.PathLike[str] | None = None) -> Repository:
        """The repository at a place, which need not exist before something is pushed.

        Args:
            location: a folder, or the URL `file:///…`, `s3://bucket/prefix`, `gs://bucket/prefix`,
                `az://container/prefix` or `memory://name`; `$FOURFOLD_REPOSITORY` where it is `None`.

        Raises:
            RepositoryError: none is named, or it is no such place.
            MissingLibrary: it is a bucket, and obstore is not installed.
        """
        store = open_store(default_url() if location is None else location)
        folder = default_folder() if store.remote else None
        return cls(store, None if folder is None else Cache(folder))

    @property
    def url(self) -> str:
        """The folder's path or the bucket's URL; holds no secret."""
        return self._store.url

    def __repr__(self) -> str:
        return f"Repository({self.url!r})"

    def push(self, package: Package, *, version: int | None = None) -> int:
        """Store a package and give it a version of the model that it is named after.

        Its files come first and the version last, so that a version never names a package that is not whole. Pushing
        the same package again changes nothing, and makes right what was damaged of it.

        Args:
            package: the package; every file of it is read and verified.
            version: the version that it must become: the next one. By default whichever is next when its turn comes.

        Returns:
            The version: a new one, or the one that the model has for this very package already.

        Raises:
            Conflict: `version` is another package, or the package is another version, or too many writers at once.
            RepositoryError: the store cannot be written or trusted, a record is damaged, or `version` leaves a gap.
            CorruptPackage: the package is damaged.
        """
        self._prove()
        for name in package.names:
            self._blobs.write(package.read(name))
        self._blobs.write(package.manifest_bytes)
        return self._index.claim(package.name, package.digest, version)

    def promote(self, reference: str | Reference, alias: str, *, expected: int | str | None = None) -> Resolved:
        """Point an alias of a model at one of its versions.

        Args:
            reference: the version, named in any way.
            alias: the alias; it comes into being if it is new.
            expected: the version, or the whole digest, that the alias must point at now; by default any, or none.

        Returns:
            What the alias names now; its version is never `None`.

        Raises:
            NotFound: the reference names nothing, or a digest that is no version of the model.
            Conflict: the alias points elsewhere than expected, or another writer moved it at the same moment; the
                message says where it points.
            RepositoryError: the store cannot be written or trusted, a record is damaged, or the alias cannot be one.
        """
        check_alias(alias)
        if isinstance(expected, str):
            check_digest(expected)
        found = self.resolve(reference)
        target = (
            self._index.digest(found.name, found.digest)
            if found.version is None
            else Version(found.version, found.digest)
        )
        self._prove()
        self._index.move(found.name, alias, target, expected)
        return Resolved(found.name, target.digest, target.version)

    def resolve(self, reference: str | Reference) -> Resolved:
        """What a reference means now: always a digest.

        Raises:
            NotFound: nothing; the message says what there is.
            RepositoryError: the reference is none, a record is damaged, or the store cannot be reached.
            CorruptPackage: the blob of a whole digest is not what its digest says, or no package.
        """
        asked = reference if isinstance(reference, Reference) else Reference.parse(reference)
        if asked.digest is not None and is_digest(asked.digest):
            return Resolved(asked.name, self._by_digest(asked.name, asked.digest).digest, None)
        if asked.digest is not None:
            found = self._index.digest(asked.name, asked.digest)
        elif asked.alias is not None:
            found = self._index.alias(asked.name, asked.alias)
        else:
            found = self._index.version(asked.name, asked.version)
        return Resolved(asked.name, found.digest, found.version)

    def find(self, reference: str | Reference) -> tuple[Package, int | None]:
        """The package that a reference means now, and its version as `resolve` gives it.

        Its files are fetched when they are read. A whole digest whose blobs are in the cache needs no store.

        Raises:
            NotFound: the reference means nothing; the message says what there is.
            CorruptPackage: a blob is missing, or is not what its digest says, or no package of this model.
            RepositoryError: the reference is none, a record is damaged, or the store cannot be reached.
        """
        resolved = self.resolve(reference)
        package = self._package(resolved.digest)
        if package is None:
            raise CorruptPackage(f"the manifest {resolved.digest} of {reference} is missing from {self.url}")
        if package.name != resolved.name:
            raise CorruptPackage(
                f"{reference} in {self.url} points at {resolved.digest}, the package of a model named {package.name!r}"
            )
        return package, resolved.version

    def pull(self, reference: str | Reference) -> Package:
        """The package that a reference means now; raises as `find` does."""
        return self.find(reference)[0]

    def models(self) -> tuple[Model, ...]:
        """Every model with its versions and aliases, by name.

        Raises:
            NotFound: there is no such folder.
            RepositoryError: a record is damaged, or the store cannot be reached.
        """
        return self._index.models()

    def model(self, name: str) -> Model:
        """One model with its versions and aliases.

        Raises:
            NotFound: the repository has none of the name; the message says which it has.
            RepositoryError: the name cannot be one, a record is damaged, or the store cannot be reached.
        """
        return self._index.model(Reference.parse(name).name)

    def _prove(self) -> None:
        if not self._proved:
            conditional_writes.prove(self._store)
            self._proved = True

    def _by_digest(self, name: str, digest: str) -> Package:
        package = self._package(digest)
        if package is None:
            found = self._index.digest(name, digest)  # where it is no version, this says which there are
            raise CorruptPackage(f"the manifest {digest} of {name}:{found.version} is missing from {self.url}")
        if package.name != name:
            raise NotFound(f"{digest} in {self.url} is the package of a model named {package.name!r}, not {name!r}")
        return package

    def _package(self, digest: str) -> Package | None:
        manifest = self._blobs.read(digest)
        if manifest is None:
            return None

        def fetch(file: str) -> bytes:
            sha256 = package.manifest["files"][file]["sha256"]
            data = self._blobs.read(f"sha256:{sha256}")
            if data is None:
                raise CorruptPackage(f"the file {file} of {package.name} (sha256:{sha256}) is missing from {self.url}")
            return data

        package = Package(manifest, fetch)
        return package


def push(
    package: Package, *, repository: str | os.PathLike[str] | Repository | None = None, version: int | None = None
) -> int:
    """Push a package to a repository, by default the one that `$FOURFOLD_REPOSITORY` names.

    Args:
        package: the package.
        repository: a repository, its folder or its URL.
        version: the version that it must become; by default the next.

    Returns:
        The version, new or not, as `Repository.push` does; the errors are its too.
    """
    opened = repository if isinstance(repository, Repository) else Repository.open(repository)
    return opened.push(package, version=version)
