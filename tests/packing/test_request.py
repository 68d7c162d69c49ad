"""What `pack` can refuse at once it refuses before the model is asked anything."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fourfold
from fourfold.errors import FourfoldError, MissingLibrary, PackError, SignatureError
from fourfold.packing.engines import onnx_conversion
from fourfold.packing.stages import compete as competing
from tests.models import identity
from tests.packing.counting import CountingRegression

FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0.5, 0.25, 0.125]})


@pytest.fixture
def model() -> Iterator[CountingRegression]:
    """A fitted model that counts the calls of its methods, of which there must be none."""
    fitted = CountingRegression().fit(FRAME, [1.0, 2.0, 3.0])
    CountingRegression.calls = 0
    yield fitted
    assert CountingRegression.calls == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "No Name!"}, "No Name!"),
        ({"engine": "fastest"}, "expected an engine of auto, original, plan, onnx, sklearn; got 'fastest'"),
        ({"engine": "lightgbm"}, "expected an engine of auto, original, plan, onnx, sklearn; got 'lightgbm'"),
        ({"accept": "loose"}, "expected accept"),
        ({"block": 0}, "expected block"),
        ({"shape": "few", "measure": True}, "expected a shape"),
        ({"shape": "one"}, "measure=True"),
        ({"extra": "allow"}, "expected extra to be 'forbid' or 'ignore'; got 'allow'"),
        ({"runtime": "torch"}, "expected a runtime"),
        ({"provenance": "1f2e3d"}, "expected provenance to be a mapping"),
        ({"expect_rtol": 2}, "expected expect_rtol"),
        ({"methods": ("predict", "guess")}, "guess"),
        ({"colour": "red"}, "takes no colour"),
    ],
)
def test_a_wrong_word_is_refused(model: Any, arguments: dict[str, Any], message: str) -> None:
    """A name, an engine, a tolerance, an option that nobody knows: the error says what is known."""
    with pytest.raises((PackError, SignatureError), match=message):
        fourfold.pack(model, **{"name": "sum", "rows": FRAME, **arguments})


@pytest.mark.parametrize(
    "rows",
    [
        FRAME[:0],
        FRAME[:0].to_numpy(),
        FRAME[:0].to_dict("records"),
        pl.DataFrame(schema={"x": pl.Float64, "y": pl.Float64}),
        pa.table({"x": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}),
        7,
        None,
    ],
    ids=["pandas", "numpy", "rows", "polars", "arrow", "a number", "none"],
)
def test_rows_without_rows_are_refused(model: Any, rows: Any) -> None:
    """A table of no rows, and what is no table, tell nothing of a model."""
    with pytest.raises(FourfoldError):
        fourfold.pack(model, name="sum", rows=rows)


def test_what_no_file_holds_is_refused(model: Any) -> None:
    """A lambda anywhere in a model, and a function inside of a function, are in no file of a model."""

    def local(values: Any) -> Any:
        return values

    steps = make_pipeline(FunctionTransformer(lambda values: values), model)
    for whole in (steps, make_pipeline(FunctionTransformer(local), model)):
        with pytest.raises(PackError, match="put them at the top of a module"):
            fourfold.pack(whole, name="sum", rows=FRAME)
    with pytest.raises(PackError, match="lambda"):
        fourfold.pack(lambda rows: rows, name="sum", rows=FRAME)


def test_what_a_script_defines_is_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of `__main__` can be pickled by its name, and no other process has it."""

    def doubled(values: Any) -> Any:
        return values * 2

    doubled.__module__, doubled.__qualname__ = "__main__", "doubled"
    monkeypatch.setattr("__main__.doubled", doubled, raising=False)
    with pytest.raises(PackError, match="doubled is defined in __main__"):
        fourfold.pack(make_pipeline(FunctionTransformer(doubled), model), name="sum", rows=FRAME)


def test_the_engine_plan_is_refused_where_no_plan_is_made(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No plan is made of a function, nor of a model with steps of one's own: no row is tried for that."""
    with pytest.raises(PackError, match="plans are not made of models of the python runtime"):
        fourfold.pack(identity, name="same", rows=[{"x": 1.0}], engine="plan")
    monkeypatch.setattr(competing, "find_block", None)  # the long work: it would fail
    whole = TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.sinh, check_inverse=False)
    with pytest.raises(PackError, match="the engine plan does not hold this model"):
        fourfold.pack(whole.fit(FRAME, [1.0, 2.0, 3.0]), name="sum", rows=FRAME, engine="plan")


def test_a_missing_converter_is_named(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the converted engine without the converter is told what installs it."""
    found = util.find_spec
    monkeypatch.setattr(
        "fourfold.packing.request.find_spec",
        lambda name: None if name in onnx_conversion.CONVERTER_LIBRARIES else found(name),
    )
    with pytest.raises(MissingLibrary, match=r"needs skl2onnx and onnxruntime.*\[convert\]"):
        fourfold.pack(model, name="sum", rows=FRAME, engine="onnx")


def test_an_attribute_that_stays_behind_refuses_nothing() -> None:
    """A lambda that the class leaves out of its state is no reason to refuse a model."""
    forgetful = CountingRegression().fit(FRAME, [1.0, 2.0, 3.0])
    forgetful.scratch = lambda: None
    package = fourfold.pack(forgetful, name="sum", rows=FRAME, engine="original")
    assert fourfold.load(package).predict(FRAME)["prediction"].tolist() == pytest.approx([1.0, 2.0, 3.0])


def test_nothing_is_kept_of_the_trial(tmp_path: Path) -> None:
    """A model that one file holds is packed as before: the trial changes neither the model nor its package."""
    fitted = LinearRegression().fit(FRAME, [1.0, 2.0, 3.0])
    before = vars(fitted).copy()
    digests = {fourfold.pack(fitted, name="sum", rows=FRAME).digest for _ in range(2)}
    assert len(digests) == 1
    assert vars(fitted).keys() == before.keys()
