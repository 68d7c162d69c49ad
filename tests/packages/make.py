"""Make the packages that every later version must read: python -m tests.packages.make [NAME …]

Each is written to `format-1/` with rows that are not among its golden rows and the answers to them. What is there
already is never written again: a package that was made once keeps its bytes. The data are drawn here, from a seed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import onnx
import pandas as pd
import xgboost
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fourfold
from fourfold import tables
from fourfold.codecs import json_rows
from fourfold.package import Package, write_package
from fourfold.signature.columns import columns_to_rows
from tests.packages import adder

FOLDER = Path(__file__).parent / "format-1"
GENERATOR = np.random.default_rng(2026)
ROWS = 200
FRAME = pd.DataFrame(
    {
        "speed": GENERATOR.normal(60, 20, ROWS),
        "load": GENERATOR.normal(3, 1, ROWS).astype(np.float32),
        "stops": GENERATOR.integers(0, 12, ROWS),
        "kind": GENERATOR.choice(["bus", "tram", "ferry"], ROWS),
        "is_late": GENERATOR.random(ROWS) < 0.3,
    }
)
MINUTES = FRAME["stops"] * 2.5 + FRAME["speed"] / 30 + (FRAME["kind"] == "ferry") * 9 + GENERATOR.normal(0, 1, ROWS)
LATE = (MINUTES.median() < MINUTES).map({True: "late", False: "in time"}).to_numpy()
NUMBERS = FRAME[["speed", "load", "stops"]].astype(np.float64)
GAPS = NUMBERS.mask(GENERATOR.random(NUMBERS.shape) < 0.1)
CODED = FRAME.assign(kind=FRAME["kind"].astype("category"))[["speed", "stops", "kind"]]
NOTES = [" ".join(GENERATOR.choice(["fog", "ice", "strike", "on time", "late", "Straße"], 4)) for _ in range(ROWS)]


def _columns(model: Any) -> Any:
    known = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["speed", "load"]),
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
        remainder="passthrough",
    )
    return make_pipeline(known, model)


def _doubling_network() -> bytes:
    """Return an ONNX model of a tensor of two columns: a matrix product and a bias."""
    weights = numpy_helper.from_array(np.array([[2.0, -1.0], [0.5, 4.0]], np.float32), "w")
    bias = numpy_helper.from_array(np.array([0.25, -3.0], np.float32), "b")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "doubling", ports[:1], ports[1:], [weights, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


#: What is packed, by the package's name: the model, its rows, and options of `pack`.
MAKERS: dict[str, Callable[[], tuple[Any, Any, dict[str, Any]]]] = {
    "plan-forest": lambda: (
        _columns(RandomForestRegressor(8, max_depth=5, random_state=0)).fit(FRAME, MINUTES),
        FRAME,
        {},
    ),
    "plan-linear": lambda: (_columns(LogisticRegression(max_iter=500)).fit(FRAME, LATE), FRAME, {}),
    "plan-boosting": lambda: (
        HistGradientBoostingClassifier(max_iter=8, categorical_features="from_dtype", random_state=0).fit(CODED, LATE),
        CODED,
        {},
    ),
    "plan-texts": lambda: (make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), Ridge()).fit(NOTES, MINUTES), NOTES, {}),
    "plan-lightgbm": lambda: (
        lightgbm.LGBMRegressor(n_estimators=8, min_child_samples=5, verbose=-1, random_state=0).fit(CODED, MINUTES),
        CODED,
        {},
    ),
    "sklearn-neighbours": lambda: (make_pipeline(KNNImputer(n_neighbors=3), Ridge()).fit(GAPS, MINUTES), GAPS, {}),
    "sklearn-blocks": lambda: (_columns(Ridge()).fit(FRAME, MINUTES), FRAME, {"engine": "original"}),
    "lightgbm": lambda: (
        lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=5, verbose=-1, random_state=0).fit(CODED, LATE),
        CODED,
        {"engine": "original"},
    ),
    "xgboost": lambda: (
        xgboost.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1).fit(NUMBERS, MINUTES),
        NUMBERS,
        {"engine": "original"},
    ),
    "catboost": lambda: (
        catboost.CatBoostRegressor(
            iterations=5, depth=3, verbose=False, thread_count=1, allow_writing_files=False, random_seed=0
        ).fit(NUMBERS, MINUTES),
        NUMBERS,
        {"engine": "original"},
    ),
    "onnx": lambda: (_doubling_network(), np.asarray(NUMBERS[["speed", "load"]], np.float32), {}),
    "python": lambda: (
        adder.add,
        [{"a": float(a), "b": int(b)} for a, b in zip(GAPS["load"].fillna(0), FRAME["stops"], strict=True)],
        {},
    ),
}


def make(name: str) -> None:
    """Write a package with rows and their answers."""
    model, rows, options = MAKERS[name]()
    package: Package = fourfold.pack(model, name=name, rows=rows, **options)
    predictor = fourfold.load(package, trust="code")
    inputs, outputs = package.signature.inputs, package.signature.outputs
    if isinstance(rows, list) and isinstance(rows[0], str):
        rows = [{inputs[0].name: text} for text in rows]
    table, errors = tables.read(rows, inputs)
    assert not errors, errors[0]
    plain = (table if isinstance(table, list) else columns_to_rows(inputs, table))[1::7]
    answers = predictor.predict(plain)
    write_package(package, FOLDER / f"{name}.fourfold")
    asked = {"digest": package.digest, "inputs": json.loads(json_rows.encode(plain, inputs))}
    asked["outputs"] = json.loads(json_rows.encode(answers, outputs))
    (FOLDER / f"{name}.json").write_text(json.dumps(asked, ensure_ascii=False) + "\n", "utf-8")
    with (FOLDER / "SHA256").open("a", encoding="ascii") as sums:
        for file in (f"{name}.fourfold", f"{name}.json"):
            sums.write(f"{hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()}  {file}\n")
    print(f"{name}: {package.manifest['runtime']['name']}, {package.size:,} bytes, {len(plain)} rows")


def main() -> None:
    """Make what is not there yet, or of that what is named."""
    FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or list(MAKERS)
    for name in wanted:
        if not (FOLDER / f"{name}.fourfold").exists():
            make(name)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
