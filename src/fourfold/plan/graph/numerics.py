"""What values of a plan are made of."""

from __future__ import annotations

from collections.abc import Sequence

from fourfold.plan.format import MathFunction, Operation
from fourfold.plan.graph.steps import Bag, Number, Step

__all__ = ["is_rounded", "origins", "passes_single"]

#: Steps whose last bits the order of their operations decides.
_SUMS = {
    Operation.DOT,
    Operation.FOLD,
    Operation.DISTANCES,
    Operation.NEAREST,
    Operation.COUPLE,
    Operation.BAG_DOT,
    Operation.BAG_FOLD,
}

#: Functions whose last bits a library or a processor decides.
_ELEMENTARY = {
    MathFunction.EXP,
    MathFunction.EXPM1,
    MathFunction.LOG,
    MathFunction.LOG1P,
    MathFunction.LOG2,
    MathFunction.LOG10,
    MathFunction.TANH,
    MathFunction.SIGMOID,
    MathFunction.SIN,
    MathFunction.COS,
    MathFunction.NDTR,
    MathFunction.NDTRI,
    MathFunction.CBRT,
    MathFunction.POW,
}


def origins(values: Sequence[Number | Bag]) -> set[Step]:
    """The steps that values are computed by, but for those whose values are only looked up or compared."""
    met: set[Step] = set()
    due = [each.step for each in values]
    while due:
        step = due.pop()
        if step not in met:
            met.add(step)
            due += [each.step for each in step.uses[step.compared :] if isinstance(each, Number | Bag)]
    return met


def is_rounded(value: Number) -> bool:
    """Whether a number is made of sums or elementary functions, whose last bits a library may have otherwise."""
    return any(step.operation in _SUMS or step.function in _ELEMENTARY for step in origins([value]))


def passes_single(values: Sequence[Number]) -> bool:
    """Whether values are made of float32 ones whose last bits a library or a processor decides.

    Sums one by one (`Operation.FOLD`) have an order, where they are rounded to float32.
    """
    uses = [each for step in origins(values) if step.function is MathFunction.ROUND32 for each in step.uses]
    return any(
        step.function in _ELEMENTARY or step.operation in _SUMS - {Operation.FOLD, Operation.BAG_FOLD}
        for step in origins([each for each in uses if isinstance(each, Number | Bag)])
    )
