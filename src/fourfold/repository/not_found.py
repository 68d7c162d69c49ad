"""What to say when something is not there: what there is instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fourfold.errors import NotFound
from fourfold.repository.records import Version

__all__ = ["missing_alias", "missing_digest", "missing_model", "missing_version"]

#: So many names are listed; a repository may have thousands.
SHOWN = 10


def missing_model(url: str, name: str, models: Iterable[str]) -> NotFound:
    """No model has the name."""
    return NotFound(f"{url} has no model {name!r}; {_instead(name, models, 'it has no models')}")


def missing_version(url: str, name: str, version: int | None, versions: Iterable[int]) -> NotFound:
    """The model has no version of the number."""
    numbers = sorted(versions)
    if not numbers:
        there = "it has no versions"
    elif numbers == list(range(1, len(numbers) + 1)):
        there = "it has version 1" if len(numbers) == 1 else f"it has the versions 1 to {len(numbers)}"
    else:
        there = f"it has the versions {_some([str(each) for each in reversed(numbers)])}"
    if version is None:
        return NotFound(f"the model {name} in {url} has no versions")
    return NotFound(f"the model {name} in {url} has no version {version}; {there}")


def missing_alias(url: str, name: str, alias: str, aliases: Iterable[str]) -> NotFound:
    """The model has no alias of the name."""
    return NotFound(
        f"the model {name} in {url} has no alias {alias!r}; {_instead(alias, aliases, 'it has no aliases')}"
    )


def missing_digest(url: str, name: str, digest: str, versions: Iterable[Version]) -> NotFound:
    """The model has no package of the digest, or several of its beginning."""
    versions = sorted(versions, key=lambda each: -each.version)
    meant = [each for each in versions if each.digest.startswith(digest)]
    if len(meant) > 1:
        found = ", ".join(f"{each.version} is {each.digest}" for each in meant)
        return NotFound(f"{digest} names {len(meant)} versions of {name} in {url}: {found}")
    there = _some([f"{each.version} is {each.digest}" for each in versions]) if versions else "it has no versions"
    return NotFound(f"the model {name} in {url} has no package {digest}; {there}")


def _instead(wanted: str, names: Iterable[str], nothing: str) -> str:
    there = sorted(names)
    if not there:
        return nothing
    near = difflib.get_close_matches(wanted, there, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{guess}it has {_some(there)}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
