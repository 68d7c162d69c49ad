"""Load packages: from a reference or a path to a ready predictor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fourfold.buckets.settings import SCHEMES
from fourfold.durable.file_urls import local_file
from fourfold.errors import (
    CorruptPackage,
    PackageError,
    RepositoryError,
    SourceError,
    TrustError,
    engine_failure,
    shorten,
)
from fourfold.function import is_interruption
from fourfold.loading.trust import find_grant
from fourfold.package import SUFFIX, Package, open_package
from fourfold.package.levels import Level, allows
from fourfold.package.manifest import MANIFEST
from fourfold.predictor import Predictor, changed_libraries

if TYPE_CHECKING:
    from fourfold.repository import Repository

__all__ = ["LocatedPackage", "find", "load", "make_predictor", "open"]


class LocatedPackage(NamedTuple):
    """Hold a package that was found, and where.

    Attributes:
        package: the package; nothing of it is loaded yet.
        version: its version, where it comes from a repository.
        location: the URL of the repository, or the path of the package; `None` for a package in memory.
        is_path: whether the location is a path of the package itself.
    """

    package: Package
    version: int | None
    location: str | None
    is_path: bool = False


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
    from fourfold import runtimes

    located = source if isinstance(source, LocatedPackage) else find(source, repository=repository)
    package = located.package
    grant = find_grant(trust, located.location, package.name, package.digest)
    required, runtime = _required_level(package), package.manifest["runtime"]
    if not allows(grant.level, required):
        need = runtimes.describe_need(runtime["name"], runtime["settings"])
        raise TrustError(
            f"{package.name} ({package.digest[:19]}…) needs trust '{required}', and '{grant.level}' is granted here: "
            f"{need}. If you know where it comes from, allow it: {grant.advice.replace('{level}', required)}"
        )
    return make_predictor(package, version=located.version, trust=grant.level)


def make_predictor(package: Package, *, version: int | None = None, trust: Level) -> Predictor:
    """Load the engine of an open package and replay its golden rows; raise as `load` does.

    Args:
        package: the package.
        version: its version in the repository that it came from.
        trust: what the package may do; the caller has decided it, no policy is asked.
    """
    from fourfold import runtimes

    runtime = package.manifest["runtime"]
    _required_level(package)
    try:
        engine = runtimes.load(
            runtime["name"],
            runtime["settings"],
            package.read,
            package.signature,
            trust=trust,
            distributions=runtime.get("distributions"),
        )
    except TrustError:
        raise
    except PackageError as error:
        # A file may be damaged, or it may only be unreadable for another version of the library: name both.
        changed = changed_libraries(package)
        if not changed:
            raise
        raise type(error)(
            f"{error}; {changed}: install these versions, or pack the model anew with those that are here"
        ) from error
    except BaseException as error:
        # Code of the package, or of a library, may end in anything. `SystemExit` would end the process in silence.
        if isinstance(error, Exception) or is_interruption(error):
            raise
        raise engine_failure(error) from error
    return Predictor(package, engine, version=version)


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


def _required_level(package: Package) -> Level:
    """Return the level that a package needs.

    Raises:
        CorruptPackage: the package says that it requires something else than its runtime needs.
    """
    from fourfold import runtimes

    runtime = package.manifest["runtime"]
    needed = runtimes.requires(runtime["name"], runtime["settings"])
    if runtime["requires"] != needed:
        raise CorruptPackage(
            f"the package says that it requires {runtime['requires'] or 'nothing'!r}; its runtime needs "
            f"{needed or 'nothing'!r}"
        )
    return runtimes.level_of(package.manifest)
