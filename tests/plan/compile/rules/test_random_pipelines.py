"""Test pipelines that are put together at random, over columns of all kinds."""

from __future__ import annotations

import pytest

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_exact
from tests.plan.random_pipelines import RandomPipeline

pytestmark = pytest.mark.filterwarnings("ignore")

PIPELINES = 60


@pytest.mark.seeds(1, sweep=25)
def test_pipelines_put_together_at_random_are_exact(seed: int) -> None:
    """Every pipeline that scikit-learn can fit is exact, or has a reason why it has no plan."""
    exact, reasons = 0, []
    for number in range(PIPELINES * seed, PIPELINES * (seed + 1)):
        try:
            model, frame = RandomPipeline(number).fitted()
        except (TypeError, ValueError):
            continue  # what was put together does not fit together
        try:
            assert_exact(model, frame)
            exact += 1
        except NoPlan as reason:
            reasons.append(str(reason))
    assert exact > PIPELINES * 0.4, reasons
    assert len(reasons) < exact / 4, reasons
