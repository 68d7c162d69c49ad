"""Say what a manifest holds, in words: for the command line and for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fourfold.errors import counted, printable, shorten
from fourfold.signature import Field

__all__ = [
    "MAX_FINDINGS",
    "engine_name",
    "exactness_line",
    "expected_line",
    "field_cells",
    "figure_cells",
    "finding_line",
    "number",
    "origin_line",
    "original_line",
    "verdict_line",
]

#: The most findings of the invariance test, or of larger numbers, that are said.
MAX_FINDINGS = 100
# Larger integers are cut short: nothing that is counted has as many.
_MAX_INTEGER = 10**18
_MAX_NUMBER_CHARACTERS = 24
_TINY_ULP = 0.01


def engine_name(entry: Any) -> str:
    """Return the name of an engine of a manifest, and whether it was chosen."""
    return f"{entry['engine']} (chosen)" if entry["chosen"] else str(entry["engine"])


def verdict_line(entry: Any) -> str:
    """Return the verdict of a manifest on one engine, as a sentence."""
    why = entry.get("why", "")
    rows = number(entry.get("rows", "?"), "")
    match entry["verdict"]:
        case "original":
            return "the original: what the others are compared with"
        case "exact":
            return f"the same bits in any row: arithmetic defines them; compared in {rows}"
        case "equal":
            elsewhere = f"; elsewhere the last may differ: {why}" if why else "; elsewhere nothing is known"
            return f"the same bits in {rows} rows{_scaled(entry)}{elsewhere}"
        case "bound":
            return f"{_distance(entry)}{_scaled(entry)}: {why}"
        case "absent":
            return f"cannot run this model: {why}"
        case _:
            return f"rejected: {why}"


def _distance(comparison: Any) -> str:
    """Return what a comparison found, as a sentence."""
    rows, differing = number(comparison.get("rows", "?"), ""), comparison.get("differing", "?")
    if differing == 0:
        return f"the same bits in {rows} rows"
    gap = number(comparison.get("gap", "?"), ".2g")
    return f"{number(differing, '')} of {rows} rows differ, by up to {_ulps(comparison.get('ulp', '?'))} ({gap})"


def _scaled(entry: Any) -> str:
    """Return how far answers to rows of larger numbers are apart, as the rest of a sentence."""
    scaled = entry.get("scaled", [])
    words = []
    for comparison in scaled[:MAX_FINDINGS]:
        ulp = comparison.get("ulp", 0)
        distance = "no bound" if ulp == "Infinity" else _ulps(ulp)
        words.append(f"{distance} at {number(comparison['factor'], '')} times their numbers")
    return f", {' and '.join(words)}" if words else ""


def _ulps(ulp: object) -> str:
    # Zeros of two signs, and numbers far below what is usual, are almost no distance.
    is_tiny = isinstance(ulp, float) and 0 < ulp < _TINY_ULP
    return f"less than {_TINY_ULP} ulp" if is_tiny else f"{number(ulp, '.2g')} ulp"


def number(value: object, form: str, factor: float = 1) -> str:
    """Return a number that a manifest holds as text, or whatever stands there instead of one, cut short.

    JSON has integers of thousands of digits, which no float holds.
    """
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < _MAX_INTEGER):
        return format(value if factor == 1 else value * factor, form)
    return value if isinstance(value, str) and len(value) <= _MAX_NUMBER_CHARACTERS else shorten(value, 24)


def field_cells(field: Field) -> tuple[str, str, str, str]:
    """Return the cells of a table for a field: its name, its dtype, whether it may be missing, and notes."""
    shape = f" {list(field.shape)}" if field.shape else ""
    notes = [field.description] if field.description else []
    if field.categories is not None:
        kind = "open" if field.open else "closed"
        number_of_them = counted(len(field.categories), "category", "categories")
        notes.append(f"{number_of_them} ({kind}): {_first_of(field.categories)}")
    if field.zone:
        notes.append(f"in {field.zone}")
    if field.labels:
        notes.append(f"of {_first_of(field.labels)}")
    return field.name, field.dtype + shape, "may be" if field.nullable else "no", "; ".join(notes)


def origin_line(origins: Mapping[str, str]) -> str:
    """Return where the properties of an input come from, in words; a dtype that is not named is from the rows."""
    parts = [f"dtype: {origins['dtype']}"] if origins.get("dtype", "the rows") != "the rows" else []
    parts += [f"missing: {origins['nullable']}"] if "nullable" in origins else []
    parts += [f"categories: {origins['categories']}"] if "categories" in origins else []
    return printable("; ".join(parts), 300)


def _first_of(values: tuple[Any, ...], limit: int = 6) -> str:
    text = ", ".join(printable(str(value), 100) for value in values[:limit])
    return text if len(values) <= limit else f"{text}, …"


def exactness_line(exactness: Any) -> str:
    """Return the exactness of a manifest, as a sentence."""
    batching = "in calls of any size" if exactness["block"] is None else f"in blocks of {exactness['block']} rows"
    claim = "the same bits for a row" if exactness["exact"] else f"a row's answer within {exactness['accepted']}"
    return f"{claim}, {batching}; tested on {number(exactness['rows'], '')} rows"


def original_line(comparison: Any) -> str:
    """Return how far a package is from its model, as a sentence."""
    return f"against the model's own answers to all packing rows at once: {_distance(comparison)}"


def expected_line(expected: Any) -> str:
    """Return how the outputs agree with the expected ones, as a sentence."""
    agreement = f"within {expected['largest_gap']:.1e} of them" if expected["largest_gap"] else "the same values"
    rows, rtol = number(expected["rows"], ""), expected["rtol"]
    return f"outputs of the training framework for {rows} rows: {agreement} ({rtol:g} was accepted)"


def finding_line(finding: Any) -> str:
    """Return a finding of the invariance test, as a sentence."""
    if not isinstance(finding, dict):
        return shorten(finding)
    block = "calls of any size" if finding.get("block") is None else f"blocks of {number(finding['block'], '')} rows"
    if finding.get("differing") == 0:
        return f"{block}: the same bits"
    differing, rows = number(finding.get("differing", "?"), ""), number(finding.get("rows", "?"), "")
    gap = finding.get("largest_gap", "?")
    distance = "some in another label or a missing value" if gap == "Infinity" else f"by up to {number(gap, '.1e')}"
    return f"{block}: {differing} of {rows} rows differ, {distance}"


def figure_cells(figures: Mapping[str, float]) -> tuple[str, ...]:
    """Return the cells of a table for what was measured: one row, rows a second, start-up, memory and size."""
    one_row = figures["one_row"]
    return (
        f"{one_row * 1e6:,.3g} µs" if one_row < 1e-3 else f"{one_row * 1e3:,.3g} ms",
        f"{figures['rows_per_second']:,.0f}",
        f"{figures['start_up'] * 1e3:,.0f} ms",
        f"{figures['memory'] / 2**20:,.0f} MB",
        f"{figures['size']:,}",
    )
