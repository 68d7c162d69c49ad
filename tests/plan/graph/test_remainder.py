import numpy as np

from fourfold.plan.compile.columns import elementary
from fourfold.plan.format import MathFunction

EDGES = [0.0, -0.0, 1.0, -1.0, 3.0, 5e-324, -5e-324, 2.2e-308, 1e308, -1e308, np.inf, -np.inf, np.nan]


def test_the_remainder_is_that_of_numpy() -> None:
    """What is left over has NumPy's bits for numbers of all sizes, subnormal ones and pairs that lie far apart."""
    rng = np.random.default_rng(1)
    sized = rng.normal(size=4000) * 10.0 ** rng.integers(-320, 300, 4000)
    wild = np.abs(rng.integers(0, 2**63, 4000, dtype=np.int64).view(np.float64)) * rng.choice([-1.0, 1.0], 4000)
    numbers = np.concatenate([sized, np.nan_to_num(wild), np.repeat(EDGES, len(EDGES))])
    others = np.concatenate([rng.permutation(sized), rng.permutation(wild), np.tile(EDGES, len(EDGES))])
    with np.errstate(all="ignore"):
        expected = np.remainder(numbers, others)
    found = elementary(MathFunction.MOD, numbers, others)
    both_nan = np.isnan(expected) & np.isnan(found)
    assert (both_nan | (expected.view(np.int64) == found.view(np.int64))).all()
    assert not both_nan.all()
