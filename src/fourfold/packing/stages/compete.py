"""Let every engine that could run the model compete with the original engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from fourfold.errors import PackError
from fourfold.function import Function
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.candidates import make_candidates
from fourfold.packing.engines.comparison import Comparison, accepted_rows
from fourfold.packing.engines.invariance import BLOCKS, Finding, best_finding, find_block
from fourfold.packing.engines.reference import Reference
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.packing.engines.tournament import TournamentEntry, run_tournament
from fourfold.packing.samples.packing_rows import PackingRows
from fourfold.packing.stages.prepare import OriginalModel
from fourfold.signature import Signature

__all__ = ["TournamentResult", "compete"]


@dataclass(frozen=True)
class TournamentResult:
    """Hold the tournament's table, and what else a package is built from.

    Attributes:
        name: the model's name.
        signature: the package's signature.
        rows: the rows that engines were compared on.
        tolerance: how far answers may be from the original's.
        findings: the findings of the invariance test about the original engine.
        entries: the tournament's table, the original engine last.
        reference: the original's answers, in the block that it needs.
        whole: the original's answers in calls of any size, as its owner calls it.
    """

    name: str
    signature: Signature
    rows: PackingRows
    tolerance: Tolerance
    findings: Sequence[Finding]
    entries: Sequence[TournamentEntry]
    reference: Reference
    whole: Reference

    @property
    def original_is_invariant(self) -> bool:
        """Return whether the original answers a row the same among any other rows, within the tolerance."""
        return self.findings[-1].invariant or best_finding(self.findings).largest_gap <= self.tolerance.max_gap

    def distance(self, entry: TournamentEntry) -> Comparison:
        """Return how far an engine's answers to the packing rows are from those of one call of the model with all."""
        if entry is self.entries[-1]:
            return self.whole.compare_blocks(self.reference)
        return self.whole.compare_packing_rows(entry.candidate.function(self.signature))

    def check_original(self) -> None:
        """Raise `PackError` where the original is not invariant: it cannot be packed."""
        if self.original_is_invariant:
            return
        tried = "; ".join(_describe_finding(finding) for finding in self.findings)
        raise PackError(
            f"the answers of {self.name} for a row depend on the rows that are answered with it, in calls of every "
            f"size that was tried ({tried}). A package must answer a row alike, whatever comes with it. If you accept "
            "such differences, name the largest: accept='rtol:X' (--accept rtol:X)"
        )


def _describe_finding(finding: Finding) -> str:
    """Return in words how many rows had other bits in calls of one size, and by how much."""
    size = "calls of any size" if finding.block is None else f"calls of {finding.block} rows"
    distance = (
        f"by up to {finding.largest_gap:.3g}" if isfinite(finding.largest_gap) else "in a label or a missing value"
    )
    return f"{size}: {finding.differing} of {finding.rows} rows differ, {distance}"


def compete(
    original: OriginalModel,
    rows: PackingRows,
    tolerance: Tolerance,
    blocks: Sequence[int | None],
    engine: str = "auto",
    *,
    measure: bool,
) -> TournamentResult:
    """Find the block that the original engine needs, and compare every other engine with it.

    Args:
        original: the model, prepared.
        rows: the rows to compare on.
        tolerance: how far answers may be from the original's.
        blocks: the blocks to try for the original engine, in order.
        engine: the engine that the package shall have, as in `pack`.
        measure: whether engines are measured: the model is converted for other libraries' engines too, which takes
            seconds. An engine of a name of its own is made in any case.

    Raises:
        PackError: the engine that the package shall have does not take the model.
    """
    signature = original.signature
    # First, since a model that an engine does not take needs no proof.
    convert = measure or engine not in ("auto", "original", "plan")
    candidates = make_candidates(original.model, original.prepared, signature, convert=convert)
    absent = next((candidate for candidate in candidates if candidate.name == engine and not candidate.engine), None)
    if absent is not None:
        raise PackError(f"the engine {engine} does not hold this model: {absent.absence_reason}")
    accepted = accepted_rows(original.function(), [*rows.edge_cases, *rows.boundaries])
    findings = find_block(original.function, _append_rows(rows.table, accepted, signature), blocks)
    in_blocks = original.function(best_finding(findings).block)
    others = [_find_candidate_block(candidate, signature, rows) for candidate in candidates]
    original_candidate = Candidate(original.prepared.runtime, original.prepared, original.engine)
    reference = Reference(signature, in_blocks, rows)
    whole = reference if in_blocks.block is None else Reference(signature, original.function(), rows)
    entries = [
        *run_tournament(signature, reference, others, tolerance),
        TournamentEntry(original_candidate, "original"),
    ]
    return TournamentResult(original.name, signature, rows, tolerance, findings, entries, reference, whole)


def _find_candidate_block(candidate: Candidate, signature: Signature, rows: PackingRows) -> Candidate:
    """Return a candidate with the findings of the invariance test; a plan computes each row alone and needs none."""
    engine = candidate.engine
    if engine is None or candidate.name == "plan":
        return candidate
    accepted = accepted_rows(Function(signature, engine, None), [*rows.plain, *rows.edge_cases])
    if not accepted:  # the comparison will report it
        return candidate
    findings = find_block(lambda block: Function(signature, engine, block), accepted, (None, *BLOCKS))
    return replace(candidate, findings=tuple(findings))


def _append_rows(table: Any, rows: list[dict[str, Any]], signature: Signature) -> Any:
    """Return a table with rows appended, in the form of the table: rows or columns."""
    if isinstance(table, list):
        return table + rows
    import pyarrow as pa

    from fourfold.signature.columns import rows_to_columns

    more = rows_to_columns(signature.inputs, rows)
    return pa.concat_batches([table, pa.RecordBatch.from_arrays(more.columns, schema=table.schema)])
