"""Find the steps that a value is computed from, and whether a library or a processor decides its last bits."""

from __future__ import annotations

from collections.abc import Sequence

from fourfold.plan.format import MathFunction, Operation
from fourfold.plan.graph.steps import Bag, Number, Step

__all__ = ["ELEMENTARY_FUNCTIONS", "is_rounded", "origins", "rests_on_rounded_float32"]

#: Operations whose last bits depend on the order of their additions.
_SUMS = {
    Operation.DOT,
    Operation.FOLD,
    Operation.DISTANCES,
    Operation.NEAREST,
    Operation.COUPLE,
    Operation.BAG_DOT,
    Operation.BAG_FOLD,
}

#: Functions whose last bits depend on the library or the processor that computes them.
ELEMENTARY_FUNCTIONS = {
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
    """Return the steps that values are computed from, without those whose values are only looked up or compared."""
    reached: set[Step] = set()
    stack = [value.step for value in values]
    while stack:
        step = stack.pop()
        if step not in reached:
            reached.add(step)
            stack += [value.step for value in step.uses[step.compared :] if isinstance(value, Number | Bag)]
    return reached


def is_rounded(value: Number) -> bool:
    """Return whether a number is computed by sums or elementary functions, so that a library's last bits may differ."""
    return any(step.operation in _SUMS or step.function in ELEMENTARY_FUNCTIONS for step in origins([value]))


def rests_on_rounded_float32(values: Sequence[Number]) -> bool:
    """Return whether values are computed from float32 numbers whose last bits a library or a processor decides.

    Sums of one number after the other (`Operation.FOLD`, `Operation.BAG_FOLD`) have a defined order, and do not count.
    """
    rounded = [value for step in origins(values) if step.function is MathFunction.ROUND32 for value in step.uses]
    return any(
        step.function in ELEMENTARY_FUNCTIONS or step.operation in _SUMS - {Operation.FOLD, Operation.BAG_FOLD}
        for step in origins([value for value in rounded if isinstance(value, Number | Bag)])
    )
