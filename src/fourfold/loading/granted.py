"""Load the engine of a package as far as it is trusted, and replay its golden rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fourfold.errors import CorruptPackage, PackageError, TrustError, engine_failure
from fourfold.function import is_interruption
from fourfold.loading.trust import Grant
from fourfold.package import Package
from fourfold.package.levels import Level, allows
from fourfold.predictor import Predictor, changed_libraries

__all__ = ["LocatedPackage", "load_granted", "make_predictor"]


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


def load_granted(
    located: LocatedPackage, grant: Grant, reduce: Callable[[Predictor], tuple[Any, ...]] | None
) -> Predictor:
    """Load a package that was found, with what the host grants it; raise as `load` does.

    Args:
        located: the package, and where it was found.
        grant: what it may do.
        reduce: returns how another process loads it again; see `Predictor`.
    """
    from fourfold import runtimes

    package = located.package
    required, runtime = _required_level(package), package.manifest["runtime"]
    if not allows(grant.level, required):
        need = runtimes.describe_need(runtime["name"], runtime["settings"])
        raise TrustError(
            f"{package.name} ({package.digest[:19]}…) needs trust '{required}', and '{grant.level}' is granted here: "
            f"{need}. If you know where it comes from, allow it: {grant.advice.replace('{level}', required)}"
        )
    return make_predictor(package, version=located.version, trust=grant.level, reduce=reduce)


def make_predictor(
    package: Package,
    *,
    version: int | None = None,
    trust: Level,
    reduce: Callable[[Predictor], tuple[Any, ...]] | None = None,
) -> Predictor:
    """Load the engine of an open package and replay its golden rows; raise as `load` does.

    Args:
        package: the package.
        version: its version in the repository that it came from.
        trust: what the package may do; the caller has decided it, no policy is asked.
        reduce: returns how another process loads it again; see `Predictor`.
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
    return Predictor(package, engine, version=version, reduce=reduce)


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
