"""Why two engines, or two doors, part on a row: the column, the threshold or category, and the step.

Both sides are asked, not read: from a row on which they agree, columns are changed one by one into the row on which
they part, and where the column is a number, the way between its two values is halved until two neighbouring floats are
left. So it works for any two engines. Where one side is a scikit-learn pipeline and the other a plan of it, the steps
are compared too, each with what goes into it.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fourfold.errors import shorten
from fourfold.signature import Field, Signature
from fourfold.signature.bits import relative_gap, same_bits
from fourfold.signature.field import FLOATS, INTEGERS

__all__ = ["Explanation", "Side", "why"]

Row = Mapping[str, Any]
#: Below such a relative gap answers are as close as two orders of a sum are.
_ROUNDING = 1e-11
#: The golden rows that are tried as a row on which both agree.
_STARTS = 200
_UNSEEN = "unseen ☃"
#: The most characters of a value in a sentence.
_LONG = 80


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: what it is called.
        ask: gives the answers to canonical rows, `None` for one that it refuses.
    """

    name: str
    ask: Callable[[list[Row]], list[Row | None]]

    def one(self, row: Row) -> Row | None:
        """The answer to one row."""
        return self.ask([row])[0]


@dataclass
class Explanation:
    """What was found.

    Attributes:
        equal: whether both give the same bits for the row, so that there is nothing to explain.
        output: the first output that differs, and what each side gives.
        columns: the columns that both together part the two sides: changed back, they agree.
        place: where, in the first of these columns: `threshold`, `category`, `missing`, `value`, or `rounding` where
            the sides differ by the order of a sum, on this row as on others.
        lines: sentences for people.
    """

    equal: bool
    output: tuple[str, Any, Any] | None = None
    columns: list[str] = field(default_factory=list)
    place: str = ""
    lines: list[str] = field(default_factory=list)


def why(signature: Signature, row: Row, one: Side, other: Side, starts: Sequence[Row]) -> Explanation:
    """Explain why two sides part on a row.

    Args:
        signature: the signature of both.
        row: the canonical row.
        one: a side.
        other: the other.
        starts: canonical rows, of which one on which the sides agree is taken as the start; golden rows, say.
    """
    left, right = one.one(row), other.one(row)
    names = [each.name for each in signature.outputs]
    if _same(left, right, names):
        return Explanation(True, lines=[f"{one.name} and {other.name} give the same bits for this row"])
    output = _first(left, right, names)
    found = Explanation(
        False, output, lines=[f"{output[0] or 'the row'}: {_said(one, output[1])}, {_said(other, output[2])}"]
    )
    asked = list(starts[:_STARTS])
    agreeing = [
        start for start, a, b in zip(asked, one.ask(asked), other.ask(asked), strict=True) if a and _same(a, b, names)
    ]
    gap = _gap(left, right, names)
    if gap <= _ROUNDING:
        found.place = "rounding"
        found.lines.append(
            f"the gap is {gap:.1e}, another order of a sum or another exp; so it is for "
            f"{len(asked) - len(agreeing)} of {len(asked)} golden rows: no column or threshold parts them"
        )
        return found
    if not agreeing:
        found.lines.append(f"they agree on none of {len(asked)} golden rows: the difference lies in no single column")
        return found
    _Search(signature, row, one, other, names).explain(found, agreeing, asked)
    return found


@dataclass
class _Place:
    """Where in a column the sides begin to part.

    Attributes:
        column: the column.
        kind: as `Explanation.place`.
        lines: sentences for people.
        shared: whether both sides have a threshold there, so that it only leads to where they part.
    """

    column: Field
    kind: str
    lines: list[str]
    shared: bool = False


@dataclass
class _Search:
    """Looks for the columns of a row that part two sides, and for where in them."""

    signature: Signature
    row: Row
    one: Side
    other: Side
    names: list[str]

    def explain(self, found: Explanation, agreeing: Sequence[Row], asked: Sequence[Row]) -> None:
        """Fill in the columns and the place."""
        start = min(agreeing, key=self._far)
        needed = self._needed(start)
        found.columns = [each.name for each in needed]
        before = {**self.row, **{each.name: start[each.name] for each in needed}}
        column = needed[-1]
        # All other columns are as in the row: only this one still has the value with which both agree.
        near = {**self.row, column.name: start[column.name]} if len(needed) > 1 else before
        listed = ", ".join(found.columns)
        found.lines.append(f"with the values of a golden row in {listed} they agree" if needed else "")
        if self._part(near):
            return
        place = self._within(column, start[column.name], self.row[column.name])
        if place.shared and (better := self._elsewhere(column, asked)):
            place = better
            found.columns = [place.column.name]
            found.lines[-1] = f"with another value in {place.column.name} they agree"
        found.place = place.kind
        found.lines += place.lines

    def _far(self, start: Row) -> tuple[int, int]:
        """How far a start is from the row: first the columns between whose values there is no way to halve."""
        changed = self._changed(start)
        return sum(not (_plain(start[each.name]) and _plain(self.row[each.name])) for each in changed), len(changed)

    def _changed(self, start: Row) -> list[Field]:
        return [each for each in self.signature.inputs if not same_bits(start[each.name], self.row[each.name])]

    def _part(self, row: Row) -> bool:
        return not _same(self.one.one(row), self.other.one(row), self.names)

    def _needed(self, start: Row) -> list[Field]:
        """A smallest set of columns whose values are needed for the two to part: none of them can be left out."""
        kept = dict(self.row)
        needed = []
        for each in self._changed(start):
            without = {**kept, each.name: start[each.name]}
            if self._part(without):
                kept = without
            else:
                needed.append(each)
        self.row = kept
        return needed

    def _elsewhere(self, passed: Field, asked: Sequence[Row]) -> _Place | None:
        """A column in which only one of the sides has a threshold where they begin to part, or a category."""
        for column in self.signature.inputs:
            here = self.row[column.name]
            others = {repr(start[column.name]): start[column.name] for start in asked}.values()
            values = [] if column.name == passed.name else [each for each in others if not same_bits(each, here)]
            rows: list[Row] = [{**self.row, column.name: each} for each in values]
            answers = zip(values, self.one.ask(rows), self.other.ask(rows), strict=True) if rows else ()
            agreed = [value for value, left, right in answers if left and _same(left, right, self.names)]
            for value in _nearest(agreed, here):
                place = self._within(column, value, here)
                if not place.shared:
                    return place
        return None

    def _within(self, column: Field, agreed: Any, parted: Any) -> _Place:
        """Where between two values of one column the sides begin to part."""
        if agreed is None or parted is None:
            gone = "missing" if parted is None else "there"
            said = f"{column.name}: they part where it is {gone} ({shorten(agreed)} becomes {shorten(parted)})"
            return _Place(column, "missing", [said])
        if column.shape or column.dtype not in (*FLOATS, *INTEGERS):
            return self._category(column, agreed, parted)
        if not (math.isfinite(agreed) and math.isfinite(parted)):
            return _Place(column, "value", [f"{column.name}: they agree at {agreed!r} and part at {parted!r}"])
        return self._threshold(column, agreed, parted)

    def _category(self, column: Field, agreed: Any, parted: Any) -> _Place:
        kind = "category" if column.dtype in ("string", "bool") else "value"
        lines = [f"{column.name}: they agree at {shorten(agreed)} and part at {shorten(parted)}"]
        if column.dtype == "string" and (column.categories is None or column.open):
            for side in (self.one, self.other):
                unseen = side.one({**self.row, column.name: _UNSEEN})
                if unseen is not None and _same(unseen, side.one(self.row), self.names):
                    lines.append(f"{side.name} answers {shorten(parted)} as it answers a category that it never saw")
        return _Place(column, kind, lines)

    def _threshold(self, column: Field, agreed: Any, parted: Any) -> _Place:
        """Halve until two neighbours are left: floats that follow each other, or integers."""
        while (middle := _between(agreed, parted, column)) is not None:
            if self._part({**self.row, column.name: middle}):
                parted = middle
            else:
                agreed = middle
        lines = [f"{column.name}: they agree at {_shown(agreed)} and part at {_shown(parted)}, the next value"]
        changes = {}
        for side, twin in ((self.one, self.other), (self.other, self.one)):
            before, after = (side.one({**self.row, column.name: value}) for value in (agreed, parted))
            if _same(before, after, self.names):
                lines.append(f"{side.name} gives the same on both sides of it")
            else:
                lines.append(f"{side.name} changes there: it has a threshold between the two")
                changes[twin] = after
        if len(changes) > 1:
            return _Place(column, "threshold", lines, shared=True)
        for twin, after in changes.items():
            theirs = self._same_step(twin, column, agreed, parted, after)
            if theirs is not None:
                lines.append(f"{twin.name} has that step at {_shown(theirs)}{_as_float32(theirs, agreed, parted)}")
        return _Place(column, "threshold", lines)

    def _same_step(self, side: Side, column: Field, agreed: Any, parted: Any, after: Row | None) -> Any:
        """The first value further along for which the other side gives what this one gives already; or `None`."""
        least, most = INTEGERS.get(column.dtype, (-sys.float_info.max, sys.float_info.max))
        low, step = parted, abs(parted - agreed) or 5e-324
        for _ in range(1100):
            high = parted + step if parted > agreed else parted - step
            if not least <= high <= most:
                return None
            if _same(side.one({**self.row, column.name: high}), after, self.names):
                break
            low, step = high, step * 2
        else:
            return None
        while (middle := _between(low, high, column)) is not None:
            if _same(side.one({**self.row, column.name: middle}), after, self.names):
                high = middle
            else:
                low = middle
        return high


def _between(low: Any, high: Any, column: Field) -> Any:
    """A value between two others; `None` where there is none."""
    if column.dtype in INTEGERS:
        middle: Any = (low + high) // 2
        return None if middle in (low, high) else middle
    middle = low + (high - low) / 2 if math.isfinite(high - low) else low / 2 + high / 2
    if column.dtype == "float32":
        middle = _float32(middle)
    return None if middle in (low, high) else middle


def _nearest(values: Sequence[Any], here: Any) -> list[Any]:
    """Of numbers the nearest one below and above; of other values the first."""
    if not values or not all(isinstance(each, int | float) and _plain(each) for each in (*values, here)):
        return list(values[:1])
    below, above = [each for each in values if each < here], [each for each in values if each > here]
    return [*([max(below)] if below else []), *([min(above)] if above else [])]


def _plain(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _float32(value: float) -> float:
    try:
        found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return found


def _as_float32(theirs: float, agreed: float, parted: float) -> str:
    """What rounding to float32 has to do with two thresholds that are not the same."""
    if theirs in (agreed, parted) or not isinstance(theirs, float):
        return ""
    if _float32(theirs) == _float32(parted) or _float32(theirs) == _float32(agreed):
        return ", which is the same number as a float32: one of the two rounds its inputs or thresholds to float32"
    return ""


def _shown(value: Any) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else repr(value)


def _said(side: Side, value: Any) -> str:
    if value is None:
        return f"{side.name} refuses it"
    text = _shown(value)
    return f"{side.name} gives {text if len(text) <= _LONG else f'{text[:_LONG]}…'}"


def _same(left: Row | None, right: Row | None, names: Sequence[str]) -> bool:
    if left is None or right is None:
        return left is right
    return all(same_bits(left[name], right[name]) for name in names)


def _first(left: Row | None, right: Row | None, names: Sequence[str]) -> tuple[str, Any, Any]:
    """The first output that differs, and its two values; a side that refuses the row has none."""
    if left is None or right is None:
        return ("", left and dict(left), right and dict(right))
    name = next(name for name in names if not same_bits(left[name], right[name]))
    return (name, left[name], right[name])


def _gap(left: Row | None, right: Row | None, names: Sequence[str]) -> float:
    if left is None or right is None:
        return math.inf
    return max(relative_gap(left[name], right[name]) for name in names)
