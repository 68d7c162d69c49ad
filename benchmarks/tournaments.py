"""The tournaments of ten pipelines on real data, as `fourfold pack` prints them.

    .venv/bin/python benchmarks/tournaments.py [NAME ...]

Writes benchmarks/results/tournaments.json and docs/tournaments.md. Each pipeline is trained on flights of the
demonstration or on data that scikit-learn ships, packed with the engines measured, and then asked about rows that
neither training nor packing saw: how many of those have other bits than the model's own answers.
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
from fourfold import tables
from fourfold.cli.show import verdict_line
from fourfold.demo.flights import INPUTS, STRING_INPUTS, TARGET, flights, pipeline, split
from fourfold.signature.columns import rows_to_columns

RESULTS = Path(__file__).parent / "results" / "tournaments.json"
PAGE = Path(__file__).parent.parent / "docs" / "tournaments.md"
#: Rows to pack with, and rows that are asked about afterwards.
PACKED, ASKED = 500, 5000
NUMBERS = [name for name in INPUTS if name not in STRING_INPUTS]

#: A fitted model, the rows that it is packed with, and others.
Made = tuple[Any, Any, Any]


def late(x: pd.DataFrame) -> pd.Series:
    """How late a flight leaves, in three words."""
    return pd.cut(x["dep_delay"], [-np.inf, 0, 30, np.inf], labels=["early", "late", "very late"]).astype(str)


def of_flights(model: Any, target: Callable[[pd.DataFrame], Any], columns: list[str], **dtypes: str) -> Made:
    """A model of flights."""
    train, others = split(flights(), ASKED)
    train = train.head(20_000)
    x, held_out = (each[columns].astype(dtypes).reset_index(drop=True) for each in (train, others))
    for name, dtype in dtypes.items():
        if dtype == "category":
            held_out[name] = pd.Categorical(held_out[name], x[name].cat.categories)
            held_out = held_out[held_out[name].notna()]  # a category that training did not see is refused
    return model.fit(x, target(train)), x.head(PACKED), held_out


def of_arrays(model: Any, data: Any, target: Any = None) -> Made:
    """A model of an array that scikit-learn ships; every third row is held out."""
    x, y = data.data, data.target if target is None else target
    is_out = np.arange(len(x)) % 3 == 0
    return model.fit(x[~is_out], y[~is_out]), x[~is_out][:PACKED], x[is_out]


def forest() -> Made:
    """Codes for texts, medians for what is missing, a forest."""
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), STRING_INPUTS),
        (SimpleImputer(strategy="median", add_indicator=True), NUMBERS),
    )
    return of_flights(
        make_pipeline(columns, RandomForestRegressor(100, min_samples_leaf=5, random_state=0)),
        lambda x: x[TARGET],
        INPUTS,
    )


def logistic() -> Made:
    """One-hot columns and standardised numbers, three classes and their probabilities."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), STRING_INPUTS),
        (make_pipeline(SimpleImputer(), StandardScaler()), [name for name in NUMBERS if name != "dep_delay"]),
    )
    return of_flights(
        make_pipeline(columns, LogisticRegression(max_iter=200)), late, [x for x in INPUTS if x != "dep_delay"]
    )


def texts() -> Made:
    """What kind of engine a plane has, by the words of its manufacturer and model."""
    from fourfold.demo.flights import _data_folder

    planes = pd.read_csv(_data_folder() / "planes.csv", usecols=["manufacturer", "model", "engine"])
    words = (planes["manufacturer"] + " " + planes["model"]).tolist()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=500))
    model.fit(words[::2], planes["engine"][::2])
    return model, words[::2][:PACKED], words[1::2]


def votes() -> Made:
    """The mean of three kinds of model's probabilities."""
    parts = [
        ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
        ("bayes", GaussianNB()),
        ("trees", HistGradientBoostingClassifier(max_iter=50)),
    ]
    return of_arrays(VotingClassifier(parts, voting="soft"), load_breast_cancer())


PIPELINES: dict[str, tuple[str, Callable[[], Made]]] = {
    "boosting": (
        "flights: one-hot, HistGradientBoosting of 200 trees",
        lambda: of_flights(pipeline(), lambda x: x[TARGET], INPUTS),
    ),
    "forest": ("flights: ordinal, medians with indicators, a random forest of 100 trees", forest),
    "logistic": ("flights: one-hot and scaled, logistic regression of 3 classes", logistic),
    "lightgbm": (
        "flights: LightGBM with its own categories and missing values",
        lambda: of_flights(
            LGBMRegressor(n_estimators=300, verbose=-1, n_jobs=1),
            lambda x: x[TARGET],
            INPUTS,
            **dict.fromkeys(STRING_INPUTS, "category"),
        ),
    ),
    "xgboost": (
        "flights: XGBoost on numbers, 300 trees",
        lambda: of_flights(XGBRegressor(n_estimators=300, n_jobs=1), lambda x: x[TARGET], NUMBERS),
    ),
    "catboost": (
        "flights: CatBoost with target statistics of texts, 3 classes",
        lambda: of_flights(
            CatBoostClassifier(200, cat_features=STRING_INPUTS, verbose=0, allow_writing_files=False, thread_count=1),
            late,
            [x for x in INPUTS if x != "dep_delay"],
        ),
    ),
    "texts": ("planes: tf-idf of words and pairs, logistic regression", texts),
    "votes": ("breast cancer: a vote of linear, Bayes and boosting", votes),
    "digits": (
        "digits: PCA, a neural network of 64 units",
        lambda: of_arrays(make_pipeline(StandardScaler(), PCA(30), MLPClassifier(64, random_state=0)), load_digits()),
    ),
    "neighbours": (
        "breast cancer: scaled, 7 nearest neighbours",
        lambda: of_arrays(make_pipeline(StandardScaler(), KNeighborsClassifier(7)), load_breast_cancer()),
    ),
    "outliers": (
        "flights: an isolation forest",
        lambda: of_flights(IsolationForest(random_state=0), lambda _: None, [x for x in NUMBERS if x != "plane_year"]),
    ),
    "process": (
        "diabetes: a Gaussian process",
        lambda: of_arrays(GaussianProcessRegressor(RBF() + WhiteKernel(), normalize_y=True), load_diabetes()),
    ),
}


def main() -> None:
    """Pack, ask, keep the results, render the page."""
    wanted = set(sys.argv[1:])
    found = {}
    for name, (title, make) in PIPELINES.items():
        if wanted and name not in wanted:
            continue
        model, rows, others = make()
        package = fourfold.pack(model, name=name, rows=rows, measure=True)
        original = fourfold.pack(model, name=name, rows=rows, engine="original")
        found[name] = {
            "title": title,
            "engines": package.manifest["engines"],
            "asked": len(others),
            **apart(package, original, others),
        }
        print(json.dumps(found[name], indent=1), flush=True)
    if not wanted:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        PAGE.write_text(render(found))


def apart(package: Any, original: Any, others: Any) -> dict[str, float]:
    """How many of other rows have other bits, and how far numbers are apart, by the size of the largest."""
    # A vote of several models is a pickle of scikit-learn's; this script made it.
    ours, its = fourfold.load(package), fourfold.load(original, trust=True)
    rows = [{ours.signature.inputs[0].name: text} for text in others] if isinstance(others, list) else others
    table, refused = tables.read(rows, ours.signature.inputs, "ignore")
    assert not refused, refused[0]
    batch = rows_to_columns(ours.signature.inputs, table) if isinstance(table, list) else table
    differing, gap = np.zeros(len(others), dtype=bool), 0.0
    for pair in zip(ours.predict(batch).columns, its.predict(batch).columns, strict=True):
        got, expected = (np.array(each.to_pylist()).reshape(len(others), -1) for each in pair)
        differing |= (got != expected).any(axis=1)
        if got.dtype.kind == "f":
            gap = max(gap, float(np.abs(got - expected).max() / np.abs(expected).max()))
        else:
            gap = max(gap, float("inf") if (got != expected).any() else 0.0)
    return {"differing": int(differing.sum()), "gap": gap}


def render(found: dict[str, Any]) -> str:
    """The page, from the results."""
    lines = [
        "# Tournaments",
        "",
        "Rendered by `benchmarks/tournaments.py` from `benchmarks/results/tournaments.json`: what `fourfold pack`",
        f"finds of {len(found)} models on real data. Each is asked about rows that neither training nor packing saw; a",
        "gap is that of the numbers that differ most, by the size of the largest answer.",
        "",
    ]
    for each in found.values():
        lines += [
            f"## {each['title'][0].upper()}{each['title'][1:]}",
            "",
            "| engine | one row | rows a second | start-up | memory, MB | against the original |",
            "|---|---|---|---|---|---|",
        ]
        for entry in sorted(each["engines"], key=lambda entry: not entry["chosen"]):
            figures = entry.get("figures")
            cells = ["-"] * 4
            if figures:
                one = figures["one_row"] * 1e6
                cells = [
                    f"{one:,.3g} µs" if one < 1000 else f"{one / 1000:,.3g} ms",
                    f"{figures['rows_per_second']:,.0f}",
                    f"{figures['start_up'] * 1e3:,.0f} ms",
                    f"{figures['memory'] / 2**20:,.0f}",
                ]
            name = f"**{entry['engine']}**" if entry["chosen"] else entry["engine"]
            said = " ".join(verdict_line(entry).split()).replace("|", "\\|")
            lines.append(f"| {name} | {' | '.join(cells)} | {said[:220]} |")
        differ = f"{each['differing']:,} of {each['asked']:,} other rows have other bits"
        lines += ["", differ + (f", a gap of {each['gap']:.1e}." if each["differing"] else "."), ""]
    return "\n".join(lines[:-1]) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
