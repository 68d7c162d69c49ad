"""Scalers as plans."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from tests.plan.held import assert_exact

RANDOM = np.random.default_rng(3)
NUMBERS = RANDOM.normal(size=(200, 3)) * [1, 1e6, 1e-6]


def test_standard_scaler_gives_the_originals_bits() -> None:
    """A scaler's plan gives the scaler's bits."""
    assert_exact(StandardScaler().fit(NUMBERS), NUMBERS)
