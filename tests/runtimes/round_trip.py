"""Put a model into a package and load it again, for the tests of every runtime."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fourfold import runtimes, tables
from fourfold.package.levels import Level
from fourfold.runtimes.engine import Engine, Prepared
from fourfold.runtimes.sklearn.inspection import set_one_thread
from fourfold.runtimes.threads import thread_guard
from fourfold.signature import Signature
from fourfold.signature.columns import arrow_schema, columns_to_rows, rows_to_columns

RANDOM = np.random.default_rng(7)
ROWS = 120


def frame() -> pd.DataFrame:
    """Return a frame of numbers with and without NaN, integers, a category and text."""
    rows = pd.DataFrame({name: RANDOM.normal(size=ROWS) for name in ("a", "b", "c")})
    rows.loc[rows.index[::7], "c"] = np.nan
    rows["n"] = RANDOM.integers(-5, 50, ROWS).astype("int32")
    rows["kind"] = pd.Categorical(RANDOM.choice(["z", "y", "x"], ROWS), categories=["z", "y", "x"])
    rows["text"] = RANDOM.choice(["red", "grün", ""], ROWS)
    return rows


FRAME = frame()
NUMBERS = FRAME[["a", "b", "n"]]
TARGET = (2 * FRAME["a"] - FRAME["b"] + FRAME["kind"].cat.codes).to_numpy()
LABELS = np.array(["low", "mid", "high"], dtype=object)[np.digitize(TARGET, [-0.5, 2.0])]


def signature_of(prepared: Prepared) -> Signature:
    """Return the signature as it comes back from a package's manifest."""
    return Signature.from_json(json.loads(json.dumps(Signature(prepared.inputs, prepared.outputs).to_json())))


def loaded(prepared: Prepared, *, trust: Level = "foreign") -> Engine:
    """Return the engine as a package loads it."""
    settings = json.loads(json.dumps(prepared.settings, allow_nan=False))
    return runtimes.load(prepared.runtime, settings, prepared.files.__getitem__, signature_of(prepared), trust)


def prepared(model: Any, sample: Any, **options: Any) -> Prepared:
    """Return what a package keeps of a model."""
    return runtimes.by_model(model).prepare(model, sample, **options)


def round_trip(model: Any, sample: Any, *, trust: Level = "foreign", **options: Any) -> tuple[Prepared, Any]:
    """Return what a package keeps of a model, and the loaded model's answers to the sample as a record batch."""
    ready = prepared(model, sample, **options)
    engine = loaded(ready, trust=trust)
    batch, errors = tables.read(sample, ready.inputs, "ignore")
    assert not errors, errors[0]
    if isinstance(batch, list):
        batch = rows_to_columns(ready.inputs, batch)
    if engine.takes == "rows":
        return ready, rows_to_columns(ready.outputs, engine.predict(columns_to_rows(ready.inputs, batch)))
    answer = engine.predict(batch)
    assert answer.schema.equals(arrow_schema(ready.outputs))
    return ready, answer


def original(model: Any, sample: Any, method: str = "predict") -> Any:
    """Return what a model itself answers in one call, on one thread: with more threads its bits may vary."""
    alone = copy.deepcopy(model)
    set_one_thread(alone)
    with thread_guard()():
        return getattr(alone, method)(sample)


def values(batch: Any, name: str) -> np.ndarray:
    """Return a column of a batch as an array of shape `(rows, *shape)`."""
    column = batch.column(name)
    shape: tuple[int, ...] = (len(column),)
    while pa.types.is_fixed_size_list(column.type):
        shape = (*shape, column.type.list_size)
        column = column.flatten()
    return column.to_numpy(zero_copy_only=False).reshape(shape)


def assert_bits(expected: Any, actual: np.ndarray) -> None:
    """Check that two arrays are equal to the last bit, and of one dtype where they hold numbers."""
    expected = np.asarray(expected)
    assert expected.shape == actual.shape
    if expected.dtype.kind in "OU":
        assert expected.tolist() == actual.tolist()
    else:
        assert (expected.dtype, expected.tobytes()) == (actual.dtype, actual.tobytes())
