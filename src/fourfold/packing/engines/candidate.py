"""A candidate of the tournament: an engine that could run a model."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.function import Function
from fourfold.packing.engines.invariance import Finding, best
from fourfold.runtimes.engine import Engine, Prepared
from fourfold.signature import Signature

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """An engine that could run a model.

    Attributes:
        name: what the tournament calls it.
        prepared: the model in its form, where it takes the model.
        engine: the engine, loaded.
        approximations: why the original's last bits are not defined by its arithmetic, as far as this engine knows;
            where there is no reason, its answers must be the original's to the bit.
        unbounded: why rows that were tried say nothing of how far its answers to others may be from the original's.
        absent: why it does not take the model.
        findings: of an engine whose answers may depend on the rows that come along, what the invariance test found.
    """

    name: str
    prepared: Prepared | None = None
    engine: Engine | None = None
    approximations: tuple[str, ...] = ()
    unbounded: str = ""
    absent: str = ""
    findings: tuple[Finding, ...] = ()

    def function(self, signature: Signature) -> Function:
        """The engine as a function, in the block that it needs."""
        assert self.engine is not None
        return Function(signature, self.engine, best(self.findings).block if self.findings else None)
