"""Compare an engine with the original: the same rows through both, and every bit of their answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.errors import EngineError
from fourfold.function import Function, as_rows, slice_rows
from fourfold.signature import Field, Signature
from fourfold.signature.bits import Difference, same_bits

__all__ = [
    "RELATIVE_ULP",
    "Answers",
    "Comparison",
    "Scales",
    "accepted_rows",
    "compare_answers",
    "join_comparisons",
    "output_scales",
    "try_rows",
]

Row = dict[str, Any]
#: The answer to each row; `None` for a row that the engine refuses.
Answers = list[Row | None]
#: The scale of each element of each float output, by the output's name.
Scales = dict[str, list[float]]
#: One unit in the last place, relative to the number.
RELATIVE_ULP = {"float32": 2.0**-23, "float64": 2.0**-52}


@dataclass(frozen=True)
class Comparison:
    """Hold how far an engine's answers are from the original's.

    Attributes:
        rows: the number of rows compared.
        differing: the number of rows with other bits, or with an answer from one engine only.
        ulps: the largest distance of two values in units in the last place, by the dtype of the outputs that differ.
            The unit is that of the largest of the two values and the output's scale: where two numbers nearly cancel,
            few digits of the rest are right in any engine. Infinite where anything but finite floats differs.
        largest: the first of the largest differences; errors show it.
        example: the row of the largest difference, where it is known.
    """

    rows: int
    differing: int
    ulps: dict[str, float]
    largest: Difference | None
    example: Row | None = None

    @property
    def exact(self) -> bool:
        """Return whether every row has the same bits."""
        return not self.differing

    @property
    def ulp(self) -> float:
        """Return the largest distance, in units in the last place of the output's own dtype."""
        return max(self.ulps.values(), default=0.0)

    @property
    def gap(self) -> float:
        """Return the largest distance, relative to the values or to the output's scale."""
        return max((distance * RELATIVE_ULP.get(dtype, 1.0) for dtype, distance in self.ulps.items()), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values, for the manifest: `ulp` and `gap` where a row differs."""
        counts: dict[str, Any] = {"rows": self.rows, "differing": self.differing}
        if not self.differing:
            return counts
        return counts | {"ulp": _json_number(self.ulp), "gap": _json_number(self.gap)}


def join_comparisons(comparisons: Sequence[Comparison]) -> Comparison:
    """Return comparisons of different rows as one; that of no rows where there are none."""
    if not comparisons:
        return Comparison(0, 0, {}, None)
    ulps: dict[str, float] = {}
    for comparison in comparisons:
        for dtype, distance in comparison.ulps.items():
            ulps[dtype] = max(ulps.get(dtype, 0.0), distance)
    worst = max(comparisons, key=lambda comparison: comparison.ulp)
    rows, differing = (sum(getattr(part, name) for part in comparisons) for name in ("rows", "differing"))
    return Comparison(rows, differing, ulps, worst.largest, worst.example)


def try_rows(function: Function, rows: Sequence[Row]) -> Answers:
    """Return the answer to every row, `None` where the engine refuses it: found by halving."""
    answers: Answers = [None] * len(rows)
    table = function.as_taken(list(rows))
    stack = [(0, len(rows))]
    while stack:
        start, stop = stack.pop()
        if start == stop:
            continue
        try:
            answers[start:stop] = as_rows(function.signature.outputs, function(slice_rows(table, start, stop)))
        except EngineError:
            if stop - start > 1:
                middle = (start + stop) // 2
                stack += [(start, middle), (middle, stop)]
    return answers


def accepted_rows(function: Function, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that the engine answers: a scaler, for example, rightly refuses an infinity."""
    answers = try_rows(function, rows)
    return [row for row, answer in zip(rows, answers, strict=True) if answer is not None]


def output_scales(signature: Signature, answers: Answers) -> Scales:
    """Return the largest finite magnitude of each element of each float output among answers."""
    scales = {}
    for field in signature.outputs:
        if field.dtype in RELATIVE_ULP:
            rows = [_elements(row[field.name]) for row in answers if row is not None]
            scales[field.name] = [
                max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
                for values in zip(*rows, strict=True)
            ]
    return scales


def compare_answers(signature: Signature, expected: Answers, got: Answers, scales: Scales) -> Comparison:
    """Compare the answers of two engines to the same rows.

    Args:
        signature: the signature of both.
        expected: the original's answers.
        got: the other engine's answers, as many.
        scales: the result of `output_scales` for the original's answers to plain rows.
    """
    differing = 0
    ulps: dict[str, float] = {}
    largest: Difference | None = None
    largest_ulps = 0.0
    for row, (left, right) in enumerate(zip(expected, got, strict=True)):
        differing_before = differing
        if left is None or right is None:
            if left is not right:
                differing += 1
                ulps["refusal"] = math.inf
                if largest_ulps < math.inf:
                    largest = Difference(row, "", left or "a refusal", right or "a refusal")
                    largest_ulps = math.inf
            continue
        for field in signature.outputs:
            left_value, right_value = left[field.name], right[field.name]
            if same_bits(left_value, right_value):
                continue
            differing = differing_before + 1
            distance = _relative_distance(field, left_value, right_value, scales) / RELATIVE_ULP.get(field.dtype, 1.0)
            if distance > largest_ulps:
                largest, largest_ulps = Difference(row, field.name, left_value, right_value), distance
            ulps[field.dtype] = max(ulps.get(field.dtype, 0.0), distance)
    return Comparison(len(expected), differing, ulps, largest)


def _relative_distance(field: Field, left: Any, right: Any, scales: Scales) -> float:
    """Return the largest distance of two values' elements, relative to the elements or to their scale."""
    if field.dtype not in RELATIVE_ULP:
        return math.inf
    left_elements, right_elements = list(_elements(left)), list(_elements(right))
    element_scales = scales.get(field.name) or [0.0] * len(left_elements)
    largest = 0.0
    for a, b, scale in zip(left_elements, right_elements, element_scales, strict=True):
        if same_bits(a, b):
            continue
        if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
            return math.inf
        size = max(abs(a), abs(b), scale)
        # Zeros of two signs differ, by less than any other two values.
        largest = max(largest, abs(a - b) / size if size else 0.0, RELATIVE_ULP[field.dtype] * 2.0**-60)
    return largest


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity"


def _elements(value: Any) -> Iterator[Any]:
    """Yield the elements of a tensor, or a scalar itself."""
    if isinstance(value, list):
        for item in value:
            yield from _elements(item)
    else:
        yield value
