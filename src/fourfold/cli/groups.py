"""Define groups of verbs that answer a mistyped verb with the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = ["SuggestingChoice", "SuggestingGroup", "closest"]

#: How close a mistyped word must be to the one that was meant: 1 is the same.
MIN_LIKENESS = 0.6


def closest(word: str, words: Sequence[str]) -> str | None:
    """Return the word that was probably meant by a mistyped one, or `None`."""
    matches = difflib.get_close_matches(word.lower(), words, n=1, cutoff=MIN_LIKENESS)
    if matches:
        return matches[0]
    beginnings = [known for known in words if len(word) > 1 and known.startswith(word.lower())]
    return beginnings[0] if len(beginnings) == 1 else None


class SuggestingGroup(click.Group):
    """Say which verb was probably meant where one does not exist.

    Attributes:
        other_words: what people from other tools type, each with what they find here.
        for_a_package: the command that a package was probably meant for whose name stands in the verb's place.
    """

    other_words: Mapping[str, str] = {}
    for_a_package: str = ""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb's name, the verb and its arguments.

        Raises:
            UsageError: there is no such verb; the message names the one that was probably meant.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}. {self._advice(ctx, name)}", ctx)
        return super().resolve_command(ctx, args)

    def _advice(self, ctx: click.Context, name: str) -> str:
        words = self.other_words.get(name.lower()) or closest(name, self.list_commands(ctx))
        if words is None and self.for_a_package and self.is_package(name):
            words = f"{self.for_a_package} {name}"
        if words is not None:
            return f"Did you mean {words!r}?"
        return f"There are {', '.join(self.list_commands(ctx))}."

    def is_package(self, name: str) -> bool:
        """Return whether a word in a verb's place is probably the name or the path of a package."""
        return name.endswith(".fourfold") or any(character in name for character in ":@/")


class SuggestingChoice(click.Choice[Any]):
    """Take one of several words, and say which was probably meant by another."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the message for a word that is none of the choices."""
        message = super().get_invalid_choice_message(value, ctx)
        match = closest(str(value), [str(choice) for choice in self.choices])
        return message if match is None else f"{message} Did you mean {match!r}?"
