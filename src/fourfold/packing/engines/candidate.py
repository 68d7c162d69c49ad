"""Define a candidate: an engine that could run a model."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.function import Function
from fourfold.packing.engines.invariance import Finding, best_finding
from fourfold.runtimes.engine import Engine, Prepared
from fourfold.signature import Signature

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """Hold an engine that could run a model, or the reason why it cannot.

    Attributes:
        name: the engine's name in the tournament's table.
        prepared: the model as files and settings of the engine's runtime, where the engine takes the model.
        engine: the loaded engine.
        approximations: the reasons, as far as this engine knows, why arithmetic does not define the original's last
            bits; where there are none, its answers must have the original's bits.
        unbounded_reason: why the rows that were tried do not limit how far its answers to other rows may be from the
            original's.
        absence_reason: why the engine does not take the model.
        findings: the findings of the invariance test, where the engine's answers may depend on other rows.
    """

    name: str
    prepared: Prepared | None = None
    engine: Engine | None = None
    approximations: tuple[str, ...] = ()
    unbounded_reason: str = ""
    absence_reason: str = ""
    findings: tuple[Finding, ...] = ()

    def function(self, signature: Signature) -> Function:
        """Return the engine as a function, in the block that it needs."""
        assert self.engine is not None
        return Function(signature, self.engine, best_finding(self.findings).block if self.findings else None)
