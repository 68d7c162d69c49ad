"""Name a package for another command of Fourfold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fourfold.loading import Source

__all__ = ["command_arguments"]


def command_arguments(package: str, source: Source) -> tuple[str, ...]:
    """Return the arguments with which another command finds the same package in the same place.

    The place matters: the host's policy may name it. The version is named, not the alias, which may move.

    Args:
        package: the reference or path that the user typed.
        source: what `find` returned for it.
    """
    reference = package if source.version is None else f"{source.package.name}:{source.version}"
    repository = ("--repository", source.location) if source.location and not source.is_path else ()
    return (reference, *repository)
