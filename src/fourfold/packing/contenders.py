"""The engines that could run a model: what each of them is, and why one is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fourfold import runtimes
from fourfold.errors import FourfoldError
from fourfold.function import Function
from fourfold.packing.invariance import Finding, best
from fourfold.runtimes.engine import Engine, Prepared
from fourfold.signature import Signature

__all__ = ["Contender", "contenders", "original"]


@dataclass(frozen=True)
class Contender:
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


def original(prepared: Prepared, signature: Signature) -> tuple[Contender, Engine]:
    """The engine that the model was made with, and the same loaded."""
    # The model came from the caller's own hands, so its code runs here already.
    engine = runtimes.load(prepared.runtime, prepared.settings, prepared.files.__getitem__, signature, trust=True)
    return Contender(prepared.runtime, prepared, engine), engine


def contenders(model: Any, prepared: Prepared, signature: Signature, *, everything: bool) -> list[Contender]:
    """The other engines, in the order in which they are expected to be fast.

    Args:
        model: the model, as it was trained.
        prepared: the same, made ready by its own runtime.
        signature: the package's.
        everything: whether the model is converted for other libraries' engines too, which takes seconds.
    """
    plan = _plan(model, prepared, signature)
    if not everything or prepared.runtime != "sklearn":
        return [plan]
    from fourfold.packing.conversion import onnx

    unknown = ("no rule knows how the original computes",)
    converted = onnx(model, prepared, signature, plan.approximations if plan.engine else unknown)
    return [plan, replace(converted, unbounded=plan.unbounded)]


def _plan(model: Any, prepared: Prepared, signature: Signature) -> Contender:
    if prepared.runtime not in ("sklearn", "lightgbm", "xgboost", "catboost"):
        return Contender("plan", absent=f"plans are not made of models of the {prepared.runtime} runtime")
    from fourfold.plan.compile.columns import NoPlan
    from fourfold.plan.compile.model import compile_model
    from fourfold.runtimes.plan import PlanEngine
    from fourfold.runtimes.plan import prepared as as_plan

    try:
        made = compile_model(model, prepared.settings["form"], signature.inputs, _methods(prepared), signature.outputs)
        engine = PlanEngine(made.plan, signature)
    except NoPlan as error:
        return Contender("plan", absent=str(error))
    except FourfoldError as error:
        return Contender("plan", absent=f"the plan is refused: {error}")
    except MemoryError:
        return Contender("plan", absent="the plan does not fit into memory")
    # A rule reads the insides of another library's object: a version that keeps them otherwise ends no packing.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return Contender("plan", absent=f"a rule failed: {type(error).__name__}: {error}")
    return Contender("plan", as_plan(made.plan, prepared), engine, made.approximations, made.unbounded)


def _methods(prepared: Prepared) -> list[tuple[str, int | None]]:
    listed = prepared.settings.get("methods")
    if listed is not None:
        return [(each["name"], each["targets"]) for each in listed]
    # Boosters, and the estimators of their libraries: a classifier's runtime gives both.
    return [(name, None) for name in ("predict", "predict_proba")[: len(prepared.outputs)]]
