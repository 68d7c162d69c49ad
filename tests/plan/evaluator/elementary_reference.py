"""Elementary functions to about sixty digits, by Python's integers and decimals: what the evaluator's are held to."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile.columns import elementary
from fourfold.plan.format import MathFunction

DIGITS = 60
_CONTEXT = decimal.Context(prec=DIGITS, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
#: For sums that lose digits: an argument beside 1, and a tail of the normal distribution as a difference.
_WIDE = decimal.Context(prec=3 * DIGITS, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


@cache
def pi(digits: int) -> Decimal:
    """Pi, by J. Machin's formula in integers."""
    one = 10 ** (digits + 10)

    def arctangent_of_inverse(of: int) -> int:
        term = one // of
        total, place = term, 1
        while term:
            term //= -of * of
            place += 2
            total += term // place
        return total

    # written out, since Decimal's own shift of the point would round to the context's digits
    return Decimal(f"{4 * (4 * arctangent_of_inverse(5) - arctangent_of_inverse(239))}e{-digits - 10}")


def _taylor(first: Decimal, ratio: Callable[[int], Decimal]) -> Decimal:
    """A sum whose term n + 1 is `ratio(n)` times term n, until a term no longer shows."""
    total = term = first
    n = 1
    while term and term.adjusted() > total.adjusted() - decimal.getcontext().prec - 2:
        term *= ratio(n)
        total += term
        n += 1
    return total


def _expm1(x: Decimal) -> Decimal:
    return _taylor(x, lambda n: x / (n + 1)) if abs(x) < 1 else x.exp() - 1


def _log1p(x: Decimal) -> Decimal:
    if abs(x) > Decimal("1e-30"):
        with decimal.localcontext(_WIDE):
            return (1 + x).ln()
    return x - x * x / 2


def _tanh(x: Decimal) -> Decimal:
    grown = _expm1(-2 * abs(x))
    return (-grown / (2 + grown)).copy_sign(x)


def _turned(x: Decimal, quarters: int) -> Decimal:
    """The sine of x and so many quarter turns."""
    digits = max(x.adjusted(), 0) + 2 * DIGITS
    with decimal.localcontext(decimal.Context(prec=digits)):
        quarter = pi(400) / 2
        turns = (x / quarter).to_integral_value()
        left = x - turns * quarter
    case = (int(turns) + quarters) % 4
    if case % 2:
        made = _taylor(Decimal(1), lambda n: -left * left / ((2 * n - 1) * 2 * n))
    else:
        made = _taylor(left, lambda n: -left * left / (2 * n * (2 * n + 1)))
    return -made if case > 1 else made


def _density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * pi(400)).sqrt()


def _ndtr(x: Decimal) -> Decimal:
    if x < -8:  # the continued fraction of Laplace
        below = -x
        for n in range(120, 0, -1):
            below = -x + n / below
        return _density(x) / below
    with decimal.localcontext(_WIDE):
        half = Decimal("0.5")
        return half + _density(x) * _taylor(x, lambda n: x * x / (2 * n + 1)) if x else half


def _ndtri(p: Decimal, near: float) -> Decimal:
    """From an answer that is known to be near, by two steps of Newton's method."""
    x = Decimal(near)
    for _ in range(2):
        x -= (_ndtr(x) - p) / _density(x)
    return x


EXACT: dict[MathFunction, Callable[[Decimal], Decimal]] = {
    MathFunction.SQRT: Decimal.sqrt,
    MathFunction.EXP: Decimal.exp,
    MathFunction.EXPM1: _expm1,
    MathFunction.LOG: Decimal.ln,
    MathFunction.LOG1P: _log1p,
    MathFunction.LOG2: lambda x: x.ln() / Decimal(2).ln(),
    MathFunction.LOG10: Decimal.log10,
    MathFunction.TANH: _tanh,
    MathFunction.SIGMOID: lambda x: 1 / (1 + (-x).exp()),
    MathFunction.SIN: lambda x: _turned(x, 0),
    MathFunction.COS: lambda x: _turned(x, 1),
    MathFunction.CBRT: lambda x: (abs(x).ln() / 3).exp().copy_sign(x) if x else x,
    MathFunction.NDTR: _ndtr,
}


def exact(function: MathFunction, x: float, y: float = 0.0, *, near: float = 0.0) -> Decimal:
    """The value of a function of finite numbers that has one.

    Args:
        function: one of the elementary functions.
        x: its argument.
        y: of FF_POW, the exponent.
        near: of the inverse of the normal distribution, a value near to its own.
    """
    with decimal.localcontext(_CONTEXT):
        if function == MathFunction.NDTRI:
            return _ndtri(Decimal(x), near)
        if function == MathFunction.POW:
            size = (Decimal(y) * Decimal(abs(x)).ln()).exp()
            return -size if x < 0 and y % 2 == 1 else size
        return EXACT[function](Decimal(x))


def ulps(found: float, value: Decimal) -> float:
    """How far a double is from a value, in units of the last place of the double that is nearest to it."""
    nearest = float(value)
    if math.isinf(nearest) or math.isinf(found):
        return 0.0 if found == nearest else math.inf
    with decimal.localcontext(_WIDE):
        return float(abs(Decimal(found) - value) / Decimal(math.ulp(nearest)))


def worst(
    function: MathFunction, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64] | float = 0.0
) -> tuple[float, float]:
    """The largest error over arguments, in units of the last place, and the argument that it is at."""
    right = np.broadcast_to(np.asarray(y, dtype=np.float64), x.shape)
    found = elementary(function, x, right)
    errors = [
        (ulps(float(a), exact(function, float(b), float(c), near=float(a))), float(b))
        for a, b, c in zip(found, x, right, strict=True)
    ]
    return max(errors)


def neighbours(centre: float, count: int) -> npt.NDArray[np.float64]:
    """The finite doubles around one, so many on each side, in ascending order."""
    bits = np.array([centre], dtype=np.float64).view(np.int64)
    around = (bits + np.arange(-count, count + 1)).view(np.float64)
    return np.sort(around[np.isfinite(around)])


def signed(rng: np.random.Generator, count: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """Numbers of both signs whose sizes have exponents that are evenly spread, low and high above zero."""
    ends = np.array([low, high], dtype=np.float64).view(np.int64)
    sizes = rng.integers(ends[0], ends[1], count).view(np.float64)
    return np.where(rng.random(count) < 0.5, sizes, -sizes)
