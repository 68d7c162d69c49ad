"""Say in one call what `Repository` says in two: open it, and do something with it."""

from __future__ import annotations

import os

from fourfold.durable.file_urls import local_file
from fourfold.errors import RepositoryError, SourceError, shorten
from fourfold.package import Package, open_package
from fourfold.repository.index import Model
from fourfold.repository.reference import Reference
from fourfold.repository.repository import Repository, Resolved

__all__ = ["list", "promote", "pull", "push"]

#: A repository, its folder or its URL; `None` for that of `$FOURFOLD_REPOSITORY`.
_Where = str | os.PathLike[str] | Repository | None


def push(
    package: Package | str | os.PathLike[str],
    repository: _Where = None,
    *,
    version: int | None = None,
    alias: str | None = None,
) -> int:
    """Push a package to a repository; return and raise as `Repository.push` does.

    Args:
        package: the package, or the path of one.
        repository: a repository, its folder or its URL; by default `$FOURFOLD_REPOSITORY`.
        version: the version that the package must get; by default the next.
        alias: the alias to point at the version, such as `production`; by default none is moved.

    Raises:
        SourceError: the path of the package cannot be read.
        TypeError: it is neither a package nor a path.
    """
    if isinstance(package, str):
        package = local_file(package, SourceError, "the package")
    if isinstance(package, (str, os.PathLike)):
        package = open_package(package)
    if not isinstance(package, Package):
        raise TypeError(f"expected a package, or the path of one; got a {_kind(package)}: {_way_to_push(package)}")
    return _open(repository).push(package, version=version, alias=alias)


def pull(
    reference: str | Reference,
    repository: _Where = None,
    *,
    to: str | os.PathLike[str] | None = None,
    replace: bool = False,
) -> Package:
    """Fetch the package that a reference names now; raise as `Repository.find` does.

    Args:
        reference: `eta`, `eta:3`, `eta@production` or `eta@sha256:…`.
        repository: a repository, its folder or its URL; by default `$FOURFOLD_REPOSITORY`.
        to: where to write the package, verified: a file that ends with `.fourfold`, or a folder. By default its files
            are fetched when they are read.
        replace: whether an existing file may be replaced.

    Raises:
        OutputExists: the path exists.
        SinkError: the package cannot be written; nothing is left behind.
    """
    package = _open(repository).pull(reference)
    if to is not None:
        package.save(to, replace=replace)
    return package


def promote(
    reference: str | Reference, alias: str, repository: _Where = None, *, expected: int | str | None = None
) -> Resolved:
    """Point an alias of a model at one of its versions; return and raise as `Repository.promote` does.

    Args:
        reference: the version, in any of the four forms.
        alias: the alias, such as `production`; it is made where it does not exist.
        repository: a repository, its folder or its URL; by default `$FOURFOLD_REPOSITORY`.
        expected: the version, or the full digest, that the alias must point at now; by default anything.
    """
    return _open(repository).promote(reference, alias, expected=expected)


def list(model: str | None = None, repository: _Where = None) -> tuple[Model, ...]:  # noqa: A001 - fourfold.list
    """List the models of a repository, sorted by name, with their versions and aliases.

    Args:
        model: the only model to list; by default all are.
        repository: a repository, its folder or its URL; by default `$FOURFOLD_REPOSITORY`.

    Raises:
        NotFound: the repository's folder does not exist, or it has no such model.
        RepositoryError: the name is invalid, a record is damaged, or the store cannot be reached.
    """
    if isinstance(model, Repository) or (model is not None and ("/" in os.fspath(model) or os.sep in os.fspath(model))):
        named = model.url if isinstance(model, Repository) else os.fspath(model)
        raise RepositoryError(f"expected the name of a model; for a repository say repository={shorten(named, 200)}")
    opened = _open(repository)
    return opened.models() if model is None else (opened.model(model),)


def _open(repository: _Where) -> Repository:
    return repository if isinstance(repository, Repository) else Repository.open(repository)


def _kind(given: object) -> str:
    kind = type(given)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _way_to_push(given: object) -> str:
    """Return how to push what is no package."""
    if isinstance(getattr(given, "package", None), Package):
        return "push its package: fourfold.push(predictor.package, …)"
    return "a model is packed first: fourfold.push(fourfold.pack(model, name=…, rows=…), …)"
