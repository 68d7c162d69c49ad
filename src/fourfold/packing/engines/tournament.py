"""Run the tournament: of the engines that could run a model, find the fastest that gives the same answers.

Every engine answers every packing row, the edge cases and rows of larger numbers, and is compared with the original:
bit for bit where these bits are defined, within a stated bound elsewhere. Nothing is taken on trust: a converter that
silently changes answers is rejected by its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.function import Function
from fourfold.package.manifest import ACCEPTED_VERDICTS
from fourfold.packing.engines.benchmark import CLEARLY_FASTER, Figures, Shape
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.comparison import Comparison, join_comparisons
from fourfold.packing.engines.reference import Reference
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.signature import Signature

__all__ = ["TournamentEntry", "choose", "run_tournament"]


@dataclass(frozen=True)
class TournamentEntry:
    """Hold the result of one engine: a line of the tournament's table.

    Attributes:
        candidate: the engine.
        verdict: `original`; `exact` where arithmetic defines every bit, and no bit differed; `equal` where no bit
            differed in the rows that were compared; `bound` where its answers are within the tolerance; `rejected`;
            `absent` where it does not take the model.
        why: the reason of a rejection or absence, or what its last bits depend on, even where no row shows it.
        comparison: its answers compared with the original's; `None` for the original and an absent engine.
        scaled: the same for packing rows whose numbers are multiplied, by the factor; empty where these rows count as
            all others do, since their bits must be the same.
        figures: its speed and size, where they were measured.
    """

    candidate: Candidate
    verdict: str
    why: str = ""
    comparison: Comparison | None = None
    scaled: Mapping[int, Comparison] = field(default_factory=dict)
    figures: Figures | None = None

    @property
    def can_be_chosen(self) -> bool:
        """Return whether the verdict lets a package have this engine."""
        return self.verdict == "original" or self.verdict in ACCEPTED_VERDICTS

    def to_json(self, *, chosen: bool) -> dict[str, Any]:
        """Return the entry as JSON values, for the manifest."""
        entry: dict[str, Any] = {"engine": self.candidate.name, "verdict": self.verdict, "chosen": chosen}
        if self.why:
            entry["why"] = self.why
        if self.comparison is not None:
            entry |= self.comparison.to_json()
        if self.scaled:
            entry["scaled"] = [{"factor": factor, **comparison.to_json()} for factor, comparison in self.scaled.items()]
        return entry


def run_tournament(
    signature: Signature, reference: Reference, candidates: Sequence[Candidate], tolerance: Tolerance
) -> list[TournamentEntry]:
    """Compare every candidate with the original.

    Args:
        signature: the signature of all.
        reference: the original's answers.
        candidates: the other engines.
        tolerance: how far answers may be apart.

    Returns:
        An entry for each candidate, in their order.
    """
    return [
        _judge(candidate, candidate.function(signature), reference, tolerance, _trained_in_float32(signature))
        if candidate.engine is not None
        else TournamentEntry(candidate, "absent", candidate.absence_reason)
        for candidate in candidates
    ]


def _trained_in_float32(signature: Signature) -> bool:
    """Return whether all floats that the model takes are float32."""
    return {field.dtype for field in signature.inputs if field.dtype in ("float32", "float64")} == {"float32"}


def _judge(
    candidate: Candidate, function: Function, reference: Reference, tolerance: Tolerance, trained_in_float32: bool
) -> TournamentEntry:
    """Return a candidate's entry, with the verdict that its answers deserve.

    What a model of float32 rows computes has their precision, in whatever dtype it is given.
    """
    if candidate.findings and not candidate.findings[-1].invariant:
        return TournamentEntry(candidate, "rejected", "its answer for a row depends on the rows that come along")
    is_defined = not candidate.approximations
    must_be_same = tolerance.requires_same_bits(defined=is_defined)
    # Boundary rows count only where bits must be the same.
    comparison = reference.compare_sample(function, with_boundaries=must_be_same)
    in_float32 = bool(candidate.unbounded_reason) and trained_in_float32
    if tolerance.kind == "tight" and candidate.unbounded_reason and not in_float32:
        why = f"{candidate.unbounded_reason}; where answers may be a little apart, pack with accept=rtol:1e-6 or more"
        return TournamentEntry(candidate, "rejected", why, comparison)
    scaled: dict[int, Comparison] = {}
    # The sample decides first: what it rejects is not asked about a million rows.
    if tolerance.accepts(comparison, defined=is_defined, in_float32=in_float32):
        comparison = join_comparisons([comparison, reference.compare_others(function)])
        scaled = reference.compare_scaled(function)
        if must_be_same:
            comparison = join_comparisons([comparison, *scaled.values()])
            scaled = {}
    if not tolerance.accepts(comparison, defined=is_defined, in_float32=in_float32):
        return TournamentEntry(candidate, "rejected", _first_difference(comparison), comparison)
    reasons = "; ".join([*candidate.approximations, *([candidate.unbounded_reason] if in_float32 else [])])
    if not comparison.exact:
        return TournamentEntry(candidate, "bound", reasons or f"accepted: {tolerance.text}", comparison, scaled)
    # Of an engine of another library nobody says how it computes: its bits were equal, and may be others elsewhere.
    verdict = "exact" if is_defined and candidate.name == "plan" else "equal"
    return TournamentEntry(candidate, verdict, reasons, comparison, scaled)


def _first_difference(comparison: Comparison) -> str:
    """Return how many rows differ, and the one that differs most, as a sentence."""
    largest = comparison.largest
    assert largest is not None
    output = f" {largest.field}" if largest.field else ""
    return (
        f"{comparison.differing} of {comparison.rows} rows differ; for example {shorten(comparison.example, 200)}: "
        f"expected{output} {shorten(largest.expected, 60)}, got {shorten(largest.got, 60)}"
    )


def choose(
    entries: Sequence[TournamentEntry], engine: str, check_original: Callable[[], None], shape: Shape = "both"
) -> TournamentEntry:
    """Choose the engine that the package gets: the first, unless another was measured and is clearly faster.

    Args:
        entries: the tournament's table, the original last.
        engine: `auto`, `original`, or the engine's name.
        check_original: raises where the original cannot be packed; called where it is chosen.
        shape: what the engine is chosen for.

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
        choice = _fastest([entry for entry in entries if entry.can_be_chosen], shape)
    if choice is entries[-1]:
        check_original()
    return choice


def _fastest(entries: Sequence[TournamentEntry], shape: Shape) -> TournamentEntry:
    """Return the first engine that was measured, or one that is clearly faster; the first where none was measured.

    Measuring again gives other figures, and must not give another package.
    """
    costs = {index: entry.figures.cost(shape) for index, entry in enumerate(entries) if entry.figures is not None}
    if not costs:
        return entries[0]
    first, best = next(iter(costs)), min(costs, key=costs.__getitem__)
    return entries[best if costs[best] * CLEARLY_FASTER < costs[first] else first]
