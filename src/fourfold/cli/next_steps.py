"""Print the commands that usually follow, so that they can be pasted into a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import click

__all__ = ["print_next", "quoted", "repository_option", "trust_option"]


def quoted(words: Sequence[str | os.PathLike[str]]) -> str:
    """Return a command for a shell, each word as it is: blanks, quotes and control characters included."""
    return " ".join(_quote(os.fspath(word)) for word in words)


def print_next(*commands: Sequence[str | os.PathLike[str]]) -> None:
    """Print commands without their first word, `fourfold`, on standard error, where no script takes them for results.

    Args:
        commands: the words of each.
    """
    click.echo("\n".join(f"next:  {quoted(['fourfold', *words])}" for words in commands), err=True)


def repository_option(repository: str | None) -> tuple[str, ...]:
    """Return the option that names the repository of the running command, where the environment does not name it."""
    source = click.get_current_context().get_parameter_source("repository")
    is_typed = repository is not None and source is click.core.ParameterSource.COMMANDLINE
    return ("--repository", str(repository)) if is_typed else ()


def trust_option(level: str) -> tuple[str, ...]:
    """Return the option that allows what a package of this level needs; none for a plan, which needs no word."""
    return () if level == "data" else ("--trust", level)


def _quote(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    # Of what a terminal would act on, only the escapes are printed; bash, zsh and POSIX since 2024 read them.
    escaped = "".join(
        char
        if char.isprintable() and char not in "\\'"
        else "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in word
    )
    return f"$'{escaped}'"
