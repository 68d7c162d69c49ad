"""Build 'not found' errors that list close matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fourfold.errors import NotFound
from fourfold.repository.records import Version

__all__ = ["missing_alias", "missing_digest", "missing_model", "missing_version"]

#: The most names that an error lists; a repository may have thousands.
MAX_NAMES = 10


def missing_model(url: str, name: str, models: Iterable[str]) -> NotFound:
    """Return the error for a name that no model has."""
    return NotFound(f"{url} has no model {name!r}; {_describe_alternatives(name, models, 'it has no models')}")


def missing_version(url: str, name: str, version: int | None, versions: Iterable[int]) -> NotFound:
    """Return the error for a version that a model does not have; `None` is the newest version."""
    numbers = sorted(versions)
    if not numbers:
        existing = "it has no versions"
    elif numbers == list(range(1, len(numbers) + 1)):
        existing = "it has version 1" if len(numbers) == 1 else f"it has the versions 1 to {len(numbers)}"
    else:
        existing = f"it has the versions {_list_names([str(number) for number in reversed(numbers)])}"
    if version is None:
        return NotFound(f"the model {name} in {url} has no versions")
    return NotFound(f"the model {name} in {url} has no version {version}; {existing}")


def missing_alias(url: str, name: str, alias: str, aliases: Iterable[str]) -> NotFound:
    """Return the error for an alias that a model does not have."""
    alternatives = _describe_alternatives(alias, aliases, "it has no aliases")
    return NotFound(f"the model {name} in {url} has no alias {alias!r}; {alternatives}")


def missing_digest(url: str, name: str, digest: str, versions: Iterable[Version]) -> NotFound:
    """Return the error for the beginning of a digest that no version of a model has, or that several have."""
    newest_first = sorted(versions, key=lambda version: -version.version)
    matches = [_describe(version) for version in newest_first if version.digest.startswith(digest)]
    if len(matches) > 1:
        return NotFound(f"{digest} names {len(matches)} versions of {name} in {url}: {', '.join(matches)}")
    existing = _list_names([_describe(version) for version in newest_first]) if newest_first else "it has no versions"
    return NotFound(f"the model {name} in {url} has no package {digest}; {existing}")


def _describe(version: Version) -> str:
    return f"{version.version} is {version.digest}"


def _describe_alternatives(name: str, names: Iterable[str], if_none: str) -> str:
    existing = sorted(names)
    if not existing:
        return if_none
    matches = difflib.get_close_matches(name, existing, n=1)
    guess = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{guess}it has {_list_names(existing)}"


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
