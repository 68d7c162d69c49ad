"""Run the tournaments of twelve pipelines on real data, and render the tables that `fourfold pack` prints.

    PYTHONPATH=. .venv/bin/python benchmarks/tournaments.py [NAME ...]
    PYTHONPATH=. .venv/bin/python benchmarks/tournaments.py --render     # only the page, from the results as they are

Writes benchmarks/results/tournaments.json and docs/tournaments.md. Each pipeline is trained on flights of the
demonstration or on data that scikit-learn ships, and packed with the engines measured. Then the package answers rows
that neither training nor packing saw, and the answers with other bits than the model's own are counted.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from lightgbm import LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestRegressor, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from xgboost import XGBRegressor

import fourfold
from benchmarks.pages import list_item, shorten
from fourfold import tables
from fourfold.demo.flights import INPUTS, STRING_INPUTS, TARGET, flights, pipeline, split
from fourfold.package.words import verdict_line
from fourfold.signature.columns import rows_to_columns

RESULTS = Path(__file__).parent / "results" / "tournaments.json"
PAGE = Path(__file__).parent.parent / "docs" / "tournaments.md"
#: The rows to pack with, and the flights to ask about afterwards.
PACKING_ROWS = 500
HELD_OUT_ROWS = 5000
NUMBERS = [name for name in INPUTS if name not in STRING_INPUTS]

#: A fitted model, the rows to pack it with, and the rows that were held out.
Case = tuple[Any, Any, Any]


def late(x: pd.DataFrame) -> pd.Series:
    """Return how late each flight leaves: `early`, `late` or `very late`."""
    return pd.cut(x["dep_delay"], [-np.inf, 0, 30, np.inf], labels=["early", "late", "very late"]).astype(str)


def fit_flights(model: Any, target: Callable[[pd.DataFrame], Any], columns: list[str], **dtypes: str) -> Case:
    """Fit a model to flights, and hold out others; `dtypes` casts columns."""
    train, held_out = split(flights(), HELD_OUT_ROWS)
    train = train.head(20_000)
    x, held_out = (rows[columns].astype(dtypes).reset_index(drop=True) for rows in (train, held_out))
    for name, dtype in dtypes.items():
        if dtype == "category":
            held_out[name] = pd.Categorical(held_out[name], x[name].cat.categories)
            held_out = held_out[held_out[name].notna()]  # the model refuses a category that it was not trained with
    return model.fit(x, target(train)), x.head(PACKING_ROWS), held_out


def fit_array(model: Any, data: Any, target: Any = None) -> Case:
    """Fit a model to an array that scikit-learn ships; every third row is held out."""
    x, y = data.data, data.target if target is None else target
    is_out = np.arange(len(x)) % 3 == 0
    return model.fit(x[~is_out], y[~is_out]), x[~is_out][:PACKING_ROWS], x[is_out]


def forest() -> Case:
    """Fit a forest behind ordinal codes for texts and medians for missing numbers."""
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), STRING_INPUTS),
        (SimpleImputer(strategy="median", add_indicator=True), NUMBERS),
    )
    return fit_flights(
        make_pipeline(columns, RandomForestRegressor(100, min_samples_leaf=5, random_state=0)),
        lambda x: x[TARGET],
        INPUTS,
    )


def logistic() -> Case:
    """Fit a logistic regression of three classes to one-hot columns and standardised numbers."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), STRING_INPUTS),
        (make_pipeline(SimpleImputer(), StandardScaler()), [name for name in NUMBERS if name != "dep_delay"]),
    )
    return fit_flights(
        make_pipeline(columns, LogisticRegression(max_iter=200)), late, [x for x in INPUTS if x != "dep_delay"]
    )


def texts() -> Case:
    """Fit a text model: the kind of engine of a plane, from the words of its manufacturer and model."""
    from fourfold.demo.flights import _data_folder

    planes = pd.read_csv(_data_folder() / "planes.csv", usecols=["manufacturer", "model", "engine"])
    words = (planes["manufacturer"] + " " + planes["model"]).tolist()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=500))
    model.fit(words[::2], planes["engine"][::2])
    return model, words[::2][:PACKING_ROWS], words[1::2]


def votes() -> Case:
    """Fit a vote of three kinds of model: the mean of their probabilities."""
    parts = [
        ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
        ("bayes", GaussianNB()),
        ("trees", HistGradientBoostingClassifier(max_iter=50)),
    ]
    return fit_array(VotingClassifier(parts, voting="soft"), load_breast_cancer())


PIPELINES: dict[str, tuple[str, Callable[[], Case]]] = {
    "boosting": (
        "flights: one-hot, HistGradientBoosting of 200 trees",
        lambda: fit_flights(pipeline(), lambda x: x[TARGET], INPUTS),
    ),
    "forest": ("flights: ordinal, medians with indicators, a random forest of 100 trees", forest),
    "logistic": ("flights: one-hot and scaled, logistic regression of 3 classes", logistic),
    "lightgbm": (
        "flights: LightGBM with its own categories and missing values",
        lambda: fit_flights(
            LGBMRegressor(n_estimators=300, verbose=-1, n_jobs=1),
            lambda x: x[TARGET],
            INPUTS,
            **dict.fromkeys(STRING_INPUTS, "category"),
        ),
    ),
    "xgboost": (
        "flights: XGBoost on numbers, 300 trees",
        lambda: fit_flights(XGBRegressor(n_estimators=300, n_jobs=1), lambda x: x[TARGET], NUMBERS),
    ),
    "catboost": (
        "flights: CatBoost with target statistics of texts, 3 classes",
        lambda: fit_flights(
            CatBoostClassifier(200, cat_features=STRING_INPUTS, verbose=0, allow_writing_files=False, thread_count=1),
            late,
            [x for x in INPUTS if x != "dep_delay"],
        ),
    ),
    "texts": ("planes: tf-idf of words and pairs, logistic regression", texts),
    "votes": ("breast cancer: a vote of linear, Bayes and boosting", votes),
    "digits": (
        "digits: PCA, a neural network of 64 units",
        lambda: fit_array(make_pipeline(StandardScaler(), PCA(30), MLPClassifier(64, random_state=0)), load_digits()),
    ),
    "neighbours": (
        "breast cancer: scaled, 7 nearest neighbours",
        lambda: fit_array(make_pipeline(StandardScaler(), KNeighborsClassifier(7)), load_breast_cancer()),
    ),
    "outliers": (
        "flights: an isolation forest",
        lambda: fit_flights(IsolationForest(random_state=0), lambda _: None, [x for x in NUMBERS if x != "plane_year"]),
    ),
    "process": (
        "diabetes: a Gaussian process",
        lambda: fit_array(GaussianProcessRegressor(RBF() + WhiteKernel(), normalize_y=True), load_diabetes()),
    ),
}


def main() -> None:
    """Run the tournaments, or those named on the command line; after all, write the results and the page."""
    wanted = set(sys.argv[1:])
    if wanted == {"--render"}:
        PAGE.write_text(render(json.loads(RESULTS.read_text())))
        return
    results = {}
    for name, (title, make) in PIPELINES.items():
        if wanted and name not in wanted:
            continue
        model, rows, held_out = make()
        package = fourfold.pack(model, name=name, rows=rows, measure=True)
        original = fourfold.pack(model, name=name, rows=rows, engine="original")
        results[name] = {
            "title": title,
            "engines": package.manifest["engines"],
            "figures": package.figures,
            "asked": len(held_out),
            **compare(package, original, held_out),
        }
        print(json.dumps(results[name], indent=1), flush=True)
    if not wanted:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(render(results))


def compare(package: Any, original: Any, held_out: Any) -> dict[str, float]:
    """Count the rows whose answers have other bits, and measure the largest gap, relative to the largest answer."""
    # scikit-learn stores a vote of several models as a pickle; this script made it.
    chosen, reference = fourfold.load(package), fourfold.load(original, trust="code")
    inputs = chosen.signature.inputs
    rows = [{inputs[0].name: text} for text in held_out] if isinstance(held_out, list) else held_out
    table, errors = tables.read(rows, inputs, "ignore")
    assert not errors, errors[0]
    batch = rows_to_columns(inputs, table) if isinstance(table, list) else table
    differing, gap = np.zeros(len(held_out), dtype=bool), 0.0
    for columns in zip(chosen.predict(batch).columns, reference.predict(batch).columns, strict=True):
        got, expected = (np.array(column.to_pylist()).reshape(len(held_out), -1) for column in columns)
        differing |= (got != expected).any(axis=1)
        if got.dtype.kind == "f":
            gap = max(gap, float(np.abs(got - expected).max() / np.abs(expected).max()))
        else:
            gap = max(gap, float("inf") if (got != expected).any() else 0.0)
    return {"differing": int(differing.sum()), "gap": gap}


def render(results: dict[str, Any]) -> str:
    """Return the page, rendered from the results."""
    count = len(results)
    lines = [
        "# Tournaments",
        "",
        f"See what `fourfold pack` chooses for {count} models on real data, how fast it is there, and why other",
        "engines were rejected.",
        "",
        "Rendered by `benchmarks/tournaments.py` from `benchmarks/results/tournaments.json`. Each model is asked about",
        "rows that neither training nor packing saw; a gap is that of the numbers that differ most, by the size of the",
        "largest answer.",
        "",
    ]
    for result in results.values():
        lines += [
            f"## {result['title'][0].upper()}{result['title'][1:]}",
            "",
            "| engine | one row | rows a second | start-up | memory, MB |",
            "|---|---|---|---|---|",
        ]
        verdicts = [""]
        for entry in sorted(result["engines"], key=lambda entry: not entry["chosen"]):
            figures = result["figures"].get(entry["engine"])
            cells = ["-"] * 4
            if figures:
                microseconds = figures["one_row"] * 1e6
                cells = [
                    f"{microseconds:,.3g} µs" if microseconds < 1000 else f"{microseconds / 1000:,.3g} ms",
                    f"{figures['rows_per_second']:,.0f}",
                    f"{figures['start_up'] * 1e3:,.0f} ms",
                    f"{figures['memory'] / 2**20:,.0f}",
                ]
            name = f"**{entry['engine']}**" if entry["chosen"] else entry["engine"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
            verdicts += list_item(f"{name}: {shorten(verdict_line(entry), 220)}")
        lines += verdicts
        differing = f"{result['differing']:,} of {result['asked']:,} other rows have other bits"
        lines += ["", differing + (f", a gap of {result['gap']:.1e}." if result["differing"] else "."), ""]
    return "\n".join(lines[:-1]) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
