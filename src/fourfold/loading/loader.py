"""Load packages: from a reference or a path to a ready predictor."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fourfold.buckets.settings import SCHEMES
from fourfold.durable.file_urls import local_file
from fourfold.errors import RepositoryError, SourceError, shorten
from fourfold.loading.granted import LocatedPackage, load_granted
from fourfold.loading.pickles import reduce
from fourfold.loading.trust import find_grant
from fourfold.package import SUFFIX, Package, open_package
from fourfold.package.levels import Level
from fourfold.package.manifest import MANIFEST
from fourfold.predictor import Predictor

if TYPE_CHECKING:
    from fourfold.repository import Repository

__all__ = ["find", "load", "open"]


def load(
    source: str | os.PathLike[str] | Package | LocatedPackage,
    repository: str | os.PathLike[str] | Repository | None = None,
    *,
    trust: Level | None = None,
) -> Predictor:
    """Load a package and replay its golden rows.

    Args:
        source: a reference (`eta`, `eta:3`, `eta@production`, `eta@sha256:…`), the path of a package (a file that ends
            with `.fourfold`, or a folder, with a slash: `./eta`), an open package, or what `find` returned.
        repository: where to look up a reference: a folder, or the URL of a bucket; by default `$FOURFOLD_REPOSITORY`.
        trust: what the package may do here. `data`: a plan, which Fourfold computes; always allowed. `foreign`: files
            that other libraries parse or rebuild. `code`: Python source or pickle too. By default `$FOURFOLD_TRUST`,
            else `data`; a policy file of the host goes before both (docs/security.md). A package that was packed in
            this process needs no grant.

    Returns:
        A predictor, ready to answer.

    Raises:
        NotFound: the repository has no such package.
        SourceError: the path cannot be read.
        CorruptPackage: the package is damaged.
        TrustError: the package needs more than this host grants; nothing of it was read.
        GoldenMismatch: the golden rows do not give the answers that the package recorded.
        MissingLibrary: the package's engine is not installed.
        ValueError: `trust` is no level.
        TypeError: `source` is a model, or anything else that is none of these.
    """
    located = source if isinstance(source, LocatedPackage) else find(source, repository=repository)
    package = located.package
    grant = find_grant(trust, located.location, package.name, package.digest)
    return load_granted(located, grant, reduce=partial(reduce, asked=trust))


def open(  # noqa: A001 - fourfold.open
    source: str | os.PathLike[str] | Package, repository: str | os.PathLike[str] | Repository | None = None
) -> Package:
    """Open a package, to look at it, save it or push it; nothing of it is loaded, so no trust is needed.

    Args:
        source: the path of a package, or a reference, as `load` takes them.
        repository: where to look up a reference: a folder, or the URL of a bucket; by default `$FOURFOLD_REPOSITORY`.

    Raises:
        NotFound: the repository has no such package.
        SourceError: the path cannot be read.
        CorruptPackage: the package is damaged.
        TypeError: `source` is neither a path, a reference nor a package.
    """
    return find(source, repository=repository).package


def find(
    source: str | os.PathLike[str] | Package, *, repository: str | os.PathLike[str] | Repository | None = None
) -> LocatedPackage:
    """Return the package that `load` loads, and where it comes from; raise as `load` does. Nothing of it is loaded."""
    if isinstance(source, Package):
        return LocatedPackage(source, None, None)
    if not isinstance(source, (str, os.PathLike)):
        kind = type(source)
        raise TypeError(
            f"expected a reference, a path or a package; got a {kind.__module__}.{kind.__qualname__}: a model is "
            "packed first, fourfold.load(fourfold.pack(model, name=…, rows=…))"
        )
    if _is_path(source):
        if isinstance(source, str):
            _check_no_bucket(source)
            source = local_file(source, SourceError, "the package")
        return LocatedPackage(open_package(source), None, str(Path(source).absolute()), is_path=True)
    from fourfold.repository import Repository

    reference = os.fspath(source)
    try:
        if not isinstance(repository, Repository):
            repository = Repository.open(repository)
        package, version = repository.find(reference)
    except RepositoryError as error:
        if not (Path(reference) / MANIFEST).is_file():
            raise
        raise type(error)(f"{error}; for the package in the folder {reference}, write './{reference}'") from error
    return LocatedPackage(package, version, repository.url)


def _check_no_bucket(source: str) -> None:
    """Raise `SourceError` where a package of a bucket is named by one URL."""
    scheme, separator, rest = source.partition("://")
    if separator and scheme.lower() in SCHEMES:
        prefix, _, reference = rest.rstrip("/").rpartition("/")
        named = shorten(reference, 100), shorten(f"{scheme}://{prefix}", 200)
        raise SourceError(
            f"a package in a bucket is named by its reference and its repository: {named[0]} and repository={named[1]} "
            "(--repository on the command line)"
        )


def _is_path(source: str | os.PathLike[str]) -> bool:
    # A folder named like a model must not be taken for it: a path has a slash, as in ./eta, or ends with `.fourfold`.
    return not isinstance(source, str) or source.endswith(SUFFIX) or os.sep in source or "/" in source
