"""Times one engine on one core, in an environment of its own.

    worker.py ENGINE FOLDER SECONDS

Prints one JSON line: nanoseconds for a row alone (`one`) and for a row among many (`many`), each the least of many
calls, and seconds to load. Leaves its answers in FOLDER/ENGINE.npy. It does not import Fourfold for another engine.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

#: Rows of one call among many, and rows that are asked alone in turn.
MANY, ALONE = 20_000, 200

Engine = tuple[Callable[[Any], Any], Sequence[Any], Callable[[Any], Any], Any]


def sklearn_pipeline(folder: Path) -> Engine:
    """The original: a pipeline that takes a data frame."""
    import joblib
    import pandas as pd

    model = joblib.load(folder / "pipeline.joblib")
    frame = pd.read_parquet(folder / "frame.parquet")
    alone = [frame.iloc[[row]] for row in range(ALONE)]
    return model.predict, alone, model.predict, frame


def fourfold_dicts(folder: Path) -> Engine:
    """Fourfold as a caller has it: a dict in, a dict out; a list of dicts for many."""
    import fourfold

    predictor = fourfold.load(folder / "flights.fourfold")
    rows = json.loads((folder / "rows.json").read_text())
    return predictor.predict_one, rows[:ALONE], predictor.predict, rows


def fourfold_arrow(folder: Path) -> Engine:
    """Fourfold as architectures have it: an Arrow batch in, an Arrow batch out, text included."""
    import pyarrow.parquet as pq

    import fourfold

    predictor = fourfold.load(folder / "flights.fourfold")
    batch = pq.read_table(folder / "canonical.parquet").combine_chunks().to_batches()[0]
    return predictor.predict, [batch.slice(row, 1) for row in range(ALONE)], predictor.predict, batch


def fourfold_lightgbm(folder: Path) -> Engine:
    """Fourfold's plan of the LightGBM model that lleaves, treelite and tl2cgen run."""
    return fourfold_features(folder / "lightgbm.fourfold", folder)


def fourfold_xgboost(folder: Path) -> Engine:
    """Fourfold's plan of the XGBoost model."""
    return fourfold_features(folder / "xgboost.fourfold", folder)


def fourfold_features(package: Path, folder: Path) -> Engine:
    """A plan on ready features: dicts for one row, an Arrow batch for many."""
    import numpy as np
    import pyarrow as pa

    import fourfold

    predictor = fourfold.load(package)
    features = np.load(folder / "features.npy")
    names = [field.name for field in predictor.signature.inputs]
    batch = pa.RecordBatch.from_arrays([pa.array(column) for column in features.T], names=names)
    rows = [dict(zip(names, map(float, features[row]), strict=True)) for row in range(ALONE)]
    return predictor.predict_one, rows, predictor.predict, batch


def lightgbm_booster(folder: Path) -> Engine:
    """LightGBM's own predictor, by its Python interface."""
    import lightgbm
    import numpy as np

    booster = lightgbm.Booster(model_file=folder / "lightgbm.txt")
    features = np.load(folder / "features.npy")

    def predict(values: Any) -> Any:
        return booster.predict(values, num_threads=1)

    return predict, [features[[row]] for row in range(ALONE)], predict, features


def lightgbm_fast(folder: Path) -> Engine:
    """LightGBM as its C interface serves one row: LGBM_BoosterPredictForMatSingleRowFast."""
    import ctypes

    import lightgbm
    import numpy as np

    booster = lightgbm.Booster(model_file=folder / "lightgbm.txt")
    features = np.load(folder / "features.npy")
    library = lightgbm.basic._LIB  # noqa: SLF001 - its Python interface has no way to this function
    config = ctypes.c_void_p()
    handle = booster._handle  # noqa: SLF001
    failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        *(handle, 0, 0, -1, 1, ctypes.c_int32(features.shape[1]), b"num_threads=1", ctypes.byref(config))
    )
    assert not failed
    length, out = ctypes.c_int64(), (ctypes.c_double * 1)()
    pointers = [row.ctypes.data_as(ctypes.c_void_p) for row in features[:ALONE]]

    def one(row: Any) -> float:
        library.LGBM_BoosterPredictForMatSingleRowFast(config, row, ctypes.byref(length), out)
        return float(out[0])

    def many(values: Any) -> Any:
        return booster.predict(values, num_threads=1)

    return one, pointers, many, features


def xgboost_booster(folder: Path) -> Engine:
    """XGBoost's own predictor, without a DMatrix."""
    import numpy as np
    import xgboost

    booster = xgboost.Booster(model_file=folder / "xgboost.json")
    booster.set_param({"nthread": 1})
    features = np.load(folder / "features.npy").astype(np.float32)
    return booster.inplace_predict, [features[[row]] for row in range(ALONE)], booster.inplace_predict, features


def onnx_trees(folder: Path) -> Engine:
    """ONNX Runtime on the trees alone, as the public converter makes them: float32."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "trees.onnx", options, providers=["CPUExecutionProvider"])
    features = np.load(folder / "features.npy").astype(np.float32)

    def predict(values: Any) -> Any:
        return session.run(None, {"X": values})[0]

    return predict, [features[[row]] for row in range(ALONE)], predict, features


def treelite_gtil(folder: Path) -> Engine:
    """The interpreter that treelite has for its models."""
    import numpy as np
    import treelite

    model = treelite.frontend.load_lightgbm_model(folder / "lightgbm.txt")
    features = np.load(folder / "features.npy")

    def predict(values: Any) -> Any:
        return treelite.gtil.predict(model, values, nthread=1)

    return predict, [features[[row]] for row in range(ALONE)], predict, features


def tl2cgen_compiled(folder: Path) -> Engine:
    """The C code that tl2cgen makes of a treelite model, compiled by gcc."""
    import numpy as np
    import tl2cgen
    import treelite

    library = folder / "tl2cgen.so"
    if not library.exists():
        model = treelite.frontend.load_lightgbm_model(folder / "lightgbm.txt")
        tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 2})
    predictor = tl2cgen.Predictor(library, nthread=1)
    features = np.load(folder / "features.npy")

    def predict(values: Any) -> Any:
        return predictor.predict(tl2cgen.DMatrix(values))

    return predict, [features[[row]] for row in range(ALONE)], predict, features


def lleaves_compiled(folder: Path) -> Engine:
    """The LightGBM model compiled by LLVM."""
    import lleaves
    import numpy as np

    model = lleaves.Model(model_file=folder / "lightgbm.txt")
    model.compile(cache=folder / "lleaves.o")
    features = np.load(folder / "features.npy")

    def predict(values: Any) -> Any:
        return model.predict(values, n_jobs=1)

    return predict, [features[[row]] for row in range(ALONE)], predict, features


def ydf_serving(folder: Path) -> Engine:
    """YDF's serving engine on a model of its own of the same size; its answers are to other trees."""
    import numpy as np
    import ydf

    features = np.load(folder / "features.npy").astype(np.float32)
    path = folder / "ydf"
    if not path.exists():
        train = {f"f{index}": column for index, column in enumerate(np.load(folder / "train.npy").astype(np.float32).T)}
        learner = ydf.GradientBoostedTreesLearner(
            label="y",
            task=ydf.Task.REGRESSION,
            num_trees=200,
            growing_strategy="BEST_FIRST_GLOBAL",
            max_num_nodes=31,
            max_depth=-1,
            validation_ratio=0.0,
            early_stopping="NONE",
            shrinkage=0.1,
        )
        learner.train({**train, "y": np.load(folder / "target.npy")}, verbose=0).save(str(path))
    model = ydf.load_model(str(path))
    fast = {f"f{index}": np.ascontiguousarray(column) for index, column in enumerate(features.T)}
    alone = [{name: column[row : row + 1] for name, column in fast.items()} for row in range(ALONE)]

    def predict(values: Any) -> Any:
        return model.predict(values, num_threads=1)

    return predict, alone, predict, fast


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "sklearn": sklearn_pipeline,
    "fourfold dicts": fourfold_dicts,
    "fourfold arrow": fourfold_arrow,
    "fourfold lightgbm": fourfold_lightgbm,
    "fourfold xgboost": fourfold_xgboost,
    "lightgbm": lightgbm_booster,
    "lightgbm fast": lightgbm_fast,
    "xgboost": xgboost_booster,
    "onnx": onnx_trees,
    "treelite": treelite_gtil,
    "tl2cgen": tl2cgen_compiled,
    "lleaves": lleaves_compiled,
    "ydf": ydf_serving,
}


def least(call: Callable[[], Any], seconds: float, *, calls: int) -> float:
    """Nanoseconds of the quickest call; there are at least `calls`."""
    best, begun, done = float("inf"), time.perf_counter(), 0
    while done < calls or time.perf_counter() - begun < seconds:
        start = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - start)
        done += 1
    return best


def main() -> None:
    """Measure the engine that the first argument names."""
    import numpy as np

    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    start = time.perf_counter()
    one, alone, many, all_rows = ENGINES[name](folder)
    answers = many(all_rows)
    load = time.perf_counter() - start
    if hasattr(answers, "column"):
        answers = answers.column(0).to_numpy()
    if isinstance(answers, list):
        answers = [next(iter(row.values())) for row in answers]
    np.save(folder / f"{name}.npy", np.asarray(answers, dtype=np.float64).reshape(-1))

    def each() -> None:
        for row in alone:
            one(row)

    print(
        json.dumps(
            {
                "one": least(each, seconds, calls=3) / len(alone),
                "many": least(lambda: many(all_rows), seconds, calls=3) / MANY,
                "load": load,
            }
        )
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
