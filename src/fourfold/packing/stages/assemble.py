"""Assemble the package of one engine: its block, golden rows and manifest."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from fourfold import __version__
from fourfold.errors import PackError
from fourfold.function import Function
from fourfold.package import FORMAT, Package
from fourfold.package.golden import GOLDEN_FILE, GoldenRows, encode_golden
from fourfold.package.names import check_file_names
from fourfold.packing.engines.comparison import accepted_rows
from fourfold.packing.engines.invariance import Finding, best_finding, find_block
from fourfold.packing.engines.tournament import TournamentEntry
from fourfold.packing.samples.edge_cases import spread_indices
from fourfold.packing.stages.compete import TournamentResult

__all__ = ["GOLDEN_TOLERANCE", "assemble"]

#: The packing rows, beside the edge cases, that become golden rows.
MAX_GOLDEN_ROWS = 24
#: The relative gap that golden rows may have on another host where the engine rests on BLAS, whose last bits belong to
#: the processor (docs/decisions/0004). Elsewhere none is allowed.
GOLDEN_TOLERANCE = 1e-9


def assemble(
    result: TournamentResult,
    entry: TournamentEntry,
    provenance: Mapping[str, str] | None = None,
    *,
    is_measured: bool = False,
) -> Package:
    """Assemble the package of one engine that took part.

    Args:
        result: the result of the tournament.
        entry: the engine.
        provenance: where the model comes from.
        is_measured: whether the package is only measured: it says nothing of the distance from the model, to find which
            takes an answer to every packing row.

    Raises:
        PackError: its answers are not the outputs that the caller expects, or a file of the model has a name that
            cannot stand in a folder of every system.
    """
    prepared, engine = entry.candidate.prepared, entry.candidate.engine
    original = result.entries[-1].candidate.prepared
    assert prepared is not None
    assert original is not None
    assert engine is not None
    rows, signature = result.rows, result.signature
    findings = _findings(result, entry)
    finding = best_finding(findings)
    function = Function(signature, engine, finding.block)
    inputs = [rows.plain[index] for index in spread_indices(len(rows.plain), MAX_GOLDEN_ROWS)]
    inputs += accepted_rows(function, rows.edge_cases)
    golden = GoldenRows(inputs, function(inputs))
    is_free = finding.invariant and finding.block is None
    is_portable = is_free and not _rests_on_a_blas(result, entry)
    tolerance = 0 if is_portable else max(GOLDEN_TOLERANCE, result.tolerance.max_gap)
    manifest: dict[str, Any] = {
        "fourfold": FORMAT,
        "name": result.name,
        "signature": signature.to_json(),
        "decisions": original.decisions,
        "runtime": {
            "name": prepared.runtime,
            "settings": prepared.settings,
            "requires": prepared.requires,
            "libraries": prepared.libraries,
            **({"distributions": prepared.distributions} if prepared.distributions else {}),
        },
        "exactness": {
            "exact": finding.invariant,
            "block": finding.block,
            "rows": finding.rows,
            "tested": [tested.to_json() for tested in findings],
            "accepted": result.tolerance.text,
            **({} if is_measured else {"original": result.distance(entry).to_json()}),
            **({} if rows.expected is None else {"expected": rows.expected.check(function)}),
        },
        "engines": [other.to_json(chosen=other.candidate is entry.candidate) for other in result.entries],
        "golden": {"file": GOLDEN_FILE, "rows": len(golden.inputs), "tolerance": tolerance},
        "provenance": {
            "fourfold": __version__,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            **{str(key): str(value) for key, value in (provenance or {}).items()},
        },
    }
    files = {**prepared.files, GOLDEN_FILE: encode_golden(golden, signature)}
    try:
        check_file_names(files)
    except ValueError as error:
        raise PackError(f"the package cannot hold {error}; give the file another name") from None
    return Package.build(manifest, files)


def _rests_on_a_blas(result: TournamentResult, entry: TournamentEntry) -> bool:
    """Return whether a processor may decide about the last bits of an engine that answers a row by itself.

    scikit-learn's own engine does, unless the plan of the same model shows that arithmetic defines every bit.
    """
    assert entry.candidate.prepared is not None
    if entry.candidate.prepared.runtime != "sklearn":
        return False
    plans = [other.candidate for other in result.entries if other.candidate.name == "plan"]
    return not any(plan.engine is not None and not plan.approximations for plan in plans)


def _findings(result: TournamentResult, entry: TournamentEntry) -> list[Finding]:
    """Return the findings of the invariance test about an engine; a plan is tested only here, when it is packed."""
    engine = entry.candidate.engine
    if entry.candidate.name != "plan" or engine is None:
        return list(entry.candidate.findings or result.findings)
    # This checks the plan and searches no block: a plan computes each row alone.
    plan = Function(result.signature, engine, None)
    rows = [*result.rows.plain, *accepted_rows(plan, result.rows.edge_cases)]
    return find_block(lambda _: plan, rows, (None,))
