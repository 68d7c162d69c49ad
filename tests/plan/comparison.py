"""A model beside its plan: the same rows through both, compared to the bit; what tests of rules are made of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fourfold import runtimes, tables
from fourfold.function import Function, without_numeric_warnings
from fourfold.packing.engines.comparison import Answers, Comparison, compare_answers, output_scales, try_rows
from fourfold.packing.samples.decision_boundaries import boundary_rows
from fourfold.packing.samples.edge_cases import edge_cases
from fourfold.plan.compile.model import Compiled, compile_model
from fourfold.runtimes.plan import PlanEngine
from fourfold.signature import Signature
from fourfold.signature.columns import columns_to_rows

ROWS = 400


def compiled(model: Any, sample: Any, methods: Sequence[str] | None = None) -> tuple[Compiled, Signature, Any]:
    """The plan of a model, its signature, and the original's engine, as a package would give it back."""
    module: Any = runtimes.by_model(model)
    options = {} if methods is None else {"methods": methods}
    ready = module.prepare(model, sample, **options)
    signature = Signature(ready.inputs, ready.outputs)
    engine = runtimes.load(ready.runtime, ready.settings, ready.files.__getitem__, signature, trust="code")
    asked = [(each["name"], each["targets"]) for each in ready.settings.get("methods", ())]
    asked = asked or [(name, None) for name in ("predict", "predict_proba")[: len(ready.outputs)]]
    return compile_model(model, ready.settings["form"], ready.inputs, asked, ready.outputs), signature, engine


def proof(
    model: Any, sample: Any, methods: Sequence[str] | None = None, *, boundaries: bool | None = None
) -> Comparison:
    """How far the plan of a model is from the model, on its sample, on edge cases and on its boundaries.

    Args:
        model: the fitted model.
        sample: rows as it was trained with them.
        methods: what it answers with; the runtime's choice otherwise.
        boundaries: whether rows on the model's boundaries count, where the last bit decides; left out, they do where
            the plan must be exact.
    """
    return _compare(compiled(model, sample, methods), sample, boundaries)


def _compare(parts: tuple[Compiled, Signature, Any], sample: Any, boundaries: bool | None = None) -> Comparison:
    """Compare a model with its plan, given what `compiled` returned."""
    plan, signature, engine = parts
    if boundaries is None:
        boundaries = not plan.approximations
    if isinstance(sample, list) and isinstance(sample[0], str):
        rows: list[Any] = [{signature.inputs[0].name: text} for text in sample[:ROWS]]
    else:
        taken = tables.take(sample, range(min(ROWS, tables.length(sample))))
        batch, errors = tables.read(taken, signature.inputs, "ignore")
        assert not errors, errors[0]
        rows = batch if isinstance(batch, list) else columns_to_rows(signature.inputs, batch)
    return proof_of(plan.plan, signature, engine, rows, boundaries=boundaries)


def proof_of(plan: bytes, signature: Signature, engine: Any, rows: list[Any], *, boundaries: bool) -> Comparison:
    """The same, of a plan that is there already, and canonical rows."""
    original, other = Function(signature, engine, None), Function(signature, PlanEngine(plan, signature), None)
    with without_numeric_warnings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain: Answers = try_rows(original, rows)
        extra = edge_cases(signature, rows) + (boundary_rows(original, rows) if boundaries else [])
        expected = plain + try_rows(original, extra)
        got = try_rows(other, [*rows, *extra])
    assert sum(each is not None for each in expected) > len(rows) // 2, "the original refuses most rows"
    _alone(other, rows[:20], got)
    return compare_answers(signature, expected, got, output_scales(signature, plain))


def _alone(function: Function, rows: list[Any], together: Answers) -> None:
    """Check that rows alone have the answers that they have in company."""
    alone = [each for row in rows for each in try_rows(function, [row])]
    assert repr(alone) == repr(together[: len(rows)])


def assert_exact(model: Any, sample: Any, methods: Sequence[str] | None = None) -> None:
    """Check that a model's plan claims to be exact, and is."""
    parts = compiled(model, sample, methods)
    assert parts[0].approximations == ()
    comparison = _compare(parts, sample)
    assert comparison.exact, comparison


def assert_close(model: Any, sample: Any, methods: Sequence[str] | None = None, *, ulp: float = 64) -> None:
    """Check that a model's plan says that it is not exact, and is within some units in the last place."""
    parts = compiled(model, sample, methods)
    assert parts[0].approximations
    comparison = _compare(parts, sample)
    assert comparison.ulp <= ulp, comparison
