"""Run the tournament: of the engines that could run a model, find the fastest that gives the same answers.

Every engine answers the packing rows and the edge cases, and is compared with the original: bit for bit where these
bits are defined, within a stated bound elsewhere. Nothing is taken on trust: a converter that silently changes answers
is rejected by its answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.function import Function
from fourfold.packing.engines.benchmark import Figures
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.comparison import Answers, Comparison, compare_answers, output_scales, try_rows
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.packing.samples.packing_rows import PackingRows
from fourfold.signature import Signature

__all__ = ["TournamentEntry", "choose", "run_tournament"]

Row = dict[str, Any]


@dataclass(frozen=True)
class TournamentEntry:
    """Hold the result of one engine: a line of the tournament's table.

    Attributes:
        candidate: the engine.
        verdict: `original`; `exact`, or `bound` where its answers are within the tolerance; `rejected`; `absent` where
            it does not take the model.
        why: the reason of a rejection or absence, or what its last bits depend on, even where no row shows it.
        comparison: its answers compared with the original's; `None` for the original and an absent engine.
        figures: its speed and size, where they were measured.
    """

    candidate: Candidate
    verdict: str
    why: str = ""
    comparison: Comparison | None = None
    figures: Figures | None = None

    @property
    def can_be_chosen(self) -> bool:
        """Return whether the verdict lets a package have this engine."""
        return self.verdict in ("original", "exact", "bound")

    def to_json(self, *, chosen: bool) -> dict[str, Any]:
        """Return the entry as JSON values, for the manifest."""
        entry: dict[str, Any] = {"engine": self.candidate.name, "verdict": self.verdict, "chosen": chosen}
        if self.why:
            entry["why"] = self.why
        if self.comparison is not None:
            entry |= {"rows": self.comparison.rows, "differing": self.comparison.differing}
            if self.comparison.differing:
                entry |= {"ulp": _json_number(self.comparison.ulp), "gap": _json_number(self.comparison.gap)}
        if self.figures is not None:
            entry["figures"] = self.figures.to_json()
        return entry


def run_tournament(
    signature: Signature,
    original: Function,
    candidates: Sequence[Candidate],
    rows: PackingRows,
    tolerance: Tolerance,
) -> list[TournamentEntry]:
    """Compare every candidate with the original.

    Args:
        signature: the signature of all.
        original: the original engine, in the block that it needs.
        candidates: the other engines.
        rows: the rows to compare on. Boundary rows count only where bits must be the same.
        tolerance: how far answers may be apart.

    Returns:
        An entry for each candidate, in their order.
    """
    plain_answers = try_rows(original, rows.plain)
    expected = plain_answers + try_rows(original, rows.edge_cases)
    boundary_answers: Answers | None = None
    scales = output_scales(signature, plain_answers)
    entries = []
    for candidate in candidates:
        if candidate.engine is None:
            entries.append(TournamentEntry(candidate, "absent", candidate.absence_reason))
            continue
        if candidate.findings and not candidate.findings[-1].invariant:
            why = "its answer for a row depends on the rows that come along"
            entries.append(TournamentEntry(candidate, "rejected", why))
            continue
        compared_rows, answers = [*rows.plain, *rows.edge_cases], expected
        if tolerance.requires_same_bits(defined=not candidate.approximations):
            if boundary_answers is None:
                boundary_answers = try_rows(original, rows.boundaries)
            compared_rows, answers = [*compared_rows, *rows.boundaries], expected + boundary_answers
        got = try_rows(candidate.function(signature), compared_rows)
        entries.append(_judge(candidate, compare_answers(signature, answers, got, scales), tolerance, compared_rows))
    return entries


def _judge(
    candidate: Candidate, comparison: Comparison, tolerance: Tolerance, compared_rows: Sequence[Row]
) -> TournamentEntry:
    """Return a candidate's entry, with the verdict that its answers deserve; `compared_rows` are the rows of both."""
    if tolerance.kind == "tight" and candidate.unbounded_reason:
        why = (
            f"{candidate.unbounded_reason}; where answers may be a little apart, accept rtol:1e-6, or what you can bear"
        )
        return TournamentEntry(candidate, "rejected", why, comparison)
    if comparison.exact:
        return TournamentEntry(candidate, "exact", "; ".join(candidate.approximations), comparison)
    if tolerance.accepts(comparison, defined=not candidate.approximations):
        why = "; ".join(candidate.approximations) or f"accepted: {tolerance.text}"
        return TournamentEntry(candidate, "bound", why, comparison)
    largest = comparison.largest
    assert largest is not None
    row = shorten(compared_rows[largest.row], 200)
    output = f" {largest.field}" if largest.field else ""
    why = (
        f"{comparison.differing} of {comparison.rows} rows differ; for example {row}: "
        f"expected{output} {shorten(largest.expected, 60)}, got {shorten(largest.got, 60)}"
    )
    return TournamentEntry(candidate, "rejected", why, comparison)


def choose(entries: Sequence[TournamentEntry], engine: str, check_original: Callable[[], None]) -> TournamentEntry:
    """Choose the engine that the package gets: the fastest that was measured, or the first where none was.

    Args:
        entries: the tournament's table, the original last.
        engine: `auto`, `original`, or the engine's name.
        check_original: raises where the original cannot be packed; called where it is chosen.

    Raises:
        PackError: the engine that was asked for does not give the same answers, or no engine does.
    """
    if engine not in ("auto", "original"):
        named = next((entry for entry in entries if entry.candidate.name == engine), None)
        if named is None:
            names = ", ".join(entry.candidate.name for entry in entries)
            raise PackError(f"expected an engine of auto, original, {names}; got {shorten(engine)}")
        if not named.can_be_chosen:
            raise PackError(f"the engine {engine} does not hold this model: {named.why}")
        choice = named
    elif engine == "original":
        choice = entries[-1]
    else:
        eligible = [entry for entry in entries if entry.can_be_chosen]
        timed = [entry for entry in eligible if entry.figures is not None]
        choice = (
            min(timed, key=lambda entry: entry.figures.cost if entry.figures else math.inf) if timed else eligible[0]
        )
    if choice is entries[-1]:
        check_original()
    return choice


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity"
