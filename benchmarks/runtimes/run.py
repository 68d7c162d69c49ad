"""How fast is a plan, beside the original and its peers? Writes benchmarks/results/runtimes.json and docs/speed.md.

    PYTHONPATH=. .venv/bin/python benchmarks/runtimes/run.py [--rounds 3] [--seconds 2]
    PYTHONPATH=. .venv/bin/python benchmarks/runtimes/run.py --render

Peers that need other versions get environments of their own below build/benchmarks (requirements-*.txt beside this
file). Every engine runs in a process of its own, pinned to one core; the rounds go through all engines in turn, and the
least of all rounds counts, so that a busy machine hurts nobody more than another. The tables in the docs are rendered
from the results, never typed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

import fourfold
from benchmarks.pages import paragraph
from build_backend import compilers
from fourfold import tables
from fourfold.demo.flights import INPUTS, TARGET, flights, pipeline, split
from fourfold.package import write_package
from fourfold.runtimes.plan import FILE

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE.parent / "results" / "runtimes.json"
LARGE = HERE.parent / "results" / "large.json"
PAGE = ROOT / "docs" / "speed.md"
MANY = 20_000
#: The environment of each engine of worker.py, and the models that its error is measured against.
ENVIRONMENTS = {
    "sklearn": ("", "sklearn"),
    "fourfold dicts": ("", "sklearn"),
    "fourfold arrow": ("", "sklearn"),
    "onnx": ("", "sklearn"),
    "lightgbm": ("", "lightgbm"),
    "lightgbm fast": ("", "lightgbm"),
    "fourfold lightgbm": ("", "lightgbm"),
    "treelite": ("peers", "lightgbm"),
    "tl2cgen": ("peers", "lightgbm"),
    "lleaves": ("lleaves", "lightgbm"),
    "xgboost": ("", "xgboost"),
    "fourfold xgboost": ("", "xgboost"),
    "ydf": ("peers", ""),
}
SHOWN = {
    "sklearn": "scikit-learn pipeline, from a data frame",
    "fourfold dicts": "**Fourfold**, dicts in and out, validated",
    "fourfold arrow": "**Fourfold**, Arrow in and out, text included",
    "bare flights": "the evaluator alone, in C, the same plan",
    "bare features": "the evaluator alone, in C, on ready features",
    "onnx": "ONNX Runtime, trees only, float32, ready features",
    "lightgbm": "LightGBM, ready features",
    "lightgbm fast": "LightGBM, its C interface for one row",
    "fourfold lightgbm": "**Fourfold**, a plan of the same LightGBM model",
    "bare lightgbm": "the evaluator alone, in C, the same plan",
    "treelite": "treelite GTIL",
    "tl2cgen": "tl2cgen, compiled by gcc",
    "lleaves": "lleaves, compiled by LLVM",
    "xgboost": "XGBoost, ready features",
    "fourfold xgboost": "**Fourfold**, a plan of the same XGBoost model",
    "bare xgboost": "the evaluator alone, in C, the same plan",
    "ydf": "YDF's serving engine",
}


def main() -> None:
    """Measure, keep the results, render the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--render", action="store_true", help="only the page, from the results as they are")
    given = parser.parse_args()
    if given.render:
        PAGE.write_text(page())
        return
    pythons = {"": sys.executable, **{name: environment(name) for name in ("peers", "lleaves")}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        facts = prepare(folder)
        bare = build_bare(folder)
        timings: dict[str, dict[str, float]] = {}
        for turn in range(given.rounds):
            for engine, (where, _) in ENVIRONMENTS.items():
                keep(timings, engine, worker(pythons[where], engine, folder, given.seconds))
            for plan in ("flights", "features", "lightgbm", "xgboost"):
                keep(timings, f"bare {plan}", run_bare(bare, folder, plan, given.seconds))
            print(f"round {turn + 1}", {each: round(found["many"]) for each, found in timings.items()}, flush=True)
        results = {
            "environment": machine(),
            "facts": facts,
            "timings": timings,
            "errors": errors(folder),
            "start": start_up(folder),
            "growth": growth(folder),
        }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page())
    print(PAGE.read_text())


def environment(name: str) -> str:
    """The Python of an environment with other versions, made where it is not there."""
    folder = ROOT / "build" / "benchmarks" / name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        listed = HERE / f"requirements-{name}.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", listed], check=True)
    return str(python)


def prepare(folder: Path) -> dict[str, Any]:
    """Train the models, and leave them and the rows in a folder."""
    train, held_out = split(flights(), MANY)
    model = pipeline().fit(train[INPUTS], train[TARGET])
    frame = held_out[INPUTS].reset_index(drop=True)
    joblib.dump(model, folder / "pipeline.joblib")
    frame.to_parquet(folder / "frame.parquet")
    package = fourfold.pack(model, name="flights", rows=train[INPUTS].head(2000), engine="plan")
    write_package(package, folder / "flights.fourfold")
    batch, refused = tables.read(frame, package.signature.inputs)
    assert not refused
    pq.write_table(pa.Table.from_batches([batch]), folder / "canonical.parquet")
    from fourfold.signature.columns import columns_to_rows

    (folder / "rows.json").write_text(json.dumps(columns_to_rows(package.signature.inputs, batch)))
    (folder / "flights.plan").write_bytes(package.read(FILE))
    (folder / "flights.rows").write_bytes(bare_rows(batch, package.signature.inputs))
    ready, target = model[:-1].transform(train[INPUTS]), train[TARGET].to_numpy()
    features = np.ascontiguousarray(model[:-1].transform(frame), dtype=np.float64)
    np.save(folder / "train.npy", ready)
    np.save(folder / "target.npy", target)
    np.save(folder / "features.npy", features)
    trees(model[-1], ready, folder)
    booster = lightgbm.train(
        {"num_leaves": 31, "learning_rate": 0.1, "objective": "regression", "verbosity": -1, "num_threads": 1},
        lightgbm.Dataset(np.asarray(ready), target),
        200,
    )
    booster.save_model(folder / "lightgbm.txt")
    plan_of(booster, ready, "lightgbm", features, folder)
    single = xgboost.train(
        {"max_leaves": 31, "grow_policy": "lossguide", "max_depth": 0, "tree_method": "hist", "eta": 0.1},
        xgboost.DMatrix(ready, target),
        200,
    )
    single.save_model(folder / "xgboost.json")
    plan_of(single, ready, "xgboost", features, folder)
    return {"rows": MANY, "columns": len(INPUTS), "features": features.shape[1], "trees": 200, "leaves": 31}


def trees(boosting: Any, ready: Any, folder: Path) -> None:
    """The last step of the pipeline alone: a plan on ready features, and an ONNX file."""
    features = np.load(folder / "features.npy")
    plan_of(boosting, ready, "features", features, folder)
    made = to_onnx(boosting, initial_types=[("X", FloatTensorType([None, features.shape[1]]))], target_opset=18)
    (folder / "trees.onnx").write_bytes(made.SerializeToString())


def plan_of(model: Any, ready: Any, name: str, features: Any, folder: Path) -> None:
    """A package of a model on ready features, and its plan and rows for the evaluator alone."""
    package = fourfold.pack(model, name=name, rows=np.ascontiguousarray(ready[:2000], dtype=np.float64), engine="plan")
    write_package(package, folder / f"{name}.fourfold")
    batch, refused = tables.read(features, package.signature.inputs)
    assert not refused
    (folder / f"{name}.plan").write_bytes(package.read(FILE))
    (folder / f"{name}.rows").write_bytes(bare_rows(batch, package.signature.inputs))


def bare_rows(batch: Any, fields: Any) -> bytes:
    """A canonical batch as bare.c reads it."""
    out = [struct.pack("<Q", batch.num_rows)]
    for column, field in zip(batch.columns, fields, strict=True):
        assert column.offset == 0
        buffers = column.buffers()
        runs = [buffers[1], buffers[2] if field.dtype == "string" else None, buffers[0]]
        for run in runs:
            data = b"" if run is None else run.to_pybytes()
            out += [struct.pack("<Q", len(data)), data]
    return b"".join(out)


def build_bare(folder: Path) -> Path:
    """The evaluator and bare.c, compiled as the wheel is."""
    program, source = folder / "bare", ROOT / "src" / "fourfold" / "plan" / "evaluator"
    said = compilers.find().run(*compilers.FLAGS, f"-I{source}", HERE / "bare.c", source / "evaluator.c", "-o", program)
    assert not said, said
    return program


def run_bare(program: Path, folder: Path, plan: str, seconds: float) -> dict[str, float]:
    """The evaluator alone on a plan, pinned to the core that the others run on."""
    core = str(max(os.sched_getaffinity(0)))
    command = ["taskset", "-c", core, program, folder / f"{plan}.plan", folder / f"{plan}.rows", str(seconds)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def worker(python: str, engine: str, folder: Path, seconds: float) -> dict[str, float]:
    """One engine, in a process of its own."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [python, HERE / "worker.py", engine, folder, str(seconds)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **single})
    if finished.returncode:
        sys.exit(f"{engine}: {finished.stderr[-2000:]}")
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return found


def keep(timings: dict[str, dict[str, float]], engine: str, found: dict[str, float]) -> None:
    """The least of all rounds."""
    before = timings.setdefault(engine, dict(found))
    for name, value in found.items():
        before[name] = min(before[name], value)


def errors(folder: Path) -> dict[str, dict[str, float]]:
    """How far each engine is from the model that it runs."""
    out = {}
    for engine, (_, original) in ENVIRONMENTS.items():
        if original:
            expected, got = np.load(folder / f"{original}.npy"), np.load(folder / f"{engine}.npy")
            apart = np.abs(expected - got)
            out[engine] = {"differing": int((expected != got).sum()), "largest": float(apart.max())}
    return out


def start_up(folder: Path) -> dict[str, float]:
    """Seconds to import, load and answer once, beside a Python that imports json; the least of 15 turns each."""
    rows = json.loads((folder / "rows.json").read_text())
    row = next(row for row in rows if row["plane_year"] == row["plane_year"])
    package = folder / "flights.fourfold"
    program = f"import fourfold; fourfold.load({str(package)!r}).predict_one({row!r})"
    code = {"json": "import json", "fourfold": program}
    least = dict.fromkeys(code, float("inf"))
    for _ in range(15):
        for name, each in code.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", each], check=True)
            least[name] = min(least[name], time.perf_counter() - begun)
    return least


_GROWTH = """
import resource, sys, time
import pyarrow as pa
import pyarrow.parquet as pq, pyarrow as pa
import fourfold
predictor = fourfold.load(sys.argv[1])
batch = pq.read_table(sys.argv[2]).combine_chunks().to_batches()[0]
predictor.predict(batch)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
for _ in range(int(sys.argv[3])):
    predictor.predict(batch)
print(time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def growth(folder: Path) -> list[dict[str, float]]:
    """Seconds and memory for more and more rows, in calls of 20,000."""
    out = []
    for calls in (5, 50, 250):
        command = [sys.executable, "-c", _GROWTH, folder / "flights.fourfold", folder / "canonical.parquet", str(calls)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        out.append({"rows": calls * MANY, "seconds": float(said[0]), "megabytes": float(said[1])})
    return out


def machine() -> dict[str, Any]:
    """What this ran on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    libraries = ("scikit-learn", "lightgbm", "xgboost-cpu", "onnxruntime", "skl2onnx", "numpy", "pandas")
    peers = [line for name in ("peers", "lleaves") for line in (HERE / f"requirements-{name}.txt").read_text().split()]
    return {
        "cpu": cpu,
        "python": platform.python_version(),
        "compiler": str(compilers.find()),
        "libraries": {name: version(name) for name in libraries},
        "peers": sorted(set(peers)),
    }


def page() -> str:
    """The page, from the results that are kept."""
    return render(json.loads(RESULTS.read_text()), json.loads(LARGE.read_text())["models"])


def render(results: dict[str, Any], large: dict[str, dict[str, Any]]) -> str:
    """The page, from the results of run.py and of large.py."""
    timings, facts, start = results["timings"], results["facts"], results["start"]
    original = timings["sklearn"]
    lines = [
        "# Speed",
        "",
        "See how fast one row and many rows are answered, beside the libraries' own engines and other compilers.",
        "",
        "Rendered by `benchmarks/runtimes/run.py` from `benchmarks/results/runtimes.json`. The flight pipeline of the",
        f"demonstration: {facts['columns']} columns, 3 of them text, one-hot to {facts['features']} features,",
        f"{facts['trees']} boosted trees of {facts['leaves']} leaves. One core, one process an engine, all in one run;",
        "the least of all rounds. Ratios mean something, times are this machine's. `differs` counts rows, of",
        f"{facts['rows']:,}, whose answer has other bits than that of the model that the engine runs.",
        "",
    ]
    groups = {
        "The pipeline, and engines of it": ["sklearn", "fourfold dicts", "fourfold arrow", "bare flights"],
        "Its trees alone, on ready features": ["bare features", "onnx"],
        "A LightGBM model of the same size, on the same features": [
            *("lightgbm", "lightgbm fast", "fourfold lightgbm", "bare lightgbm", "treelite", "tl2cgen", "lleaves"),
        ],
        "An XGBoost model of the same size, on the same features": ["xgboost", "fourfold xgboost", "bare xgboost"],
        "YDF, a model of its own of the same size, on the same features": ["ydf"],
    }
    for title, engines in groups.items():
        lines += [f"## {title}", "", "| engine | one row | x | many rows, a second | x | differs | by up to |"]
        lines.append("|---|---|---|---|---|---|---|")
        for engine in engines:
            lines.append(_line(engine, timings[engine], original, results["errors"].get(engine)))
        lines.append("")
    lines += [
        "The columns x say how many times the original pipeline's speed that is.",
        "",
        "## What was asked for",
        "",
    ]
    lines += ["| | target | measured |", "|---|---|---|"]
    lines += [f"| {what} | {target} | {measured} |" for what, target, measured in targets(timings, start)]
    lines += ["", "## Growth", "", "| rows | seconds | rows a second | memory, MB more |", "|---|---|---|---|"]
    for each in results["growth"]:
        rate = each["rows"] / each["seconds"]
        lines.append(f"| {each['rows']:,} | {each['seconds']:.2f} | {rate:,.0f} | {each['megabytes']:.0f} |")
    lines += [
        "",
        "## Large forests",
        "",
        "Rendered from `benchmarks/results/large.json`, which `benchmarks/runtimes/large.py` writes: forests on the",
        "ready features. Seconds to load are those to the first answer; x says how many times the original's speed",
        "that is.",
        "",
        "| forest | nodes | packed in | MB | loaded in | original in | one row | x | rows a second | x | differs |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += map(_large, large.values())
    where = results["environment"]
    libraries = ", ".join(f"{name} {number}" for name, number in where["libraries"].items())
    lines += [
        "",
        *paragraph(
            f"{where['cpu']}, Python {where['python']}, {where['compiler']}; {libraries}; {', '.join(where['peers'])}."
        ),
    ]
    return "\n".join(lines) + "\n"


def _large(found: dict[str, Any]) -> str:
    ours, original = found["fourfold"], found["original"]
    cells = (
        *(found["title"], f"{found['nodes']:,}", f"{found['pack']:.1f} s", f"{found['megabytes']:.0f}"),
        *(f"{ours['load']:.2f} s", f"{original['load']:.2f} s", f"{ours['one'] / 1000:,.0f} µs"),
        *(f"{original['one'] / ours['one']:,.0f}", f"{1e9 / ours['many']:,.0f}"),
        *(f"{original['many'] / ours['many']:.1f}", f"{found['differing']:,}"),
    )
    return f"| {' | '.join(cells)} |"


def _line(engine: str, found: dict[str, float], original: dict[str, float], error: dict[str, float] | None) -> str:
    one, rate = found["one"] / 1000, 1e9 / found["many"]
    shown = f"{one:,.0f} µs" if one >= 100 else f"{one:.2g} µs" if one < 10 else f"{one:.0f} µs"
    ratios = (original["one"] / found["one"], original["many"] / found["many"])
    differs = (
        ("", "")
        if error is None
        else (f"{error['differing']:,}", f"{error['largest']:.1g}" if error["largest"] else "0")
    )
    speed = f"{shown} | {ratios[0]:,.3g} | {rate:,.0f} | {ratios[1]:.3g}"
    return f"| {SHOWN[engine]} | {speed} | {differs[0]} | {differs[1]} |"


def targets(timings: dict[str, dict[str, float]], start: dict[str, float]) -> list[tuple[str, str, str]]:
    """What issue and design ask for, beside what was measured."""
    one = {name: found["one"] for name, found in timings.items()}
    many = {name: found["many"] for name, found in timings.items()}
    allowed = 1.5 * start["json"] + 0.05
    return [
        (
            "one row, dict to dict: the original's time over ours",
            "1500",
            f"{one['sklearn'] / one['fourfold dicts']:,.0f}",
        ),
        (
            "one row, dict to dict, over the evaluator alone",
            "at most 3",
            f"{one['fourfold dicts'] / one['bare flights']:.2f}",
        ),
        ("many rows, Arrow to Arrow, over the original", "10", f"{many['sklearn'] / many['fourfold arrow']:.1f}"),
        (
            "many rows, Arrow to Arrow, over the evaluator alone on ready features",
            "0.7",
            f"{many['bare features'] / many['fourfold arrow']:.2f}",
        ),
        (
            "the evaluator alone on ready features, over ONNX Runtime's trees",
            "3",
            f"{many['onnx'] / many['bare features']:.1f}",
        ),
        ("the evaluator alone over lleaves, on the same model", "1", f"{many['lleaves'] / many['bare lightgbm']:.2f}"),
        ("the evaluator alone over YDF's serving engine", "1", f"{many['ydf'] / many['bare lightgbm']:.2f}"),
        ("import, load and first answer", f"{allowed * 1000:.0f} ms", f"{start['fourfold'] * 1000:.0f} ms"),
        ("rows a second, Arrow to Arrow, text included", "1,000,000", f"{1e9 / many['fourfold arrow']:,.0f}"),
    ]


if __name__ == "__main__":
    main()
