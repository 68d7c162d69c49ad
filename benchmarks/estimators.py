"""Pack and certify every estimator that scikit-learn ships.

    PYTHONPATH=. .venv/bin/python benchmarks/estimators.py [NAME ...]
    PYTHONPATH=. .venv/bin/python benchmarks/estimators.py --render     # only the page, from the results as they are

Writes benchmarks/results/estimators.json and docs/estimators.md; with names, only the results of these are new. Every
regressor, classifier, clusterer and transformer is fitted with the parameters that scikit-learn's own tests give it, on
data with missing values and text where it takes them, packed with its default methods, loaded, and certified: rows
through the doors of the embedded approach, and where the package is a plan through all four architectures. The page is
rendered from the results, never typed.
"""

from __future__ import annotations

import contextlib
import io
import json
import platform
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import is_classifier, is_clusterer, is_regressor
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.neighbors import LocalOutlierFactor
from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances

import fourfold
from benchmarks.pages import list_item, shorten
from fourfold.certificate import certify
from fourfold.errors import FourfoldError

RESULTS = Path(__file__).parent / "results" / "estimators.json"
PAGE = Path(__file__).parent.parent / "docs" / "estimators.md"
ROWS = 240
#: One estimator may take so long.
TIMEOUT_S = 240
RANDOM = np.random.default_rng(42)
NUMBERS = pd.DataFrame(
    RANDOM.normal(size=(ROWS, 5)) * [1.0, 10.0, 0.1, 3.0, 1.0], columns=["load", "delay", "slope", "wind", "noise"]
)
WORDS = RANDOM.choice(["red", "green", "blue", "ultramarine"], ROWS)
TARGET = 2 * NUMBERS["load"] - NUMBERS["delay"] / 5 + np.where(WORDS == "red", 3.0, 0.0)
TEXTS = [" ".join(RANDOM.choice(["plane", "late", "gate", "Zürich", "on", "time", "fog"], 6)) for _ in range(ROWS)]


def main() -> None:
    """Try the estimators, or those named on the command line, and write the results and the page."""
    wanted = set(sys.argv[1:])
    if wanted == {"--render"}:
        PAGE.write_text(render(json.loads(RESULTS.read_text())))
        return
    outcomes = {}
    for name, kind in all_estimators():
        if not wanted or name in wanted:
            begun = time.perf_counter()
            outcomes[name] = try_estimator(kind)
            print(f"{name:32} {time.perf_counter() - begun:6.1f} s  {outcomes[name]}", flush=True)
    results = {
        "environment": {
            "fourfold": fourfold.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "estimators": {**(json.loads(RESULTS.read_text())["estimators"] if wanted else {}), **outcomes},
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(render(results))


#: Where scikit-learn's tests have no parameters, or some that make no function of a row or far too wide an answer.
INSTANCES = {
    "DummyClassifier": lambda: DummyClassifier(strategy="prior"),
    "FrozenEstimator": lambda: FrozenEstimator(Ridge().fit(NUMBERS, TARGET)),
    "LocalOutlierFactor": lambda: LocalOutlierFactor(novelty=True),
    "HashingVectorizer": lambda: HashingVectorizer(n_features=256),
}


class _SlowError(Exception):
    """Report that an estimator took too long."""


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raise `_SlowError` in a block that takes longer than `TIMEOUT_S`."""

    def ring(*_: object) -> None:
        raise _SlowError

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)


def try_estimator(kind: Any) -> dict[str, Any]:
    """Return the outcome of one estimator: its group, how it was packed, and its certificate."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            with time_limit():
                model = (
                    INSTANCES[kind.__name__]() if kind.__name__ in INSTANCES else next(iter(_construct_instances(kind)))
                )
                group = group_of(model)
                return {"group": group, **fit_and_pack(model)}
        except _SlowError:
            return {"group": "other", "outcome": "no", "why": f"it took longer than {TIMEOUT_S} s"}
        # Any estimator's constructor or fit may raise anything on data that it does not take.
        except Exception as error:  # noqa: BLE001
            return {"group": "other", "outcome": "no", "why": f"{type(error).__name__}: {short(error)}"}


def group_of(model: Any) -> str:
    """Return the kind of estimator: classifier, regressor, clusterer, transformer or other."""
    if is_classifier(model):
        return "classifier"
    if is_regressor(model):
        return "regressor"
    if is_clusterer(model):
        return "clusterer"
    return "transformer" if hasattr(model, "transform") or hasattr(type(model), "transform") else "other"


def data_for(model: Any) -> list[tuple[str, Any]]:
    """Return the data that an estimator may take, the hardest first: text and missing values."""
    tags = get_tags(model)
    inputs = tags.input_tags
    holed = NUMBERS.mask(np.random.default_rng(1).random(NUMBERS.shape) < 0.1)
    out: list[tuple[str, Any]] = []
    name = type(model).__name__
    if name in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
        return [("texts", TEXTS)]
    if name == "KernelCenterer":
        return [("a kernel", pd.DataFrame(NUMBERS.to_numpy() @ NUMBERS.to_numpy().T).rename(columns=str))]
    if inputs.string or inputs.categorical:
        words = pd.DataFrame({"word": WORDS, "other": RANDOM.choice(np.array(["a", "b", None], dtype=object), ROWS)})
        out += [("text with missing values", words), ("text", words[["word"]])]
    if inputs.allow_nan:
        out.append(("numbers with missing values", holed))
    out += [("numbers", NUMBERS), ("positive numbers", NUMBERS.abs()), ("one column", NUMBERS[["load"]])]
    if inputs.one_d_array:
        out.append(("one column of labels", NUMBERS[["load"]]))
    out.append(("numbers from 0 to 1", (NUMBERS - NUMBERS.min()) / (NUMBERS.max() - NUMBERS.min())))
    return out


def targets_for(model: Any) -> list[Any]:
    """Return the targets that an estimator may take."""
    tags = get_tags(model)
    labels = np.array(["low", "mid", "high"])[np.digitize(TARGET, [-2.0, 2.0])]
    binary = np.where(TARGET > 0, "up", "down")
    several = np.column_stack([TARGET, TARGET**2])
    if tags.target_tags.single_output is False or tags.target_tags.multi_output:
        multi: list[Any] = [np.column_stack([labels, binary])] if is_classifier(model) else [several]
    else:
        multi = []
    if is_classifier(model):
        return [labels, binary, *multi, (several > np.median(several, axis=0)).astype(int), np.digitize(TARGET, [0.0])]
    return [TARGET, *multi, TARGET.abs() + 1, np.digitize(TARGET, [0.0]), None]


def fit_and_pack(model: Any) -> dict[str, Any]:
    """Fit, pack and certify a model on the first data that it takes, and return the outcome."""
    reasons: list[str] = []
    for data_name, data in data_for(model):
        for target in targets_for(model):
            fresh = sklearn.base.clone(model)
            try:
                fresh.fit(data, target) if target is not None else fresh.fit(data)
                package = fourfold.pack(fresh, name="estimator", rows=data)
            except _SlowError:
                raise
            except FourfoldError as error:
                reasons.append(short(error))
                continue
            except Exception as error:  # noqa: BLE001 - as above
                reasons.append(f"{type(error).__name__}: {short(error)}")
                continue
            return {"data": data_name, **describe_engine(package), **certify_package(package, data)}
    refusals = [reason for reason in reasons if "Error:" not in reason]  # Fourfold's own
    return {"outcome": "no", "why": refusals[0] if refusals else reasons[-1]}


def describe_engine(package: Any) -> dict[str, Any]:
    """Return whether the package is a plan, and the tournament's entry for the plan."""
    engines = package.manifest["engines"]
    plan = next(entry for entry in engines if entry["engine"] == "plan")
    if plan["chosen"]:
        scaled = {str(comparison["factor"]): comparison.get("ulp", 0) for comparison in plan.get("scaled", [])}
        comparison = {"ulp": plan.get("ulp", 0), "compared": plan["rows"], "scaled": scaled, "why": plan.get("why", "")}
        return {"outcome": plan["verdict"], **comparison}
    return {"outcome": "original", "why": plan.get("why", "")}


def certify_package(package: Any, data: Any) -> dict[str, Any]:
    """Certify a package, and return the numbers of doors, rows and differing answers."""
    predictor = fourfold.load(package, trust="code")
    rows = [{predictor.signature.inputs[0].name: text} for text in data] if isinstance(data, list) else data
    is_plan = package.manifest["runtime"]["name"] == "plan"
    architectures = ("service", "stream", "batch", "embed") if is_plan else ("embed",)
    certificate = certify(predictor, rows, architectures=architectures)
    doors = {(door.architecture, door.door) for door in certificate.doors}
    return {"doors": len(doors), "rows": certificate.rows, "certificate": certificate.differing}


def ulp_of(value: Any) -> str:
    """Return a distance as a cell of a table; a dash where there is none."""
    return f"{value:.2g}" if isinstance(value, (int, float)) else "no bound" if value else "-"


def short(error: Any) -> str:
    """Return the first line of an error."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


_TITLES = {
    "exact": "A plan with the original's bits, which arithmetic defines",
    "equal": "A plan with the original's bits in every row that was compared; a BLAS or a libm decides about others",
    "bound": "A plan within a bound: the original's own last bits depend on a BLAS or a libm",
    "original": "Packed with its own engine, whole",
    "no": "Not packed",
}


def render(results: dict[str, Any]) -> str:
    """Return the page, rendered from the results."""
    estimators = results["estimators"]
    counts = Counter(entry["outcome"] for entry in estimators.values())
    total = len(estimators)
    packs = total - counts["no"]
    plans = counts["exact"] + counts["equal"] + counts["bound"]
    differing = sum(entry.get("certificate", 0) for entry in estimators.values())
    lines = [
        "# Every estimator of scikit-learn",
        "",
        "Look up whether your scikit-learn estimator can be packed, which engine then answers, and how near its",
        "answers are to the estimator's own.",
        "",
        "Rendered by `benchmarks/estimators.py` from `benchmarks/results/estimators.json`: every estimator that",
        "scikit-learn ships, fitted on data with missing values and text where it takes them, packed and certified.",
        "",
        f"Of {total} estimators {packs} are packed. {plans} run as a plan: {counts['exact']} with the original's bits,",
        f"which arithmetic defines, {counts['equal']} with the original's bits in every row that was compared, and",
        f"{counts['bound']} within the bound below. {counts['original']} keep their own engine. Through all doors that",
        f"were certified {differing} answers differ.",
        "",
    ]
    for outcome, title in _TITLES.items():
        entries = {name: entry for name, entry in sorted(estimators.items()) if entry["outcome"] == outcome}
        lines += [f"## {title}: {len(entries)}", ""]
        if outcome in ("exact", "equal", "bound"):
            lines += [
                "| estimator | kind | data | compared | ulp | at 10 times | at 100 times | doors | rows | differing |",
                "|---|---|---|---|---|---|---|---|---|---|",
            ]
            lines += [
                f"| {name} | {entry['group']} | {entry['data']} | {entry['compared']} | {ulp_of(entry['ulp'])} | "
                f"{ulp_of(entry['scaled'].get('10'))} | {ulp_of(entry['scaled'].get('100'))} | {entry['doors']} | "
                f"{entry['rows']} | {entry['certificate']} |"
                for name, entry in entries.items()
            ]
        else:
            for name, entry in entries.items():
                lines += list_item(f"**{name}** ({entry['group']}): {shorten(str(entry['why']), 200)}")
        lines.append("")
    environment = results["environment"]
    lines.append(
        f"scikit-learn {environment['scikit-learn']}, NumPy {environment['numpy']}, Python {environment['python']}, "
        f"{environment['machine']}."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
