"""Plans of trained models: every estimator of scikit-learn, the boosters, and pipelines put together at random."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import catboost
import lightgbm
import sklearn.base
import xgboost
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

from benchmarks.estimators import INSTANCES, NUMBERS, TARGET, data_for, targets_for
from fourfold import tables
from fourfold.errors import FourfoldError
from fourfold.packing.samples.edge_cases import edge_cases
from fourfold.plan.compile.columns import NoPlan
from fourfold.signature.columns import columns_to_rows
from tests.plan.comparison import compiled
from tests.plan.places.plans import Golden
from tests.plan.random_pipelines import RandomPipeline

__all__ = ["trained_goldens"]

ROWS = 60
PIPELINES = 200
BOOSTERS = (
    lightgbm.LGBMRegressor(n_estimators=30, verbose=-1),
    lightgbm.LGBMClassifier(n_estimators=30, verbose=-1),
    xgboost.XGBRegressor(n_estimators=30),
    xgboost.XGBClassifier(n_estimators=30),
    catboost.CatBoostRegressor(n_estimators=30, verbose=False, allow_writing_files=False),
    catboost.CatBoostClassifier(n_estimators=30, verbose=False, allow_writing_files=False),
)


def trained_goldens() -> list[Golden]:
    """Return the plan of each trained model that has one, with rows as it was trained on and edge cases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*_estimators(), *_boosters(), *_pipelines()]


def _golden(name: str, model: Any, table: Any) -> Golden | None:
    """Return a model's plan and rows; `None` if it has no plan."""
    try:
        parts, signature, _ = compiled(model, table)
    except (NoPlan, FourfoldError):
        return None
    if isinstance(table, list):
        rows: list[Any] = [{signature.inputs[0].name: text} for text in table[:ROWS]]
    else:
        batch, errors = tables.read(tables.take(table, range(min(ROWS, len(table)))), signature.inputs, "ignore")
        assert not errors, errors[0]
        rows = batch if isinstance(batch, list) else columns_to_rows(signature.inputs, batch)
    return Golden(name, parts.plan, [*rows, *edge_cases(signature, rows)])


def _estimators() -> Iterator[Golden]:
    for name, kind in all_estimators():
        golden = _estimator(name, kind)
        if golden is not None:
            yield golden


def _estimator(name: str, kind: Any) -> Golden | None:
    """Return the plan of an estimator, fitted on the first data that it takes."""
    try:
        model = INSTANCES[name]() if name in INSTANCES else next(iter(_construct_instances(kind)))
    except Exception:  # noqa: BLE001  # a class that cannot be constructed alone has no plan
        return None
    for _, table in data_for(model):
        for target in targets_for(model):
            try:
                fitted = sklearn.base.clone(model).fit(table, target)
            except Exception:  # noqa: BLE001  # a fit may raise anything on data that the estimator does not take
                continue
            golden = _golden(name, fitted, table)
            if golden is not None:
                return golden
    return None


def _boosters() -> Iterator[Golden]:
    holed = NUMBERS.mask(NUMBERS.rank() % 10 == 0)
    for model in BOOSTERS:
        target = TARGET if sklearn.base.is_regressor(model) else (TARGET > 0).astype(int) + (TARGET > 3)
        golden = _golden(type(model).__name__, model.fit(holed, target), holed)
        assert golden is not None, model
        yield golden


def _pipelines() -> Iterator[Golden]:
    for seed in range(PIPELINES):
        try:
            model, frame = RandomPipeline(seed).fitted()
        except (TypeError, ValueError):
            continue  # what was put together does not fit together
        golden = _golden(f"random pipeline {seed}", model, frame)
        if golden is not None:
            yield golden
