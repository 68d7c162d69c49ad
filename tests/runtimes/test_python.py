from __future__ import annotations

import functools
import importlib
import math
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fourfold import runtimes, tables
from fourfold.errors import CorruptPackage, EngineError, PackError, TrustError
from fourfold.signature import Field
from tests.runtimes import functions
from tests.runtimes.round_trip import assert_bits, loaded, prepared, round_trip, signature_of, values

ROWS = [{"x": 1.5, "kind": "a"}, {"x": 0.25, "kind": "b"}, {"x": 4.0, "kind": "a"}]
FRAME = pd.DataFrame({"a": [1.0, -2.0, 0.5], "b": [3, 4, 5]})


def answer(model: Any, **options: Any) -> Any:
    """What a loaded function answers to `ROWS`."""
    ready = prepared(model, ROWS, **options)
    engine = loaded(ready, trust="code")
    assert (ready.runtime, ready.requires, engine.takes) == ("python", "code", "rows")
    return engine.predict([dict(row) for row in ROWS])


def test_dicts_for_dicts() -> None:
    """A function from rows to rows gets canonical rows and gives them, NumPy's numbers as plain ones."""
    assert answer(functions.doubles) == [
        {"y": 3.0, "big": True, "word": "1.5"},
        {"y": 0.5, "big": False, "word": "0.2"},
        {"y": 8.0, "big": True, "word": "4.0"},
    ]
    assert [field.dtype for field in prepared(functions.doubles, ROWS).outputs] == ["float64", "bool", "string"]


def test_values_for_dicts() -> None:
    """Values without a name are the prediction: numbers, text that may be missing, tensors, NaN."""
    assert answer(functions.roots)[2] == {"prediction": 2.0}
    assert answer(functions.words) == [{"prediction": "large"}, {"prediction": None}, {"prediction": "large"}]
    assert answer(functions.tensors)[0] == {"prediction": [1.5, -1.5]}
    ready = prepared(functions.roots, ROWS)
    assert math.isnan(loaded(ready, trust="code").predict([{"x": -1.0, "kind": "a"}])[0]["prediction"])


CONTAINERS: dict[str, tuple[Any, Any]] = {
    "pandas": (FRAME, functions.frames),
    "polars": (pl.DataFrame({"a": [1.0, -2.0, 0.5], "b": [3, 4, 5]}), functions.frames),
    "pandas Series": (FRAME, functions.series),
    "polars Series": (pl.DataFrame({"a": [1.0, -2.0, 0.5], "b": [3, 4, 5]}), functions.series),
    "array": (FRAME.to_numpy(), functions.row_sums),
    "dict of arrays": (FRAME, functions.columns),
    "list": (FRAME, functions.list_of_columns),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_for_containers(name: str) -> None:
    """A function of a frame or an array gets one, and answers with either, a Series or a dict of arrays."""
    sample, function = CONTAINERS[name]
    ready, batch = round_trip(function, sample, trust="code")
    expected = function(sample)
    if name in ("pandas", "polars"):
        assert batch.schema.names == ["b", "a"]
        assert batch.column("a").to_pylist() == list(expected["a"])
    elif isinstance(expected, dict):
        assert [field.name for field in ready.outputs] == ["double", "pair", "text"]
        for field in ready.outputs[:1]:
            assert_bits(expected[field.name], values(batch, field.name))
        assert batch.column("text").to_pylist() == ["plus", "minus", "plus"]
        assert batch.column("pair").to_pylist() == expected["pair"].tolist()
    else:
        assert [field.name for field in ready.outputs] == ["prediction"]
        assert_bits(np.asarray(expected), values(batch, "prediction"))


def test_arrow_for_arrow() -> None:
    """A function of an Arrow table gets one, and may answer with one."""
    sample = pa.table({"a": [1.0, 2.0], "b": [3, 4]})
    _, batch = round_trip(functions.arrow, sample, trust="code")
    assert batch.to_pydict() == {"b": [3, 4], "a": [1.0, 2.0]}


def test_objects_keep_their_state() -> None:
    """An object answers with its state, by predict, by being called, or by a method that was given."""
    scale = functions.Scale(2.0, {"b": 10.0})
    assert answer(scale) == [{"y": 3.0}, {"y": 10.5}, {"y": 8.0}]
    assert answer(scale.larger) == [{"prediction": False}, {"prediction": False}, {"prediction": True}]
    assert answer(functions.Scale.default) == [{"y": 1.5}, {"y": 0.25}, {"y": 4.0}]
    assert answer(functions.Callable())[0] == {"prediction": 2.5}
    assert set(prepared(scale, ROWS).files) == {"code/tests/runtimes/functions.py", "state.pickle"}


def test_outputs_by_hand() -> None:
    """Fields given by hand are the outputs, so that one may be missing though the sample misses none."""
    outputs = (Field("prediction", "string", nullable=True),)
    ready = prepared(functions.words, ROWS[:1], outputs=outputs)
    assert ready.outputs == outputs
    assert loaded(ready, trust="code").predict([{"x": 0.0, "kind": "a"}]) == [{"prediction": None}]
    with pytest.raises(PackError, match="does not fit the outputs"):
        prepared(functions.words, ROWS, outputs=(Field("prediction", "int8"),))


def test_code_needs_trust() -> None:
    """A host that has not allowed code runs none of it, and says what to do."""
    ready = prepared(functions.doubles, ROWS)

    def read(name: str) -> bytes:
        raise AssertionError(f"{name} was read")

    with pytest.raises(TrustError, match="needs trust 'code', and 'foreign' is granted: it holds Python code"):
        runtimes.load("python", ready.settings, read, signature_of(ready), trust="foreign")


@pytest.mark.parametrize("name", ["fails", "forgets", "changes"])
def test_failures_are_engine_errors(name: str) -> None:
    """A function that raises, forgets a row or answers with another type is an engine error, never a wrong table."""
    engine = loaded(prepared(getattr(functions, name), ROWS), trust="code")
    assert len(engine.predict(ROWS)) == 3
    with pytest.raises(EngineError, match=r"thirteen|expected 2 answers|does not fit the outputs"):
        engine.predict([*ROWS[:1], {"x": 13.0, "kind": "a"}])


def test_what_cannot_be_packed() -> None:
    """Code that no package could carry, and a function that is none, are refused with what to do."""
    cases: list[tuple[Any, str]] = [
        (functions.unnamed, "defined inside of a function|not what its module has"),
        (functions.outer(), "defined inside of a function"),
        (len, "no source of its own"),
        (functools.partial(functions.doubles), "no source of its own"),
        (np.mean, "belongs to an installed library"),
        (random.choice, "belongs to an installed library"),
        (pd.DataFrame.sum, "belongs to an installed library"),
        (functions.Unstorable(), "cannot be stored"),
        (functions.nothing, "no outputs can be inferred"),
        (functions.forgets, "answers, one a row"),
        (functions.leaves, "fails on the sample: SystemExit: 0"),
    ]
    sample = [*ROWS, {"x": 13.0, "kind": "a"}]
    for model, words in cases:
        with pytest.raises(PackError, match=words):
            runtimes.by_name("python").prepare(model, sample)
    with pytest.raises(PackError, match="fails on the sample: LookupError: thirteen"):
        prepared(functions.fails, sample)


def write(folder: Path, **files: str) -> None:
    """Files of code in a folder, by their names without the ending; `__` between folders."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a module of the test's own folder anew, as a training script would."""
    monkeypatch.syspath_prepend(tmp_path)

    def forget() -> None:
        for name in ("model4f", "helper4f"):
            sys.modules.pop(name, None)

    def load(name: str) -> Any:
        forget()
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load
    forget()


def test_modules_that_are_not_carried_are_named(tmp_path: Path, imported: Callable[[str], Any]) -> None:
    """A module of one's own that the code imports must be carried: the error says which, and how."""
    write(
        tmp_path, helper4f="K = 7", model4f="def f(rows):\n    import helper4f\n    return [helper4f.K for _ in rows]"
    )
    model = imported("model4f").f
    with pytest.raises(PackError, match=r"imports helper4f.*code=\['.*helper4f\.py'\]"):
        prepared(model, ROWS)
    ready = prepared(model, ROWS, code=[tmp_path / "helper4f.py"])
    assert list(ready.files) == ["code/helper4f.py", "code/model4f.py"]
    assert loaded(ready, trust="code").predict(ROWS)[0] == {"prediction": 7}


def test_two_packages_with_one_name(tmp_path: Path, imported: Callable[[str], Any]) -> None:
    """Two packages that carry modules of the same name, and the host's own of that name, do not meet."""
    engines = []
    for number in (1, 2):
        write(
            tmp_path,
            helper4f=f"K = {number}",
            model4f="import helper4f\ndef f(rows):\n    return [helper4f.K] * len(rows)",
        )
        for cached in tmp_path.glob("__pycache__/*"):
            cached.unlink()
        engines.append(loaded(prepared(imported("model4f").f, ROWS, code=[tmp_path / "helper4f.py"]), trust="code"))
    host = sys.modules["model4f"]
    assert [engine.predict(ROWS)[0]["prediction"] for engine in engines] == [1, 2]
    assert sys.modules["model4f"] is host
    assert str(tmp_path) in sys.path


def test_damaged_code_is_corrupt() -> None:
    """A package whose code lacks what it names is corrupt; one whose code fails says so."""
    ready = prepared(functions.doubles, ROWS)
    damages: list[dict[str, Any]] = [{"name": "trebles"}, {"module": "os"}, {"code": []}]
    for damage in damages:
        settings = {**ready.settings, **damage}
        with pytest.raises(CorruptPackage, match=r"carries no module|has no"):
            runtimes.load("python", settings, ready.files.__getitem__, signature_of(ready), trust="code")


def test_many_threads_at_once() -> None:
    """Calls from many threads at once get the answers of calls one by one."""
    ready = prepared(functions.columns, FRAME)
    engine = loaded(ready, trust="code")
    batch, _ = tables.read(FRAME, ready.inputs)
    expected = engine.predict(batch)
    with ThreadPoolExecutor(8) as pool:
        assert all(each.equals(expected) for each in pool.map(engine.predict, [batch] * 40))
