"""Measure which block each kind of model needs. Writes benchmarks/results/invariance.json and docs/invariance.md.

    .venv/bin/python benchmarks/invariance.py
    .venv/bin/python benchmarks/invariance.py --render     # only the page, from the results as they are

Every model is trained on the same flights and packed with each block in turn, and the invariance test that `pack` runs
says how many rows had other bits in some variation. The table in the docs is rendered from the results, never typed.
"""

from __future__ import annotations

import json
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR
from threadpoolctl import threadpool_info

import fourfold
from fourfold.demo.flights import INPUTS, STRING_INPUTS, TARGET, flights, split

RESULTS = Path(__file__).parent / "results" / "invariance.json"
PAGE = Path(__file__).parent.parent / "docs" / "invariance.md"
BLOCKS: tuple[Any, ...] = ("free", 8, 32, 64)
ROWS = 3_000

REGRESSORS: dict[str, Any] = {
    "linear regression": LinearRegression(),
    "ridge": Ridge(),
    "logistic regression": LogisticRegression(max_iter=3000),
    "MLP, 1 hidden layer of 50": MLPRegressor(hidden_layer_sizes=(50,), max_iter=2000, random_state=0),
    "PCA and ridge": make_pipeline(PCA(10), Ridge()),
    "Gaussian process": GaussianProcessRegressor(),
    "support vectors": SVR(),
    "k nearest neighbours": KNeighborsRegressor(),
    "random forest, 50 trees": RandomForestRegressor(50, random_state=0),
    "gradient boosting": GradientBoostingRegressor(n_estimators=50, random_state=0),
    "histogram boosting": HistGradientBoostingRegressor(random_state=0),
}


def main() -> None:
    """Measure, and write the results and the page."""
    if "--render" in sys.argv[1:]:
        PAGE.write_text(render(json.loads(RESULTS.read_text())))
        return
    table = split(flights(), 10_000)[0].iloc[:ROWS]
    models = {name: _findings(name, estimator, table) for name, estimator in REGRESSORS.items()}
    results = {"environment": _environment(), "rows": ROWS, "models": models}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(render(results))
    print(PAGE.read_text())


def _findings(name: str, estimator: Any, table: pd.DataFrame) -> dict[str, Any]:
    target: Any = table[TARGET]
    if name.startswith("logistic"):
        target = np.where(target > 120, "long", "short")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether training converges does not matter here
        model = _pipeline(estimator).fit(table[INPUTS], target)
    findings = {}
    for block in BLOCKS:
        # Accept any gap: the gap is what is measured.
        package = fourfold.pack(
            model, name="model", rows=table[INPUTS], engine="original", block=block, accept="rtol:0.5"
        )
        findings[str(block)] = package.manifest["exactness"]["tested"][0]
    print(name, {block: finding["differing"] for block, finding in findings.items()}, flush=True)
    return findings


def _pipeline(estimator: Any) -> Any:
    numbers = [name for name in INPUTS if name not in STRING_INPUTS]
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(make_column_transformer((words, STRING_INPUTS), (scaled, numbers)), estimator)


def _environment() -> dict[str, Any]:
    blas = [f"{pool['internal_api']} {pool['version']} ({pool.get('architecture', '')})" for pool in threadpool_info()]
    return {
        "fourfold": fourfold.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "libraries": sorted(set(blas)),
    }


def render(results: dict[str, Any]) -> str:
    """Return the page, rendered from the results."""
    rows = next(iter(results["models"].values()))["free"]["rows"]
    lines = [
        "# Which block each model needs",
        "",
        "Look up which models give a row other bits when other rows are answered with it, and the fixed block that",
        "keeps their bits.",
        "",
        "Rendered by `benchmarks/invariance.py` from `benchmarks/results/invariance.json`. Each cell: how many of the",
        f"{rows} rows had other bits in some variation (alone, sliced, shuffled, repeated, at every offset), and the",
        "largest relative gap. A pipeline of one-hot columns, imputing and scaling comes before every model.",
        "",
        "| model | " + " | ".join("any size" if block == "free" else f"blocks of {block}" for block in BLOCKS) + " |",
        "|---" * (len(BLOCKS) + 1) + "|",
    ]
    for name, findings in results["models"].items():
        cells = [_cell(findings[str(block)]) for block in BLOCKS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    environment = results["environment"]
    lines += ["", f"One machine: {environment['machine']}, Python {environment['python']}, scikit-learn "]
    lines[-1] += f"{environment['scikit-learn']}, NumPy {environment['numpy']}; {', '.join(environment['libraries'])}."
    return "\n".join(lines) + "\n"


def _cell(finding: dict[str, Any]) -> str:
    return "same bits" if not finding["differing"] else f"{finding['differing']} ({finding['largest_gap']:.0e})"


if __name__ == "__main__":
    main()
