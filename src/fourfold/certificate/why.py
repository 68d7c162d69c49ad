"""Explain why two engines, or two doors, differ on a row: the column, the threshold or category, and the step.

Both sides are only asked for answers, so this works for any two engines. Starting from a row on which they agree,
columns are changed to the values of the row on which they differ. If the column that makes the difference is a number,
the interval between its two values is halved until two neighbouring floats are left. Where one side is a scikit-learn
pipeline and the other its plan, the outputs of the steps are compared too (`pipeline_steps.py`).
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
#: Two orders of summation can differ by a relative gap of this size.
_MAX_ROUNDING_GAP = 1e-11
#: The most golden rows that are tried as a start: a row on which both sides agree.
_MAX_STARTS = 200
_UNSEEN_CATEGORY = "unseen ☃"
#: The most characters of a value in a sentence.
_MAX_VALUE_CHARACTERS = 80
#: The most times that a step is doubled: 2**-52, the step between floats near 1, then exceeds float64's range.
_MAX_DOUBLINGS = 1100


@dataclass(frozen=True)
class Side:
    """Ask one of the two engines or doors for answers.

    Attributes:
        name: its name in sentences.
        ask: returns the answers to canonical rows, `None` for a row that it refuses.
    """

    name: str
    ask: Callable[[list[Row]], list[Row | None]]

    def ask_one(self, row: Row) -> Row | None:
        """Return the answer to one row."""
        return self.ask([row])[0]


@dataclass
class Explanation:
    """Describe where two sides differ.

    Attributes:
        equal: whether both give the same bits for the row, so that there is nothing to explain.
        output: the first output that differs, and its value on each side.
        columns: the smallest set of columns that makes the difference: with other values in all of them, both agree.
        kind: what makes the difference in the first of these columns: `threshold`, `category`, `missing`, `value`, or
            `rounding` where the sides differ as two orders of summation do, on this row as on others.
        lines: sentences for people.
    """

    equal: bool
    output: tuple[str, Any, Any] | None = None
    columns: list[str] = field(default_factory=list)
    kind: str = ""
    lines: list[str] = field(default_factory=list)


def why(signature: Signature, row: Row, one: Side, other: Side, starts: Sequence[Row]) -> Explanation:
    """Explain why two sides differ on a row.

    Args:
        signature: the signature of both.
        row: the canonical row.
        one: a side.
        other: the other side.
        starts: canonical rows, such as golden rows; the search starts from one on which the sides agree.
    """
    left, right = one.ask_one(row), other.ask_one(row)
    names = [output.name for output in signature.outputs]
    if _is_same(left, right, names):
        return Explanation(True, lines=[f"{one.name} and {other.name} give the same bits for this row"])
    output = _first_difference(left, right, names)
    values = f"{_value_sentence(one, output[1])}, {_value_sentence(other, output[2])}"
    explanation = Explanation(False, output, lines=[f"{output[0] or 'the row'}: {values}"])
    starts = list(starts[:_MAX_STARTS])
    answers = zip(starts, one.ask(starts), other.ask(starts), strict=True)
    agreeing = [start for start, a, b in answers if a and _is_same(a, b, names)]
    gap = _gap(left, right, names)
    if gap <= _MAX_ROUNDING_GAP:
        explanation.kind = "rounding"
        explanation.lines.append(
            f"the gap is {gap:.1e}, another order of a sum or another exp; so it is for "
            f"{len(starts) - len(agreeing)} of {len(starts)} golden rows: it lies in no single column or threshold"
        )
        return explanation
    if not agreeing:
        explanation.lines.append(
            f"they agree on none of {len(starts)} golden rows: the difference lies in no single column"
        )
        return explanation
    _Search(signature, row, one, other, names).explain(explanation, agreeing, starts)
    return explanation


@dataclass
class _Divergence:
    """Describe where the sides begin to differ, between two values of a column.

    Attributes:
        column: the column.
        kind: the same as in `Explanation`.
        lines: sentences for people.
        is_shared: whether both sides have a threshold there, which then is not the cause of the difference.
    """

    column: Field
    kind: str
    lines: list[str]
    is_shared: bool = False


@dataclass
class _Search:
    """Search the columns of a row that make two sides differ, and the values between which they do."""

    signature: Signature
    row: Row
    one: Side
    other: Side
    names: list[str]

    def explain(self, explanation: Explanation, agreeing: Sequence[Row], starts: Sequence[Row]) -> None:
        """Complete an explanation: its columns, its kind and its sentences.

        Args:
            explanation: is changed.
            agreeing: the start rows on which both sides agree.
            starts: all start rows.
        """
        start = min(agreeing, key=self._distance)
        needed = self._smallest_difference(start)
        explanation.columns = [column.name for column in needed]
        before = {**self.row, **{column.name: start[column.name] for column in needed}}
        last = needed[-1]
        # All columns but the last one are as in the row, and the sides should still agree.
        near = {**self.row, last.name: start[last.name]} if len(needed) > 1 else before
        listed = ", ".join(explanation.columns)
        explanation.lines.append(f"with the values of a golden row in {listed} they agree" if needed else "")
        if self._differs(near):
            return
        divergence = self._locate(last, start[last.name], self.row[last.name])
        if divergence.is_shared and (better := self._search_other_columns(last, starts)):
            divergence = better
            explanation.columns = [divergence.column.name]
            explanation.lines[-1] = f"with another value in {divergence.column.name} they agree"
        explanation.kind = divergence.kind
        explanation.lines += divergence.lines

    def _distance(self, start: Row) -> tuple[int, int]:
        """Return the number of columns that differ from the row: those that cannot be halved first, then all."""
        changed = self._changed(start)
        unordered = [
            column for column in changed if not (_is_finite(start[column.name]) and _is_finite(self.row[column.name]))
        ]
        return len(unordered), len(changed)

    def _changed(self, start: Row) -> list[Field]:
        inputs = self.signature.inputs
        return [column for column in inputs if not same_bits(start[column.name], self.row[column.name])]

    def _differs(self, row: Row) -> bool:
        return not _is_same(self.one.ask_one(row), self.other.ask_one(row), self.names)

    def _smallest_difference(self, start: Row) -> list[Field]:
        """Return a smallest set of columns that makes the sides differ; reset all others in `self.row` to the start."""
        row = dict(self.row)
        needed = []
        for column in self._changed(start):
            without = {**row, column.name: start[column.name]}
            if self._differs(without):
                row = without
            else:
                needed.append(column)
        self.row = row
        return needed

    def _search_other_columns(self, searched: Field, starts: Sequence[Row]) -> _Divergence | None:
        """Return a category, or a threshold that only one side has, in another column than `searched`."""
        for column in self.signature.inputs:
            if column.name == searched.name:
                continue
            current = self.row[column.name]
            candidates = {repr(start[column.name]): start[column.name] for start in starts}.values()
            values = [value for value in candidates if not same_bits(value, current)]
            rows: list[Row] = [{**self.row, column.name: value} for value in values]
            answers = zip(values, self.one.ask(rows), self.other.ask(rows), strict=True) if rows else ()
            agreeing = [value for value, left, right in answers if left and _is_same(left, right, self.names)]
            for value in _nearest(agreeing, current):
                divergence = self._locate(column, value, current)
                if not divergence.is_shared:
                    return divergence
        return None

    def _locate(self, column: Field, agreed: Any, differed: Any) -> _Divergence:
        """Describe where the sides begin to differ, between a value that both agree on and one that they do not."""
        if agreed is None or differed is None:
            presence = "missing" if differed is None else "there"
            line = f"{column.name}: they differ where it is {presence} ({shorten(agreed)} becomes {shorten(differed)})"
            return _Divergence(column, "missing", [line])
        if column.shape or column.dtype not in (*FLOATS, *INTEGERS):
            return self._describe_category(column, agreed, differed)
        if not (math.isfinite(agreed) and math.isfinite(differed)):
            return _Divergence(column, "value", [f"{column.name}: they agree at {agreed!r} and differ at {differed!r}"])
        return self._find_threshold(column, agreed, differed)

    def _describe_category(self, column: Field, agreed: Any, differed: Any) -> _Divergence:
        kind = "category" if column.dtype in ("string", "bool") else "value"
        lines = [f"{column.name}: they agree at {shorten(agreed)} and differ at {shorten(differed)}"]
        if column.dtype == "string" and (column.categories is None or column.open):
            for side in (self.one, self.other):
                unseen = side.ask_one({**self.row, column.name: _UNSEEN_CATEGORY})
                if unseen is not None and _is_same(unseen, side.ask_one(self.row), self.names):
                    lines.append(f"{side.name} answers {shorten(differed)} as it answers a category that it never saw")
        return _Divergence(column, kind, lines)

    def _find_threshold(self, column: Field, agreed: Any, differed: Any) -> _Divergence:
        """Halve the interval until its ends are neighbours: consecutive floats, or integers."""
        while (middle := _between(agreed, differed, column)) is not None:
            if self._differs({**self.row, column.name: middle}):
                differed = middle
            else:
                agreed = middle
        lines = [
            f"{column.name}: they agree at {_value_text(agreed)} and differ at {_value_text(differed)}, the next value"
        ]
        # For each side that has a threshold here: the opposite side, and the answer beyond the threshold.
        jumps: list[tuple[Side, Row | None]] = []
        for side, opposite in ((self.one, self.other), (self.other, self.one)):
            before, after = (side.ask_one({**self.row, column.name: value}) for value in (agreed, differed))
            if _is_same(before, after, self.names):
                lines.append(f"{side.name} gives the same on both sides of it")
            else:
                lines.append(f"{side.name} changes there: it has a threshold between the two")
                jumps.append((opposite, after))
        if len(jumps) > 1:
            return _Divergence(column, "threshold", lines, is_shared=True)
        for opposite, after in jumps:
            value = self._same_threshold(opposite, column, agreed, differed, after)
            if value is not None:
                rounding = _float32_sentence(value, agreed, differed)
                lines.append(f"{opposite.name} has that step at {_value_text(value)}{rounding}")
        return _Divergence(column, "threshold", lines)

    def _same_threshold(self, side: Side, column: Field, agreed: Any, differed: Any, after: Row | None) -> Any:
        """Return the first value beyond `differed` at which the side gives the answer `after`, or `None`."""
        smallest, largest = INTEGERS.get(column.dtype, (-sys.float_info.max, sys.float_info.max))
        low, step = differed, abs(differed - agreed) or 5e-324
        for _ in range(_MAX_DOUBLINGS):
            high = differed + step if differed > agreed else differed - step
            if not smallest <= high <= largest:
                return None
            if _is_same(side.ask_one({**self.row, column.name: high}), after, self.names):
                break
            low, step = high, step * 2
        else:
            return None
        while (middle := _between(low, high, column)) is not None:
            if _is_same(side.ask_one({**self.row, column.name: middle}), after, self.names):
                high = middle
            else:
                low = middle
        return high


def _between(low: Any, high: Any, column: Field) -> Any:
    """Return a value between two others; `None` where there is none."""
    if column.dtype in INTEGERS:
        middle: Any = (low + high) // 2
        return None if middle in (low, high) else middle
    middle = low + (high - low) / 2 if math.isfinite(high - low) else low / 2 + high / 2
    if column.dtype == "float32":
        middle = _float32(middle)
    return None if middle in (low, high) else middle


def _nearest(values: Sequence[Any], current: Any) -> list[Any]:
    """Return the nearest number below `here` and the nearest above; of values that are no numbers, the first."""
    if not values or not all(isinstance(value, int | float) and _is_finite(value) for value in (*values, current)):
        return list(values[:1])
    below, above = [value for value in values if value < current], [value for value in values if value > current]
    return [*([max(below)] if below else []), *([min(above)] if above else [])]


def _is_finite(value: Any) -> bool:
    """Return whether a value is neither missing nor NaN nor infinite."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _float32(value: float) -> float:
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded


def _float32_sentence(threshold: float, agreed: float, differed: float) -> str:
    """Say that two different thresholds are the same number as float32, or nothing."""
    if threshold in (agreed, differed) or not isinstance(threshold, float):
        return ""
    if _float32(threshold) == _float32(differed) or _float32(threshold) == _float32(agreed):
        return ", which is the same number as a float32: one of the two rounds its inputs or thresholds to float32"
    return ""


def _value_text(value: Any) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else repr(value)


def _value_sentence(side: Side, value: Any) -> str:
    if value is None:
        return f"{side.name} refuses it"
    text = _value_text(value)
    if len(text) > _MAX_VALUE_CHARACTERS:
        text = f"{text[:_MAX_VALUE_CHARACTERS]}…"
    return f"{side.name} gives {text}"


def _is_same(left: Row | None, right: Row | None, names: Sequence[str]) -> bool:
    if left is None or right is None:
        return left is right
    return all(same_bits(left[name], right[name]) for name in names)


def _first_difference(left: Row | None, right: Row | None, names: Sequence[str]) -> tuple[str, Any, Any]:
    """Return the first output that differs, and its two values; `""` and the rows where a side refuses the row."""
    if left is None or right is None:
        return ("", left and dict(left), right and dict(right))
    name = next(name for name in names if not same_bits(left[name], right[name]))
    return (name, left[name], right[name])


def _gap(left: Row | None, right: Row | None, names: Sequence[str]) -> float:
    if left is None or right is None:
        return math.inf
    return max(relative_gap(left[name], right[name]) for name in names)
