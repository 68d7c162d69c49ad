r"""Check that a regular expression of a package cannot take for ever.

Python's `re` tries all ways to match, and no other thread runs meanwhile, so nobody could stop it. A pattern is taken
where no part that repeats can match the same text in two ways: then the number of ways does not double with each
character. A repetition may share characters with what follows it, as in `\w*[a-z]\w*`, once in a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fourfold.errors import CorruptPackage, shorten
from fourfold.runtimes.sklearn.inspection import walk_parts

__all__ = ["UnsafePattern", "check_pattern", "check_patterns", "check_texts"]

#: The steps that golden texts may take, all together about ten seconds.
_MAX_STEPS = 10**10
#: The pattern that vectorizers have by default, and its like: they pass through each text once.
_LINEAR_PATTERNS = {rf"{flags}\b{run}\b" for flags in ("", "(?u)") for run in (r"\w\w+", r"\w+")}
# Python's own parser, which has no public name: the same reading as that of `re.compile`.
_parser: Any = import_module("re._parser")
_MAX_CHARACTERS = 1_000
#: The most positions of a pattern, each part counted as often as it must or may be repeated.
_MAX_POSITIONS = 600
#: A part that may be repeated more often counts as one that is repeated without end.
_MAX_COPIES = 32
#: How many repetitions may share characters with what follows, and how many other choices there may be.
_MAX_SHARED_REPETITIONS, _MAX_CHOICES = 1, 8
#: Characters of all kinds besides ASCII; those that a pattern names are added.
_CHARACTERS = (
    *range(128),
    *map(ord, "\u00a0\u00b2\u00e9\u0131\u017f\u0301\u03c3\u0663\u2003\u2014\u4e2d\u212a\U0001f600"),
)


class UnsafePattern(ValueError):
    """Say why a pattern is not taken."""


@dataclass
class _Part:
    """Hold the positions at which a part of a pattern begins and ends, and whether it matches the empty text."""

    first: list[int]
    last: list[int]
    is_empty: bool


@dataclass
class _Automaton:
    """Hold the positions of a pattern: what each matches, and which may follow it, as often as there are ways."""

    alphabet: tuple[int, ...]
    flags: int
    sets: list[frozenset[int]] = field(default_factory=list)
    follow: list[list[int]] = field(default_factory=list)
    #: For each part that repeats, from the inside out, the positions in it.
    repeated: list[range] = field(default_factory=list)
    #: At what positions a pattern, and what it looks ahead for, can begin.
    starts: list[list[int]] = field(default_factory=list)
    _characters: dict[str, frozenset[int]] = field(default_factory=dict)

    def position(self, characters: frozenset[int]) -> _Part:
        """Add a position and return it as a part."""
        if len(self.sets) == _MAX_POSITIONS:
            raise UnsafePattern(f"it has more than {_MAX_POSITIONS} positions, with repetitions")
        self.sets.append(characters)
        self.follow.append([])
        return _Part([len(self.sets) - 1], [len(self.sets) - 1], is_empty=False)

    def join(self, left: _Part, right: _Part) -> _Part:
        """Return one part behind another."""
        for position in left.last:
            self.follow[position] += right.first
        return _Part(
            left.first + (right.first if left.is_empty else []),
            right.last + (left.last if right.is_empty else []),
            left.is_empty and right.is_empty,
        )

    def sequence(self, items: Any) -> _Part:
        """Return parts behind each other."""
        part = _Part([], [], is_empty=True)
        for item in items:
            part = self.join(part, self.item(item))
        return part

    def item(self, item: Any) -> _Part:
        """Return one item of Python's parser as a part."""
        operation, value = str(item[0]), item[1]
        if operation in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "RANGE", "CATEGORY"):
            return self.position(self.characters(operation, value))
        if operation == "AT":
            return _Part([], [], is_empty=True)
        if operation in ("ASSERT", "ASSERT_NOT"):
            self.starts.append(self.sequence(value[1]).first)
            return _Part([], [], is_empty=True)
        if operation == "SUBPATTERN":
            return self.sequence(value[3])
        if operation == "ATOMIC_GROUP":
            return self.sequence(value)
        if operation == "BRANCH":
            parts = [self.sequence(branch) for branch in value[1]]
            return _Part(
                [position for part in parts for position in part.first],
                [position for part in parts for position in part.last],
                any(part.is_empty for part in parts),
            )
        if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self.repetition(*value)
        raise UnsafePattern(f"it has a {operation}")

    def repetition(self, fewest: Any, largest: Any, items: Any) -> _Part:
        """Return a repeated part: a copy for each time, and from `_MAX_COPIES` on a loop."""
        least, most = int(fewest), int(largest)
        start, is_loop = len(self.sets), most > _MAX_COPIES
        needed = min(least, _MAX_COPIES)
        copies = [self.sequence(items) for _ in range(max(1, needed) if is_loop else most)]
        if most > 1 and any(copy.is_empty for copy in copies):
            raise UnsafePattern("it repeats what can be empty")
        if is_loop:
            for position in copies[-1].last:
                self.follow[position] += copies[-1].first
        part = _Part([], [], is_empty=True)
        for index, copy in reversed(list(enumerate(copies))):  # each optional copy is inside the one before
            part = self.join(copy, part)
            part.is_empty |= index >= least
        if most > 1:
            self.repeated.append(range(start, len(self.sets)))
        return part

    def characters(self, operation: str, value: Any) -> frozenset[int]:
        """Return the characters of the alphabet that one position matches."""
        key = f"{operation} {value}"
        if key not in self._characters:
            matched = frozenset(point for point in self.alphabet if self.matches(operation, value, point))
            self._characters[key] = matched
        return self._characters[key]

    def matches(self, operation: str, value: Any, point: int) -> bool:
        """Return whether a position matches a character."""
        if operation == "ANY":
            return True
        if operation == "NOT_LITERAL":
            return not self.matches("LITERAL", value, point)
        if operation == "CATEGORY":
            name = str(value).removeprefix("CATEGORY_")
            letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[name.removeprefix("NOT_")]
            flags = self.flags & re.ASCII
            return bool(re.match(rf"\{letter}", chr(point), flags)) is not name.startswith("NOT_")
        if operation == "IN":
            is_negated = str(value[0][0]) == "NEGATE"
            return any(self.matches(str(kind), part, point) for kind, part in value[is_negated:]) is not is_negated
        points = {point}
        if self.flags & re.IGNORECASE:
            points |= {ord(text) for text in (chr(point).lower(), chr(point).upper()) if len(text) == 1}
            if operation == "LITERAL":
                value = ord(chr(value).lower()) if len(chr(value).lower()) == 1 else value
        return any(value[0] <= variant <= value[1] if operation == "RANGE" else variant == value for variant in points)

    def shares(self, positions: list[int]) -> bool:
        """Return whether two of these positions match a character in common, or one of them stands twice."""
        return any(
            not self.sets[left].isdisjoint(self.sets[right])
            for index, right in enumerate(positions)
            for left in positions[:index]
        )


def check_patterns(model: object) -> None:
    """Check the token patterns of the vectorizers in a model.

    Raises:
        CorruptPackage: a text can be split by one of them in a number of ways that grows exponentially.
    """
    for part in walk_parts(model):
        pattern = getattr(part, "__dict__", {}).get("token_pattern")
        if not isinstance(pattern, str):
            continue
        try:
            check_pattern(pattern)
        except UnsafePattern as error:
            raise CorruptPackage(
                f"the token_pattern {shorten(pattern)} of a {type(part).__name__} could take for ever: {error}; a "
                "pattern that is taken repeats parts that begin or end with characters of their own, as "
                r"(?:\w+)(?:-\w+)* does"
            ) from None


def check_texts(model: object, rows: Iterable[Mapping[str, Any]]) -> None:
    """Check that the vectorizers in a model split the texts of rows in a time that does not grow out of hand.

    A pattern that begins anew at every character, and reads on to the end, takes the square of a text's length; one
    whose repetition shares characters with what follows it takes the cube.

    Raises:
        CorruptPackage: a text has too many characters in a row that a pattern may read on through.
    """
    patterns = {
        vars(part)["token_pattern"]
        for part in walk_parts(model)
        if isinstance(getattr(part, "__dict__", {}).get("token_pattern"), str)
    } - _LINEAR_PATTERNS
    readings = []
    for pattern in patterns:
        try:
            readings.append((pattern, *check_pattern(pattern)))
        except UnsafePattern:  # of a pickle, whose maker the host trusts with code
            continue
    for index, row in enumerate(rows if readings else ()):
        for name, text in row.items():
            for pattern, power, reads_spaces in readings if isinstance(text, str) else ():
                runs = [text] if reads_spaces else text.split()
                if sum(len(run) ** power for run in runs) > _MAX_STEPS:
                    raise CorruptPackage(
                        f"golden row {index}, field {shorten(name)}: the token_pattern {shorten(pattern)} could take "
                        f"for ever to split a text of {len(text)} characters"
                    )


def check_pattern(pattern: str) -> tuple[int, bool]:
    """Check that a pattern cannot match the same text in a number of ways that grows exponentially.

    Returns:
        The power of a text's length with which the time to split it can grow, and whether a repetition reads spaces.

    Raises:
        UnsafePattern: it can, or that cannot be told; or it is no regular expression.
    """
    if len(pattern) > _MAX_CHARACTERS:
        raise UnsafePattern(f"it has {len(pattern)} characters; at most {_MAX_CHARACTERS} are taken")
    try:
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UnsafePattern(f"it is no regular expression: {error}") from None
    named = {point + step for point in _named(tree) for step in (-1, 0, 1) if 0 <= point + step < 0x110000}
    alphabet = (*sorted({*_CHARACTERS, *named}),)
    readings = [_check_ways(_Automaton(alphabet, int(tree.state.flags)), branch) for branch in _branches(tree)]
    return max(power for power, _ in readings), any(reads_spaces for _, reads_spaces in readings)


def _branches(tree: Any) -> list[Any]:
    """Return the alternatives of a whole pattern, which are tried one after the other."""
    items = list(tree)
    while len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        items = list(items[0][1][3])
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        return list(items[0][1][1])
    return [items]


def _check_ways(automaton: _Automaton, branch: Any) -> tuple[int, bool]:
    """Check in how many ways one alternative can match a text; return what `check_pattern` does."""
    automaton.starts.append(automaton.sequence(branch).first)
    repetitions: set[range] = set()
    choices = sum(automaton.shares(positions) for positions in automaton.starts)
    for position, following in enumerate(automaton.follow):
        if not automaton.shares(following):
            continue
        around = [repeated for repeated in automaton.repeated if position in repeated]
        if any(automaton.shares([other for other in following if other in repeated]) for repeated in around):
            raise UnsafePattern("a part that it repeats can match the same text in several ways")
        repetitions.update(around[:1])
        choices += not around
    if len(repetitions) > _MAX_SHARED_REPETITIONS or choices > _MAX_CHOICES:
        raise UnsafePattern(
            f"more than {_MAX_SHARED_REPETITIONS} of its repetitions, or {_MAX_CHOICES} of its choices, share "
            "characters with what follows"
        )
    looped = {position for positions in automaton.repeated for position in positions}
    is_one_run = len(branch) == 1 and len(automaton.sets) == 1
    return (1 if is_one_run else 2 + len(repetitions)), any(ord(" ") in automaton.sets[position] for position in looped)


def _named(tree: Any) -> set[int]:
    """Return the characters that a pattern names."""
    named: set[int] = set()
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, int) and not isinstance(item, bool) and type(item) is int:
            named.add(item)
        elif isinstance(item, (list, tuple)) or hasattr(item, "data"):
            stack.extend(item)
    return {point for point in named if point < 0x110000}
