"""The evaluator's own exp, log and the like: near to the exact values, and the same bits alone and side by side."""

from __future__ import annotations

import ctypes
import math
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from build_backend import compilers
from fourfold.plan.compile.columns import elementary
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.evaluator.elementary_reference import exact, neighbours, signed, ulps, worst
from tests.plan.evaluators import evaluator
from tests.project.tree import ROOT

EVALUATOR = ROOT / "src" / "fourfold" / "plan" / "evaluator"
INF, NAN = math.inf, math.nan
TINY, LEAST, MOST = 5e-324, 2.0**-1022, math.nextafter(INF, 0)
NAN_BITS = 0x7FF8000000000000
FUNCTIONS = [
    MathFunction.SQRT,
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
]
#: Every kind of NaN: quiet, signalling, negative, with a payload.
NANS = [0x7FF8000000000000, 0x7FF0000000000001, 0xFFF8000000000000, 0xFFF0000000000123, 0x7FF8DEAD0000BEEF]
HALF_PI_FOR_LARGE = 6381956970095103 * 2.0**797  # among doubles the nearest to a multiple of pi / 2


def generator(function: MathFunction, salt: int = 0) -> np.random.Generator:
    return np.random.default_rng([int(function), salt])


def bits(values: npt.NDArray[np.float64]) -> list[str]:
    return [f"{value:016x}" for value in values.view(np.uint64)]


#: Of each function, the most that it is off by, in units of the last place; and what a test draws its arguments from.
SPANS: dict[str, tuple[MathFunction, float, float, float, bool]] = {
    "exp": (MathFunction.EXP, 0.53, 1e-18, 708.0, True),
    "expm1": (MathFunction.EXPM1, 0.63, TINY, 708.0, True),
    "expm1 near 0": (MathFunction.EXPM1, 0.63, 0.01, 2.0, True),
    "log": (MathFunction.LOG, 0.54, TINY, MOST, False),
    "log near 1": (MathFunction.LOG, 0.54, 0.25, 4.0, False),
    "log1p": (MathFunction.LOG1P, 0.54, TINY, MOST, False),
    "log1p below 0": (MathFunction.LOG1P, 0.54, TINY, 0.9999999999, True),
    "log2": (MathFunction.LOG2, 0.55, TINY, MOST, False),
    "log2 near 1": (MathFunction.LOG2, 0.55, 0.25, 4.0, False),
    "log10": (MathFunction.LOG10, 0.54, TINY, MOST, False),
    "log10 near 1": (MathFunction.LOG10, 0.54, 0.25, 4.0, False),
    "tanh": (MathFunction.TANH, 0.55, TINY, 20.0, True),
    "tanh of middling numbers": (MathFunction.TANH, 0.55, 0.01, 20.0, True),
    "sigmoid": (MathFunction.SIGMOID, 0.54, 1e-20, 708.0, True),
    "sigmoid of middling numbers": (MathFunction.SIGMOID, 0.54, 0.01, 50.0, True),
    "sin": (MathFunction.SIN, 0.6, TINY, MOST, True),
    "sin of middling numbers": (MathFunction.SIN, 0.6, 0.01, 100.0, True),
    "cos": (MathFunction.COS, 0.6, TINY, MOST, True),
    "cos of middling numbers": (MathFunction.COS, 0.6, 0.01, 100.0, True),
    "cbrt": (MathFunction.CBRT, 0.501, TINY, MOST, True),
    "cbrt of middling numbers": (MathFunction.CBRT, 0.501, 0.01, 100.0, True),
    "sqrt": (MathFunction.SQRT, 0.5, TINY, MOST, False),
    "sqrt of middling numbers": (MathFunction.SQRT, 0.5, 0.25, 4.0, False),
}


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
def test_functions_are_near_to_their_exact_values(span: tuple[MathFunction, float, float, float, bool]) -> None:
    """Arguments of every exponent in a function's domain give the nearest double or, seldom, the one beside it."""
    function, most, low, high, signs = span
    x = signed(generator(function), 800, low, high)
    error, at = worst(function, x if signs else np.abs(x))
    assert error <= most, f"{error} ulp at {at.hex()}"


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (MathFunction.EXP, -745.1, -708.4),
        (MathFunction.SIGMOID, -745.1, -708.4),
        (MathFunction.NDTR, -38.4, -37.5),
        (MathFunction.TANH, -(2.0**-1023), 2.0**-1023),
        (MathFunction.EXPM1, -(2.0**-1023), 2.0**-1023),
        (MathFunction.LOG1P, -(2.0**-1023), 2.0**-1023),
        (MathFunction.SIN, -(2.0**-1023), 2.0**-1023),
        (MathFunction.CBRT, -(2.0**-1023), 2.0**-1023),
    ],
)
def test_subnormal_arguments_and_answers(function: MathFunction, low: float, high: float) -> None:
    """Numbers too small for a whole mantissa keep what they have: tiny probabilities do not fall to zero."""
    x = np.linspace(low, high, 300)
    error, at = worst(function, x)
    assert error <= (2.0 if function == MathFunction.NDTR else 0.76), f"{error} ulp at {at.hex()}"
    assert (elementary(function, x) != 0).all()


CORNERS: dict[MathFunction, list[float]] = {
    # where one polynomial gives way to the next, and where values overflow, underflow or become constant
    MathFunction.EXP: [k * math.log(2) / 2 for k in (-3, -1, 1, 3, 2043)]
    + [709.782712893384, -708.3964185322641, -745.1332191019411],
    MathFunction.EXPM1: [k * math.log(2) / 2 for k in (-3, -1, 1, 3)] + [60.0, -40.0, -37.5, 709.782712893384, 1e-8],
    MathFunction.LOG: [math.sqrt(2), math.sqrt(0.5), 1.0, 2.0, LEAST, 3 * LEAST / 4],
    MathFunction.LOG1P: [
        math.sqrt(2) - 1,
        math.sqrt(0.5) - 1,
        1.0,
        2.0**53,
        2.0**60,
        -1 + 2.0**-50,
        2.0**-54,
        -(2.0**-54),
    ],
    MathFunction.LOG2: [math.sqrt(2), math.sqrt(0.5), 1.0, 8.0, LEAST],
    MathFunction.LOG10: [math.sqrt(2), math.sqrt(0.5), 1.0, 1000.0, LEAST],
    MathFunction.TANH: [math.log(2) / 4, 3 * math.log(2) / 4, 18.4, 19.06154746539849, 1e-8],
    MathFunction.SIGMOID: [
        math.log(2) / 2,
        -math.log(2) / 2,
        36.7368005696771,
        -36.7368005696771,
        -708.3964185322641,
        -745.1,
    ],
    MathFunction.SIN: [k * math.pi / 4 for k in (1, 2, 3, 4, 5, 22, 1000001)]
    + [2.0**-27, HALF_PI_FOR_LARGE, 1e22, MOST],
    MathFunction.COS: [k * math.pi / 4 for k in (1, 2, 3, 4, 5, 22, 1000001)]
    + [2.0**-27, HALF_PI_FOR_LARGE, 1e22, MOST],
    MathFunction.CBRT: [1.0, 2.0, 4.0, 8.0, 27.0, LEAST, 1e300],
}


@pytest.mark.parametrize("function", CORNERS, ids=lambda function: function.name)
def test_functions_are_near_where_their_formulas_change(function: MathFunction) -> None:
    """The doubles around every threshold are as near as any."""
    most = 0.76 if function in {MathFunction.EXP, MathFunction.SIGMOID} else 0.63
    x = np.concatenate([neighbours(corner, 6) for corner in CORNERS[function]])
    error, at = worst(function, x[x > -1] if function == MathFunction.LOG1P else x)
    assert error <= most, f"{error} ulp at {at.hex()}"


@pytest.mark.parametrize(
    "function",
    [
        MathFunction.EXP,
        MathFunction.EXPM1,
        MathFunction.LOG,
        MathFunction.LOG1P,
        MathFunction.TANH,
        MathFunction.SIGMOID,
        MathFunction.CBRT,
    ],
    ids=lambda function: function.name,
)
def test_functions_rise_where_their_formulas_change(function: MathFunction) -> None:
    """A larger argument never has a smaller value, across each threshold and from any double to the next."""
    starts = np.abs(signed(generator(function, 1), 40, TINY if function == MathFunction.LOG else 1e-9, 40.0))
    runs = [neighbours(corner, 300) for corner in CORNERS[function]] + [neighbours(start, 50) for start in starts]
    runs += [np.sort(starts), np.linspace(0.5, 0.7, 500)]
    if function not in {MathFunction.LOG, MathFunction.LOG1P}:
        runs += [-run[::-1] for run in runs]
    for run in runs:
        made = elementary(function, run[run > -1] if function == MathFunction.LOG1P else run)
        assert (made[1:] >= made[:-1]).all(), run[0].hex()


def test_the_square_root_is_the_nearest_double() -> None:
    """Square roots have the bits that IEEE 754 asks for: no other double is as near."""
    rng = np.random.default_rng(5)
    x = np.concatenate([np.abs(signed(rng, 2000, TINY, MOST)), rng.integers(1, 1 << 52, 500).view(np.float64)])
    x = np.concatenate([x, *(neighbours(corner, 100) for corner in (1.0, 2.0, 4.0, LEAST, MOST))])
    for argument, root in zip(x.tolist(), elementary(MathFunction.SQRT, x).tolist(), strict=True):
        below, above = ((Fraction(root) + Fraction(math.nextafter(root, end))) / 2 for end in (0.0, INF))
        assert below**2 < Fraction(argument) < above**2, argument.hex()


@pytest.mark.parametrize("kind", range(5))
def test_powers_are_near_to_their_exact_values(kind: int) -> None:
    """Powers of small and large bases, of bases beside 1 with large exponents, and of negative ones, are near."""
    rng = np.random.default_rng([40, kind])
    count = 600
    x, y = (
        (np.abs(signed(rng, count, 1e-100, 1e100)), rng.uniform(-3, 3, count)),
        (1 + rng.uniform(-1e-6, 1e-6, count), rng.uniform(-5e8, 5e8, count)),
        (rng.uniform(0, 10, count), rng.uniform(-5, 5, count)),
        (signed(rng, count, 1e-3, 1e3), rng.integers(-90, 90, count).astype(np.float64)),
        (np.abs(signed(rng, count, TINY, LEAST)), rng.uniform(-1, 1, count)),
    )[kind]
    error, at = worst(MathFunction.POW, x, y)
    assert error <= 0.54, f"{error} ulp at {at.hex()}"


def test_powers_that_are_subnormal() -> None:
    """A power too small for a whole mantissa is off by less than a unit of its last place."""
    rng = np.random.default_rng(41)
    x = rng.uniform(0.01, 0.5, 300)
    error, at = worst(MathFunction.POW, x, rng.uniform(-744, -709, 300) / np.log(x))
    assert error <= 0.76, f"{error} ulp at {at.hex()}"


def test_powers_that_are_doubles_are_exact() -> None:
    """Whole powers that a double holds, and powers of two down to the smallest, come without a rounding error."""
    pairs = [(float(base), float(power)) for base in range(2, 40) for power in range(1, 40) if base**power < 2**53]
    pairs += [(-base, power) for base, power in pairs] + [(2.0, float(power)) for power in range(-1074, 1024)]
    pairs += [(4.0, -537.0), (0.25, 537.0), (10.0, 22.0), (1e150, 2.0), (2.0**-500, 2.0), (1.5, 3.0), (2.25, 0.5)]
    x, y = np.array(pairs).T
    expected = [float(exact(MathFunction.POW, base, power)) for base, power in pairs]
    assert elementary(MathFunction.POW, x, y).tolist() == expected


def test_the_special_cases_of_powers() -> None:
    """Zeros, infinities, ones, NaN and negative bases do as C99, annex F.9.4.4, says."""
    odd, even, broken = [1.0, 3.0, 2.0**53 - 1], [2.0, 2.0**53, 1e300], [0.5, 2.5, 2.0**52 - 0.5]
    table = [(0.0, -y, INF) for y in [*odd, *even, *broken]] + [(0.0, y, 0.0) for y in [*odd, *even, *broken]]
    table += [(-0.0, -y, -INF) for y in odd] + [(-0.0, -y, INF) for y in [*even, *broken]]
    table += [(-0.0, y, -0.0) for y in odd] + [(-0.0, y, 0.0) for y in [*even, *broken]]
    table += [(-1.0, INF, 1.0), (-1.0, -INF, 1.0), (-1.0, 3.0, -1.0), (-1.0, 1e300, 1.0), (-1.0, 0.5, NAN)]
    table += [(1.0, y, 1.0) for y in (0.0, NAN, INF, -INF, 1e308)]
    table += [(x, y, 1.0) for x in (NAN, 0.0, -0.0, INF, -INF, -2.5) for y in (0.0, -0.0)]
    table += [(-2.0, y, NAN) for y in broken] + [(NAN, 1.0, NAN), (2.0, NAN, NAN), (0.0, NAN, NAN)]
    table += [(x, -INF, INF) for x in (0.5, -0.5, 0.0, -0.0, TINY)] + [(x, -INF, 0.0) for x in (2.0, -2.0, INF, -INF)]
    table += [(x, INF, 0.0) for x in (0.5, -0.5, 0.0, -0.0, TINY)] + [(x, INF, INF) for x in (2.0, -2.0, INF, -INF)]
    table += [(-INF, -y, -0.0) for y in odd] + [(-INF, -y, 0.0) for y in [*even, *broken]]
    table += [(-INF, y, -INF) for y in odd] + [(-INF, y, INF) for y in [*even, *broken]]
    table += [(INF, -2.5, 0.0), (INF, 2.5, INF), (2.0, 1024.0, INF), (-2.0, 1025.0, -INF), (2.0, -1080.0, 0.0)]
    table += [(-2.0, -1081.0, -0.0), (math.nextafter(1, 2), 1e300, INF), (math.nextafter(1, 0), 1e300, 0.0)]
    table += [(math.nextafter(1, 2), -1e300, 0.0), (MOST, MOST, INF), (TINY, MOST, 0.0), (TINY, -MOST, INF)]
    table += [(3.0, TINY, 1.0), (TINY, TINY, 1.0), (MOST, 1.0, MOST), (TINY, 1.0, TINY), (-TINY, 1.0, -TINY)]
    x, y, expected = np.array(table).T
    assert bits(elementary(MathFunction.POW, x, y)) == bits(expected)


# fmt: off
#: Arguments of each function, and what it makes of them.
SPECIAL: dict[MathFunction, tuple[list[float], list[float]]] = {
    MathFunction.SQRT: ([0.0, -0.0, INF, -INF, -TINY, -MOST, 4.0],
                    [0.0, -0.0, INF, NAN, NAN, NAN, 2.0]),
    MathFunction.EXP: ([0.0, -0.0, INF, -INF, 710.0, MOST, -746.0, -MOST, -745.13],
                   [1.0, 1.0, INF, 0.0, INF, INF, 0.0, 0.0, TINY]),
    MathFunction.EXPM1: ([0.0, -0.0, INF, -INF, 710.0, MOST, -50.0, -MOST, TINY, -TINY],
                     [0.0, -0.0, INF, -1.0, INF, INF, -1.0, -1.0, TINY, -TINY]),
    MathFunction.LOG: ([0.0, -0.0, 1.0, INF, -INF, -TINY, -1.0, -MOST],
                   [-INF, -INF, 0.0, INF, NAN, NAN, NAN, NAN]),
    MathFunction.LOG1P: ([0.0, -0.0, -1.0, INF, -INF, -1.5, -MOST, TINY, -TINY],
                     [0.0, -0.0, -INF, INF, NAN, NAN, NAN, TINY, -TINY]),
    MathFunction.LOG2: ([0.0, -0.0, 1.0, INF, -INF, -TINY, -1.0, -MOST, TINY, LEAST],
                    [-INF, -INF, 0.0, INF, NAN, NAN, NAN, NAN, -1074.0, -1022.0]),
    MathFunction.LOG10: ([0.0, -0.0, 1.0, INF, -INF, -TINY, -1.0, -MOST],
                     [-INF, -INF, 0.0, INF, NAN, NAN, NAN, NAN]),
    MathFunction.TANH: ([0.0, -0.0, INF, -INF, 20.0, -20.0, MOST, -MOST, TINY, -TINY],
                    [0.0, -0.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, TINY, -TINY]),
    MathFunction.SIGMOID: ([0.0, -0.0, TINY, -TINY, INF, -INF, MOST, -MOST, 40.0, -745.13, -746.0],
                       [0.5, 0.5, 0.5, 0.5, 1.0, 0.0, 1.0, 0.0, 1.0, TINY, 0.0]),
    MathFunction.SIN: ([0.0, -0.0, INF, -INF, TINY, -TINY], [0.0, -0.0, NAN, NAN, TINY, -TINY]),
    MathFunction.COS: ([0.0, -0.0, INF, -INF, TINY], [1.0, 1.0, NAN, NAN, 1.0]),
    MathFunction.CBRT: ([0.0, -0.0, INF, -INF, 27.0, -0.125, TINY], [0.0, -0.0, INF, -INF, 3.0, -0.5, 2.0**-358]),
    MathFunction.NDTR: ([0.0, -0.0, INF, -INF, 9.0, MOST, -38.6, -MOST, TINY],
                    [0.5, 0.5, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.5]),
    MathFunction.NDTRI: ([0.0, -0.0, 1.0, 0.5, math.nextafter(1, 2), -TINY, INF, -INF],
                     [-INF, -INF, INF, 0.0, NAN, NAN, NAN, NAN]),
}
# fmt: on


@pytest.mark.parametrize("function", SPECIAL, ids=lambda function: function.name)
def test_special_arguments(function: MathFunction) -> None:
    """Zeros keep their signs, infinities and ends of a domain have the limits, and what has no value is the one NaN."""
    x, expected = map(np.array, SPECIAL[function])
    assert bits(elementary(function, x)) == bits(expected)


@pytest.mark.parametrize("function", [*FUNCTIONS, MathFunction.POW], ids=lambda function: function.name)
def test_nan_gives_one_nan(function: MathFunction) -> None:
    """NaN of any sign and payload gives the one NaN, whose bits no processor chooses."""
    nans = np.array(NANS, dtype=np.uint64).view(np.float64)
    assert set(bits(elementary(function, nans, 2.0))) == {f"{NAN_BITS:016x}"}
    if function == MathFunction.POW:
        assert set(bits(elementary(function, np.full(len(nans), 2.0), nans))) == {f"{NAN_BITS:016x}"}


def test_logarithms_of_powers_are_whole() -> None:
    """Powers of two have whole logarithms to base 2, and powers of ten that are doubles to base 10."""
    powers = np.arange(-1074, 1024)
    assert elementary(MathFunction.LOG2, np.ldexp(1.0, powers)).tolist() == powers.tolist()
    assert elementary(MathFunction.LOG10, np.array([10.0**power for power in range(23)])).tolist() == list(range(23))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-8.0, -1.0), (1.0, 8.3), (-37.5, -8.0)])
def test_the_normal_distribution(low: float, high: float) -> None:
    """Both tails are near relative to themselves: a far left tail is no difference of nearly equal numbers."""
    error, at = worst(MathFunction.NDTR, np.linspace(low, high, 250))
    assert error <= (1.2 if low in {-1.0, 1.0} else 3.5), f"{error} ulp at {at.hex()}"


def test_the_inverse_of_the_normal_distribution() -> None:
    """Quantiles are near for probabilities of every size, those beside 0, 1/2, and 1 too."""
    rng = np.random.default_rng(19)
    p = np.concatenate(
        [rng.random(200), np.abs(signed(rng, 200, TINY, 0.5)), 1 - np.abs(signed(rng, 80, 2.0**-53, 0.5))]
    )
    corners = (0.29, 0.71, 0.5, 0.15865525393145707, 0.8413447460685429, LEAST)
    p = np.concatenate([p, *(neighbours(corner, 5) for corner in corners), [TINY, math.nextafter(1, 0)]])
    error, at = worst(MathFunction.NDTRI, p[p != 0.5])
    assert error <= 1.5, f"{error} ulp at {at.hex()}"


def test_quantiles_lead_back_to_their_probabilities() -> None:
    """The distribution of a quantile is the probability, as near as one unit in the quantile's last place allows."""
    p = np.linspace(0.001, 0.999, 999)
    back = elementary(MathFunction.NDTR, elementary(MathFunction.NDTRI, p))
    assert np.abs(back - p).max() <= 4 * math.ulp(1.0)


@pytest.mark.parametrize("function", [*FUNCTIONS, MathFunction.POW], ids=lambda function: function.name)
def test_rows_side_by_side_have_the_bits_of_one(function: MathFunction) -> None:
    """A plan that computes many rows at once gives each the bits that it has alone, special numbers among them."""
    rng = generator(function, 2)
    x = signed(rng, 300, 1e-12, 1e4)
    x[::3] = signed(rng, 100, TINY, MOST)
    x[::7] = rng.choice([0.0, -0.0, INF, -INF, TINY, -TINY, LEAST, 1.0, 710.0, -746.0, NAN], len(x[::7]))
    x[1::7] = rng.random(len(x[1::7]))
    graph = Graph([("x", "float64"), ("y", "float64")])
    left, right = graph.number(0), graph.number(1)
    values = graph.map_two(function, [left], [right]) if function == MathFunction.POW else graph.map(function, [left])
    found = evaluator(graph, [Output("z", "float64", values)])
    rows = [{"x": float(value), "y": 1.5} for value in x]
    many = found.many(rows)
    assert isinstance(many, list)
    together = np.array([row["z"] for row in many])
    alone = np.array([(found.one(row) or {})["z"] for row in rows])
    assert bits(together) == bits(alone) == bits(elementary(function, x, 1.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elementary")


def test_the_root_in_integers_is_that_of_the_processor(folder: Path) -> None:
    """Where a compiler has no instruction for the square root, the digits are found in integers: the same bits."""
    source, library = folder / "roots.c", folder / "roots.so"
    source.write_text(
        '#include "evaluator.c"\n__attribute__((visibility("default"))) void roots(double *x, int count);\n'
        "void roots(double *x, int count) { while (count--) x[count] = ff_sqrt(x[count]); }\n",
        encoding="utf-8",
    )
    compiler = compilers.find()
    flags = ("-std=c99", "-O0", "-ffp-contract=off", "-shared", "-fPIC", "-DFF_SOFTWARE_SQRT", f"-I{EVALUATOR}")
    assert compiler.run(*flags, source, "-o", library) == ""
    rng = np.random.default_rng(7)
    x = rng.integers(0, 0x7FF0000000000000, 200000).view(np.float64)
    x = np.concatenate(
        [x, rng.integers(0, 1 << 52, 5000).view(np.float64), neighbours(LEAST, 2000), np.arange(5000.0) ** 2]
    )
    x = np.concatenate([x, neighbours(1.0, 2000), neighbours(2.0, 2000), neighbours(4.0, 2000), [0.0, -0.0, INF]])
    x = np.concatenate([x, [-1.0, -INF, MOST, TINY], np.array(NANS, dtype=np.uint64).view(np.float64)])
    found = x.copy()
    ctypes.CDLL(str(library)).roots(found.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), len(found))
    assert bits(found) == bits(elementary(MathFunction.SQRT, x))


def test_the_evaluator_needs_no_library(folder: Path) -> None:
    """The evaluator links with nothing but what a compiler itself may ask for: no exp, no sqrt of a libm."""
    source, library = folder / "alone.c", folder / "alone.so"
    source.write_text(
        "#include <stddef.h>\n"
        "void *memset(void *to, int value, size_t bytes) { (void)value; (void)bytes; return to; }\n"
        "void *memcpy(void *to, const void *from, size_t bytes) { (void)from; (void)bytes; return to; }\n"
        "void *memmove(void *to, const void *from, size_t bytes) { (void)from; (void)bytes; return to; }\n"
        "int memcmp(const void *x, const void *y, size_t bytes) { (void)x; (void)y; (void)bytes; return 0; }\n",
        encoding="utf-8",
    )
    complete = "-Wl,-undefined,error" if sys.platform == "darwin" else "-Wl,--no-undefined"
    flags = ("-std=c99", "-O1", "-ffp-contract=off", "-fno-builtin", "-shared", "-fPIC", "-nostdlib", complete)
    compiler = compilers.find()
    assert compiler.run(*flags, source, EVALUATOR / "evaluator.c", "-o", library) == ""
    source.write_text("double exp(double x);\ndouble calls_it(double x) { return exp(x); }\n", encoding="utf-8")
    assert "exp" in compiler.run(*flags, source, "-o", folder / "calls.so")


def test_an_error_is_measured_in_units_of_the_last_place() -> None:
    """What measures the others sees a wrong last bit, in normal numbers and in subnormal ones."""
    third = exact(MathFunction.CBRT, 2.0)
    assert ulps(float(third), third) < 0.5
    assert 0.5 < ulps(math.nextafter(float(third), 2), third) < 1.5
    assert ulps(2 * TINY, Decimal(TINY)) == 1
    assert ulps(INF, Decimal("1e400")) == 0
    assert math.isinf(ulps(1e308, Decimal("1e400")))
    assert abs(exact(MathFunction.COS, HALF_PI_FOR_LARGE)) < Decimal("1e-18")
