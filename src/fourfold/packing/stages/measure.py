"""Measure every engine that could be chosen: assemble its package, and run it in a process of its own."""

from __future__ import annotations

from dataclasses import replace

from fourfold.packing.engines.benchmark import benchmark_engine
from fourfold.packing.engines.tournament import TournamentEntry
from fourfold.packing.stages.assemble import assemble
from fourfold.packing.stages.compete import TournamentResult

__all__ = ["measure_engines"]


def measure_engines(result: TournamentResult) -> TournamentResult:
    """Return the result with the figures of every engine that could be chosen.

    Raises:
        PackError: an engine does not start, or takes too long.
    """
    return replace(result, entries=[_measure_entry(result, entry) for entry in result.entries])


def _measure_entry(result: TournamentResult, entry: TournamentEntry) -> TournamentEntry:
    if not entry.can_be_chosen or (entry.verdict == "original" and not result.original_is_invariant):
        return entry
    assert entry.candidate.prepared is not None
    size = sum(map(len, entry.candidate.prepared.files.values()))
    return replace(
        entry, figures=benchmark_engine(assemble(result, entry, is_measured=True), size, result.rows.benchmark)
    )
