"""Build the package of the engine that is chosen from the tournament's table."""

from __future__ import annotations

from collections.abc import Mapping

from fourfold.loading import remember_packed
from fourfold.package import Package
from fourfold.packing.engines.benchmark import Shape
from fourfold.packing.engines.tournament import choose
from fourfold.packing.stages.assemble import assemble
from fourfold.packing.stages.compete import TournamentResult
from fourfold.predictor import Predictor

__all__ = ["build"]


def build(
    result: TournamentResult, engine: str, provenance: Mapping[str, str] | None, shape: Shape = "both"
) -> Package:
    """Build the package of the engine that is chosen.

    Args:
        result: the result of the tournament.
        engine: `auto`, `original`, or the engine's name.
        provenance: where the model comes from.
        shape: what the engine is chosen for, where engines were measured.

    Raises:
        PackError: no engine can be packed as asked.
        GoldenMismatch: the engine does not repeat its own answers.
    """
    entry = choose(result.entries, engine, result.check_original, shape)
    package = assemble(result, entry, provenance)
    assert entry.candidate.engine is not None
    # Replays the golden rows as they were written: what cannot be replayed is not packed.
    Predictor(package, entry.candidate.engine)
    remember_packed(package.digest)
    package.figures = {
        measured.candidate.name: measured.figures.to_json()
        for measured in result.entries
        if measured.figures is not None
    }
    return package
