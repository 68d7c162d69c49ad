"""Make the candidates of the tournament: every engine that could run a model, or the reason why it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fourfold.errors import FourfoldError
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.onnx_conversion import onnx
from fourfold.runtimes.engine import Prepared
from fourfold.signature import Signature

__all__ = ["candidates"]


def candidates(model: Any, prepared: Prepared, signature: Signature, *, everything: bool) -> list[Candidate]:
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
    unknown = ("no rule knows how the original computes",)
    converted = onnx(model, prepared, signature, plan.approximations if plan.engine else unknown)
    return [plan, replace(converted, unbounded=plan.unbounded)]


def _plan(model: Any, prepared: Prepared, signature: Signature) -> Candidate:
    if prepared.runtime not in ("sklearn", "lightgbm", "xgboost", "catboost"):
        return Candidate("plan", absent=f"plans are not made of models of the {prepared.runtime} runtime")
    from fourfold.plan.compile.columns import NoPlan
    from fourfold.plan.compile.model import compile_model
    from fourfold.runtimes.plan import PlanEngine
    from fourfold.runtimes.plan import prepared as as_plan

    try:
        made = compile_model(model, prepared.settings["form"], signature.inputs, _methods(prepared), signature.outputs)
        engine = PlanEngine(made.plan, signature)
    except NoPlan as error:
        return Candidate("plan", absent=str(error))
    except FourfoldError as error:
        return Candidate("plan", absent=f"the plan is refused: {error}")
    except MemoryError:
        return Candidate("plan", absent="the plan does not fit into memory")
    # A rule reads the insides of another library's object: a version that keeps them otherwise ends no packing.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return Candidate("plan", absent=f"a rule failed: {type(error).__name__}: {error}")
    return Candidate("plan", as_plan(made.plan, prepared), engine, made.approximations, made.unbounded)


def _methods(prepared: Prepared) -> list[tuple[str, int | None]]:
    listed = prepared.settings.get("methods")
    if listed is not None:
        return [(each["name"], each["targets"]) for each in listed]
    # Boosters, and the estimators of their libraries: a classifier's runtime gives both.
    return [(name, None) for name in ("predict", "predict_proba")[: len(prepared.outputs)]]
