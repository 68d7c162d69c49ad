"""Load packages: from a reference or a path to a ready predictor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fourfold.errors import CorruptPackage, PackageError, TrustError
from fourfold.package import SUFFIX, Package, open_package
from fourfold.predictor import Predictor, changed_libraries

if TYPE_CHECKING:
    from fourfold.repository import Repository

__all__ = ["TRUST_VARIABLE", "find", "load", "make_predictor"]

#: The environment variable that lists, separated by commas, the digests of packages whose code or pickle may run.
TRUST_VARIABLE = "FOURFOLD_TRUST"


def load(
    source: str | os.PathLike[str] | Package,
    *,
    repository: str | Repository | None = None,
    trust: bool = False,
) -> Predictor:
    """Load a package and replay its golden rows.

    Args:
        source: a reference (`eta`, `eta:3`, `eta@production`, `eta@sha256:…`), the path of a package (a file that ends
            with `.fourfold`, or a folder, with a slash: `./eta`), or an open package.
        repository: where to look up a reference: a folder, or the URL of a bucket; by default `$FOURFOLD_REPOSITORY`.
        trust: whether code or pickle in the package may run in this process. A package cannot decide that for itself;
            `$FOURFOLD_TRUST` can list digests that are trusted on this host.

    Returns:
        A predictor, ready to answer.

    Raises:
        NotFound: the repository has no such package.
        SourceError: the path cannot be read.
        CorruptPackage: the package is damaged.
        TrustError: the package needs code or pickle, which was not allowed.
        GoldenMismatch: the golden rows do not give the answers that the package recorded.
        MissingLibrary: the package's engine is not installed.
    """
    package, version = find(source, repository=repository)
    return make_predictor(package, version=version, trust=trust)


def make_predictor(package: Package, *, version: int | None = None, trust: bool = False) -> Predictor:
    """Load the engine of an open package and replay its golden rows; raise as `load` does."""
    from fourfold import runtimes

    runtime = package.manifest["runtime"]
    needed = runtimes.requires(runtime["name"], runtime["settings"])
    if runtime["requires"] != needed:
        raise CorruptPackage(
            f"the package says that it requires {runtime['requires'] or 'nothing'!r}; its runtime needs "
            f"{needed or 'nothing'!r}"
        )
    trusted = trust or _is_listed(package.digest)
    try:
        engine = runtimes.load(runtime["name"], runtime["settings"], package.read, package.signature, trust=trusted)
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
    return Predictor(package, engine, version=version)


def find(
    source: str | os.PathLike[str] | Package, *, repository: str | Repository | None = None
) -> tuple[Package, int | None]:
    """Return the package that `load` loads, and its version where it comes from a repository; raise as `load` does."""
    if isinstance(source, Package):
        return source, None
    if _is_path(source):
        return open_package(source), None
    from fourfold.repository import Repository

    if not isinstance(repository, Repository):
        repository = Repository.open(repository)
    return repository.find(os.fspath(source))


def _is_path(source: str | os.PathLike[str]) -> bool:
    # A folder named like a model must not be taken for it: a path has a slash, as in ./eta, or ends with `.fourfold`.
    return not isinstance(source, str) or source.endswith(SUFFIX) or os.sep in source or "/" in source


def _is_listed(digest: str) -> bool:
    return digest in {text.strip() for text in os.environ.get(TRUST_VARIABLE, "").split(",")}
