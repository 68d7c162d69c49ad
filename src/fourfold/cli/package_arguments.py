"""Name a package for another command of Fourfold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fourfold.loading import LocatedPackage

__all__ = ["command_arguments"]


def command_arguments(package: str, located: LocatedPackage) -> tuple[str, ...]:
    """Return the arguments with which another command finds the same package in the same place.

    The place matters: the host's policy may name it. The version is named, not the alias, which may move.

    Args:
        package: the reference or path that the user typed.
        located: what `find` returned for it.
    """
    reference = package if located.version is None else f"{located.package.name}:{located.version}"
    repository = ("--repository", located.location) if located.location and not located.is_path else ()
    return (reference, *repository)
