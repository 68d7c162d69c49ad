"""Make the candidates of the tournament: every engine that could run a model, or the reason why it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fourfold.errors import FourfoldError
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.onnx_conversion import onnx_candidate
from fourfold.runtimes.code import public_names
from fourfold.runtimes.engine import Prepared
from fourfold.signature import Signature

__all__ = ["make_candidates", "no_plan_reason"]

#: The runtimes of whose models plans are made.
PLANNED_RUNTIMES = ("sklearn", "lightgbm", "xgboost", "catboost")


def no_plan_reason(runtime: str) -> str:
    """Return why no plan is made of a model of a runtime, whatever the model; empty where one is tried."""
    return "" if runtime in PLANNED_RUNTIMES else f"plans are not made of models of the {runtime} runtime"


def make_candidates(model: Any, prepared: Prepared, signature: Signature, *, convert: bool) -> list[Candidate]:
    """Make the candidates beside the original, those first that are expected to be faster.

    Args:
        model: the model, as its owner trained it.
        prepared: the same, as files and settings of its own runtime.
        signature: the package's signature.
        convert: whether the model is converted for other libraries' engines too, which takes seconds.
    """
    candidates = [_plan_candidate(model, prepared, signature)]
    if convert and prepared.runtime == "sklearn":
        plan = candidates[0]
        unknown = ("no plan covers it, so how the original computes is not known",)
        converted = onnx_candidate(model, prepared, signature, plan.approximations if plan.engine else unknown)
        candidates.append(replace(converted, unbounded_reason=plan.unbounded_reason))
    # A model that came with its own code has classes in modules whose names are another in every process.
    return [replace(candidate, absence_reason=public_names(candidate.absence_reason)) for candidate in candidates]


def _plan_candidate(model: Any, prepared: Prepared, signature: Signature) -> Candidate:
    if reason := no_plan_reason(prepared.runtime):
        return Candidate("plan", absence_reason=reason)
    from fourfold.plan.compile.columns import NoPlan
    from fourfold.plan.compile.model import compile_model
    from fourfold.runtimes.plan import PlanEngine, prepare_plan

    try:
        form, methods = prepared.settings["form"], _methods(prepared)
        compiled = compile_model(
            model, form, signature.inputs, methods, signature.outputs, _given_labels(prepared, model)
        )
        engine = PlanEngine(compiled.plan, signature)
    except NoPlan as error:
        return Candidate("plan", absence_reason=str(error))
    except FourfoldError as error:
        return Candidate("plan", absence_reason=f"the plan is refused: {error}")
    except MemoryError:
        return Candidate("plan", absence_reason="the plan does not fit into memory")
    # Rules read private attributes of other libraries' objects: a version that keeps them otherwise ends no packing.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return Candidate("plan", absence_reason=f"it cannot be compiled to a plan: {type(error).__name__}: {error}")
    files = prepare_plan(compiled.plan, prepared)
    return Candidate("plan", files, engine, compiled.approximations, compiled.unbounded)


def _given_labels(prepared: Prepared, model: Any) -> list[Any] | None:
    """Return the labels that the caller gave to the classes of a booster; `None` for a model that knows its own."""
    if type(model).__name__ != "Booster" or "classes" not in prepared.settings:
        return None
    labels: list[Any] = prepared.settings["classes"]["values"]
    return labels


def _methods(prepared: Prepared) -> list[tuple[str, int | None]]:
    """Return the model's methods that give the outputs, each with its number of targets where it has several."""
    methods = prepared.settings.get("methods")
    if methods is not None:
        return [(method["name"], method["targets"]) for method in methods]
    # Boosters, and the estimators of their libraries: the runtime of a classifier gives both.
    return [(name, None) for name in ("predict", "predict_proba")[: len(prepared.outputs)]]
