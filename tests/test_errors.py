"""Values in messages: short, and cheap to make however large or odd the value is."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import pytest

import fourfold.errors
from fourfold.errors import (
    ColumnError,
    FourfoldError,
    InputError,
    MissingLibrary,
    RowError,
    RowErrors,
    TableError,
    describe,
    printable,
    shorten,
)


def value(chance: random.Random, depth: int = 0) -> Any:
    """Return a random value of plain Python."""
    kind = chance.randrange(5 if depth > 3 else 8)
    if kind == 5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind == 6:
        return tuple(value(chance, depth + 1) for _ in range(chance.randrange(4)))
    if kind == 7:
        return {str(chance.randrange(9)): value(chance, depth + 1) for _ in range(chance.randrange(4))}
    text = "".join(chance.choice("aé\x1b\n'\\\"😀") for _ in range(chance.randrange(9)))
    return [None, chance.random(), chance.randrange(10**9), text, text.encode()][kind]


def test_it_is_the_repr_cut_short() -> None:
    """The text is that of `repr`, with an ellipsis where it is cut."""
    chance = random.Random(5)
    for _ in range(3000):
        example = value(chance)
        limit = chance.choice([20, 60, 200])
        if isinstance(example, (str, bytes)) and len(example) > limit:
            continue
        whole = repr(example)
        assert shorten(example, limit) == (whole if len(whole) <= limit else whole[: limit - 1] + "…")


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def _doubled(times: int) -> list[Any]:
    inner: list[Any] = [0]
    for _ in range(times):
        inner = [inner, inner]
    return inner


class _Rude:
    def __repr__(self) -> str:
        raise SystemError("no")


#: Values of which the whole text would be enormous, cannot be made, or never ends.
HUGE = {
    "an integer": 10**100_000,
    "a negative integer": -(10**100_000),
    "an integer inside": {"rows": [10**100_000]},
    "a text inside": ["x" * 10_000_000],
    "a key": {"x" * 10_000_000: 1},
    "bytes inside": (b"x" * 10_000_000,),
    "nesting": _nested(100_000),
    "doubling": _doubled(60),
    "a long list": list(range(1_000_000)),
    "a long set": set(range(1_000_000)),
    "rudeness": _Rude(),
}


@pytest.mark.parametrize("what", HUGE)
def test_it_stays_short_and_cheap(what: str) -> None:
    """No value makes a message long, or an error of its own, or one that takes for ever."""
    for limit in (10, 60, 200):
        assert 0 < len(shorten(HUGE[what], limit)) <= max(limit, 60)


def test_a_list_that_holds_itself() -> None:
    """A value without an end has a short text all the same."""
    endless: list[Any] = []
    endless.append(endless)
    assert len(shorten(endless, 200)) <= 200


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tof  text", "two lines of text"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\u202ebackwards\u2028", "\\u202ebackwards"),
        ("a" * 10**6, "a" * 499 + "…"),
        ("\x00" * 10**6, "\\x00" * 124 + "\\x0…"),
    ],
)
def test_a_text_of_others_is_one_short_line(text: str, shown: str) -> None:
    """What a library says holds texts of the package: no terminal acts on them, and no log takes them for lines."""
    assert printable(text) == shown
    assert describe(ValueError(text)) == f"ValueError: {shown}"


def test_errors_of_one_kind_share_a_line() -> None:
    """A column that is wrong in a thousand rows is one line, which names the first rows and counts the others."""
    errors = [
        error
        for row in range(1_000)
        for error in (
            RowError(row, "Cylinders", "missing", "float64", "nothing at all"),
            RowError(row, "cylinders", "unknown", "one of the fields Cylinders", f"a key, {row}"),
        )
    ]
    assert str(InputError(errors)).splitlines() == [
        "row 0, field 'Cylinders': expected float64, got nothing at all (and 999 more rows: 1, 2, 3, …)",
        "row 0, field 'cylinders': expected one of the fields Cylinders, got a key, 0 (and 999 more rows: 1, 2, 3, …)",
    ]
    two = [RowError(row, "x", "type", "float64", "'a'") for row in (4, 9)]
    assert str(InputError(two)) == "row 4, field 'x': expected float64, got 'a' (and 1 more row: 9)"


def test_more_kinds_of_errors_than_lines_are_counted() -> None:
    """Beyond five lines the errors are counted, and so are those that were never built."""
    errors = [RowError(row, f"x{field}", "type", "float64", "'a'") for row in range(2) for field in range(7)]
    lines = str(InputError(errors)).splitlines()
    assert len(lines) == InputError.MAX_SHOWN + 1
    assert lines[-1] == "… and 4 more errors"
    assert str(InputError(RowErrors(errors[:1], total=2, rows=2))).endswith("… and 1 more error")


ERROR = RowError(1, "x", "type", "float64", "'a'")
SAMPLES: dict[type[FourfoldError], FourfoldError] = {
    InputError: InputError(RowErrors([ERROR], total=9, rows=5)),
    TableError: TableError([ColumnError(None, "x", "missing", "a column", "none")]),
    MissingLibrary: MissingLibrary("numpy", extra="numpy", purpose="this"),
}


KINDS = [kind for kind in vars(fourfold.errors).values() if isinstance(kind, type) and issubclass(kind, FourfoldError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_come_out_of_another_process(kind: type[FourfoldError]) -> None:
    """A pool of processes sends errors as pickles, and waits for ever where one cannot be read."""
    error = SAMPLES.get(kind) or kind("what and why")
    error.add_note("a note")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.args, again.__dict__) == (str(error), error.args, error.__dict__)
    assert copy.copy(error).args == error.args
