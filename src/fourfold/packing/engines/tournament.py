"""The tournament: of the engines that could run a model, the fastest that gives the same answer.

Every engine answers the packing rows and those made to hurt, and is compared with the original: bits where these are
defined, a stated bound elsewhere. Nothing is taken on trust: a converter that says nothing and changes answers is
rejected by its answers.
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
from fourfold.packing.engines.comparison import Proof, answers_of, prove, scales_of
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.packing.samples.packing_rows import PackingRows
from fourfold.signature import Signature

__all__ = ["Entry", "chosen", "hold"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """What the tournament found about one engine: a line of its table.

    Attributes:
        candidate: the engine.
        verdict: `original`; `exact`, or `bound` where its answers are within what is accepted; `rejected`; `absent`
            where it does not take the model.
        why: what it rests on: the reason of a rejection, the cause of a distance, also where no row shows it.
        proof: how its answers compare with the original's; `None` of the original and of an absent one.
        figures: how fast and how large it is, where that was measured.
    """

    candidate: Candidate
    verdict: str
    why: str = ""
    proof: Proof | None = None
    figures: Figures | None = None

    @property
    def takes_part(self) -> bool:
        """Whether it could be chosen."""
        return self.verdict in ("original", "exact", "bound")

    def to_json(self, *, chosen: bool) -> dict[str, Any]:
        """The entry as a manifest has it."""
        out: dict[str, Any] = {"engine": self.candidate.name, "verdict": self.verdict, "chosen": chosen}
        if self.why:
            out["why"] = self.why
        if self.proof is not None:
            out |= {"rows": self.proof.rows, "differing": self.proof.differing}
            if self.proof.differing:
                out |= {"ulp": _number(self.proof.ulp), "gap": _number(self.proof.gap)}
        if self.figures is not None:
            out["figures"] = self.figures.to_json()
        return out


def hold(
    signature: Signature, original: Function, candidates: Sequence[Candidate], rows: PackingRows, accept: Tolerance
) -> list[Entry]:
    """Compare every candidate with the original.

    Args:
        signature: the signature of all.
        original: the function of the original engine, in the block that makes it one.
        candidates: the others.
        rows: what they are compared on.
        accept: how far they may be apart.
    """
    plain = answers_of(original, rows.plain)
    expected = plain + answers_of(original, rows.edge_cases)
    on_boundaries: list[Row | None] | None = None
    scales = scales_of(signature, plain)
    out = []
    for candidate in candidates:
        if candidate.engine is None:
            out.append(Entry(candidate, "absent", candidate.absent))
            continue
        if candidate.findings and not candidate.findings[-1].invariant:
            out.append(Entry(candidate, "rejected", "its answer for a row depends on the rows that come along"))
            continue
        defined = not candidate.approximations
        asked, answers = [*rows.plain, *rows.edge_cases], expected
        if accept.must_be_exact(defined=defined):
            if on_boundaries is None:
                on_boundaries = answers_of(original, rows.boundaries)
            asked, answers = [*asked, *rows.boundaries], expected + on_boundaries
        proof = prove(signature, answers, answers_of(candidate.function(signature), asked), scales)
        out.append(_entry(candidate, proof, accept, asked))
    return out


def _entry(candidate: Candidate, proof: Proof, accept: Tolerance, asked: Sequence[Row]) -> Entry:
    if accept.kind == "tight" and candidate.unbounded:
        why = f"{candidate.unbounded}; where answers may be a little apart, accept rtol:1e-6, or what you can bear"
        return Entry(candidate, "rejected", why, proof)
    if proof.exact:
        return Entry(candidate, "exact", "; ".join(candidate.approximations), proof)
    if accept.holds(proof, defined=not candidate.approximations):
        why = "; ".join(candidate.approximations) or f"accepted: {accept.text}"
        return Entry(candidate, "bound", why, proof)
    first = proof.first
    assert first is not None
    output = f" {first.field}" if first.field else ""
    why = (
        f"{proof.differing} of {proof.rows} rows differ; for example {shorten(asked[first.row], 200)}: "
        f"expected{output} {shorten(first.expected, 60)}, got {shorten(first.got, 60)}"
    )
    return Entry(candidate, "rejected", why, proof)


def chosen(entries: Sequence[Entry], engine: str, why_not_original: Callable[[], None]) -> Entry:
    """The engine that the package gets: the fastest that was measured, or the first where nothing was.

    Args:
        entries: the original's last.
        engine: `auto`, `original`, or the name of the one that it shall be.
        why_not_original: raises where the original cannot be packed.

    Raises:
        PackError: the engine that was asked for does not give the same answer, or no engine does.
    """
    if engine not in ("auto", "original"):
        named = next((entry for entry in entries if entry.candidate.name == engine), None)
        if named is None:
            names = ", ".join(entry.candidate.name for entry in entries)
            raise PackError(f"expected an engine of auto, original, {names}; got {shorten(engine)}")
        if not named.takes_part:
            raise PackError(f"the engine {engine} does not hold this model: {named.why}")
        found = named
    elif engine == "original":
        found = entries[-1]
    else:
        able = [entry for entry in entries if entry.takes_part]
        timed = [entry for entry in able if entry.figures is not None]
        found = min(timed, key=lambda entry: entry.figures.cost if entry.figures else math.inf) if timed else able[0]
    if found is entries[-1]:
        why_not_original()
    return found


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity"
