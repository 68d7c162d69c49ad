"""How large may a forest be? Writes benchmarks/results/large.json and renders docs/speed.md anew.

    PYTHONPATH=. .venv/bin/python benchmarks/runtimes/large.py [--seconds 2]

Forests of 5,000 trees and of more than a million nodes, trained on the features of the flight pipeline: how long the
package takes to be made and to be loaded, and how fast it is beside the original. Each engine runs in a process of its
own, pinned to one core; the least of all calls counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import xgboost
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingRegressor, RandomForestRegressor

import fourfold
from fourfold.demo.flights import INPUTS, TARGET, flights, pipeline, split
from fourfold.package import write_package

RESULTS = Path(__file__).parent.parent / "results" / "large.json"
MANY, ALONE, TRAINING = 20_000, 100, 30_000

#: Of each model its trees and nodes, and how it is made.
MODELS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "lightgbm": (
        "LightGBM, 5,000 trees of 31 leaves",
        lambda x, y: lightgbm.LGBMRegressor(n_estimators=5000, num_leaves=31, n_jobs=1, verbose=-1).fit(x, y),
    ),
    "xgboost": (
        "XGBoost, 5,000 trees, 6 deep",
        lambda x, y: xgboost.XGBRegressor(n_estimators=5000, max_depth=6, n_jobs=1).fit(x, y),
    ),
    "histogram": (
        "HistGradientBoosting, 5,000 trees of 31 leaves",
        lambda x, y: HistGradientBoostingRegressor(max_iter=5000, early_stopping=False).fit(x, y),
    ),
    "forest": (
        "random forest, 5,000 trees of 64 leaves",
        lambda x, y: RandomForestRegressor(5000, max_leaf_nodes=64, max_samples=3000, random_state=0).fit(x, y),
    ),
    "deep": (
        "random forest, 40 trees grown out",
        lambda x, y: RandomForestRegressor(40, random_state=0).fit(x, y),
    ),
    "classes": (
        "extra trees, 100 trees grown out, 3 classes",
        lambda x, y: ExtraTreesClassifier(100, random_state=0).fit(x, np.digitize(y, [90, 160])),
    ),
}


def main() -> None:
    """Measure, keep the results, render the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--worker", nargs=3, metavar=("ENGINE", "MODEL", "FOLDER"))
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(timed(given.worker[0], Path(given.worker[2]), given.worker[1], given.seconds)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x, y = prepare(folder)
        for model, (title, fit) in MODELS.items():
            fitted = fit(x, y)
            made = packed(fitted, x, model, folder)
            engines = {engine: worker(engine, model, folder, given.seconds) for engine in ("original", "fourfold")}
            answers = [np.load(folder / f"{model}.{engine}.npy") for engine in engines]
            differing = int((answers[0] != answers[1]).sum())
            found[model] = {"title": title, "nodes": nodes(fitted), "differing": differing, **made, **engines}
            print(json.dumps(found[model]), flush=True)
    from run import PAGE, machine, page  # beside this file

    RESULTS.write_text(json.dumps({"environment": machine(), "models": found}, indent=1) + "\n")
    PAGE.write_text(page())


def prepare(folder: Path) -> tuple[Any, Any]:
    """The features of flights to train with, and others to ask about."""
    train, held_out = split(flights(), MANY)
    steps = pipeline()[:-1].fit(train[INPUTS], train[TARGET])
    np.save(folder / "rows.npy", np.ascontiguousarray(steps.transform(held_out[INPUTS]), dtype=np.float64))
    x = np.ascontiguousarray(steps.transform(train[INPUTS]), dtype=np.float64)[:TRAINING]
    # Not every forest takes NaN, and this is about their size.
    np.save(folder / "rows.npy", np.nan_to_num(np.load(folder / "rows.npy")))
    return np.nan_to_num(x), train[TARGET].to_numpy()[:TRAINING]


def packed(model: Any, x: Any, name: str, folder: Path) -> dict[str, float]:
    """The seconds that a package takes, proof and all, and its megabytes."""
    joblib.dump(model, folder / f"{name}.joblib")
    begun = time.perf_counter()
    options = {"methods": ["predict"]} if hasattr(model, "predict_proba") else {}
    package = fourfold.pack(model, name=name, rows=x[:500], engine="plan", **options)
    seconds = time.perf_counter() - begun
    path = folder / f"{name}.fourfold"
    write_package(package, path)
    return {"pack": seconds, "megabytes": path.stat().st_size / 1e6}


def nodes(model: Any) -> int:
    """How many nodes all of a model's trees have, leaves among them."""
    if isinstance(model, lightgbm.LGBMModel):
        return len(model.booster_.trees_to_dataframe())
    if isinstance(model, xgboost.XGBModel):
        return len(model.get_booster().trees_to_dataframe())
    if isinstance(model, HistGradientBoostingRegressor):
        return sum(len(tree.nodes) for stage in model._predictors for tree in stage)  # noqa: SLF001 - no other place
    return sum(int(tree.tree_.node_count) for tree in model.estimators_)


def worker(engine: str, model: str, folder: Path, seconds: float) -> dict[str, float]:
    """One engine, in a process of its own."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--seconds", str(seconds), "--worker", engine, model, folder]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **single}).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def timed(engine: str, folder: Path, name: str, seconds: float) -> dict[str, float]:
    """Seconds to load and answer once, and nanoseconds for a row alone and among many."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = np.load(folder / "rows.npy")
    one: Callable[[Any], Any]
    many: Callable[[], Any]
    if engine == "original":
        begun = time.perf_counter()
        model = joblib.load(folder / f"{name}.joblib")
        answers = model.predict(rows[:1])
        load = time.perf_counter() - begun
        one, alone, many = model.predict, [rows[[row]] for row in range(ALONE)], lambda: model.predict(rows)
        answers = many()
    else:
        import pyarrow as pa

        begun = time.perf_counter()
        predictor = fourfold.load(folder / f"{name}.fourfold")
        names = [field.name for field in predictor.signature.inputs]
        alone = [dict(zip(names, map(float, row), strict=True)) for row in rows[:ALONE]]
        predictor.predict_one(alone[0])
        load = time.perf_counter() - begun
        batch = pa.RecordBatch.from_arrays([pa.array(column) for column in rows.T], names=names)
        one, many = predictor.predict_one, lambda: predictor.predict(batch)
        answers = many().column(0).to_numpy()
    np.save(folder / f"{name}.{engine}.npy", np.asarray(answers, dtype=np.float64))
    return {
        "load": load,
        "one": least(lambda: [one(row) for row in alone], seconds) / ALONE,
        "many": least(many, seconds) / MANY,
    }


def least(call: Callable[[], Any], seconds: float) -> float:
    """Nanoseconds of the quickest call."""
    best, begun, done = float("inf"), time.perf_counter(), 0
    while done < 2 or time.perf_counter() - begun < seconds:
        start = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - start)
        done += 1
    return best


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
