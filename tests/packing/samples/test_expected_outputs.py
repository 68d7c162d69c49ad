"""A model is packed only where it gives the expected outputs of another framework."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

import fourfold
from fourfold.errors import PackError
from fourfold.function import Function
from fourfold.package import Package
from fourfold.packing.samples.expected_outputs import ExpectedOutputs, read_expected
from fourfold.signature import Field, Signature
from tests.models import identity

NETWORKS = Path(__file__).parents[1] / "networks"
FRAME = pd.DataFrame({"area": np.linspace(10, 300, 60), "rooms": np.arange(60) % 5})
KINDS = pd.Series(np.where(FRAME["area"] > 100, "large", "small"))
TREE = DecisionTreeClassifier(random_state=0).fit(FRAME, KINDS)
LINE = LinearRegression().fit(FRAME, FRAME["area"] * 1000 + FRAME["rooms"])


def lines(name: str) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in (NETWORKS / name).read_text().splitlines()]


def packed(model: Any = TREE, **options: Any) -> Package:
    """A package of a small model."""
    return fourfold.pack(model, name="small", rows=FRAME, **options)


@pytest.mark.parametrize(("framework", "output"), [("torch", "probability"), ("keras", "20"), ("jax", "position")])
def test_networks_answer_as_their_frameworks(framework: str, output: str) -> None:
    """A network that PyTorch, Keras or JAX exported gives their answers, and the manifest says how closely."""
    table = lines(f"{framework}.jsonl")
    package = fourfold.pack(
        NETWORKS / f"{framework}.onnx", name=framework, rows=[{"x": row["x"]} for row in table], expect=table
    )
    assert [field.name for field in package.signature.outputs] == [output]
    found = package.manifest["exactness"]["expected"]
    assert (found["rows"], found["rtol"]) == (32, 1e-5)
    assert 0 <= found["largest_gap"] < 2e-6


def test_a_network_exported_otherwise_is_refused() -> None:
    """Answers of a network that was still training, with another normalisation, are not those of its file."""
    table = lines("torch-train.jsonl")
    with pytest.raises(PackError, match=r"differ, by up to .* first: row 0, output probability\[\d\]: expected 0\.\d"):
        fourfold.pack(NETWORKS / "torch.onnx", name="torch", rows=[{"x": row["x"]} for row in table], expect=table)


def test_every_form_of_expected_outputs() -> None:
    """A frame, an Arrow table, rows, a dict of arrays, with the rows' own inputs or without, all say the same."""
    expected = pd.DataFrame({"label": TREE.predict(FRAME)})
    probability = TREE.predict_proba(FRAME)
    forms: list[Any] = [
        expected,
        pa.Table.from_pandas(expected),
        pl.DataFrame({"label": TREE.predict(FRAME)}),
        expected.to_dict("records"),
        {"probability": probability},
        {"label": TREE.predict(FRAME), "probability": probability},
        pd.concat([FRAME, expected], axis=1).iloc[::-1].head(20),
    ]
    digests = {packed(expect=form).manifest["exactness"]["expected"]["rows"] for form in forms}
    assert digests == {60, 20}
    line = packed(LINE, expect=LINE.predict(FRAME))
    assert line.manifest["exactness"]["expected"]["largest_gap"] < 1e-12
    # The only output needs no name.
    anything = pd.DataFrame({"anything": LINE.predict(FRAME)})
    for form in (anything, anything.to_dict("records"), pa.Table.from_pandas(anything), pl.from_pandas(anything)):
        assert packed(LINE, expect=form).digest == line.digest


def test_expected_outputs_may_have_a_column_for_each_label() -> None:
    """What a frame or a CSV file of answers has is taken: a column for each label, all of them or none."""
    answers = fourfold.load(packed()).predict(FRAME)
    assert answers.columns.tolist() == ["label", "probability_large", "probability_small"]
    reordered = answers[["probability_small", "label", "probability_large"]]
    for form in (answers, reordered, answers.to_dict("records"), pl.from_pandas(answers)):
        assert packed(expect=form).manifest["exactness"]["expected"] == {"rows": 60, "rtol": 1e-5, "largest_gap": 0.0}
    with pytest.raises(PackError, match=r"60 rows differ.*row 0, output probability\[0\]: expected 0.5, got 0.0"):
        packed(expect=answers.assign(probability_large=0.5))
    with pytest.raises(PackError, match="have a column 'probability_large', which is no output of the model"):
        packed(expect=answers.drop(columns="probability_small"))
    one = Signature((Field("x", "float64"),), (Field("p", "float64", nullable=True, shape=(2,), labels=("a", "b")),))
    gaps: list[dict[str, Any]] = [{"x": 1.0, "p_a": None, "p_b": None}, {"x": 2.0, "p_a": 0.5, "p_b": 0.5}]
    assert read_expected(gaps, gaps, one, 0.0).answers[0]["p"] is None
    with pytest.raises(PackError, match="row 0: expected a value for every label of 'p'"):
        read_expected([{**row, "p_b": 0.5} for row in gaps], gaps, one, 0.0)


def test_labels_are_equal_or_wrong() -> None:
    """A label is no number: one that differs is named with its row, however much is accepted."""
    wrong = TREE.predict(FRAME)
    wrong[7] = "large"
    with pytest.raises(
        PackError, match=r"1 of 60 rows differ, by up to inf.*row 7, output label: expected 'large', got"
    ):
        packed(expect={"label": wrong}, expect_rtol=0.9)


def test_numbers_may_be_a_little_off() -> None:
    """A float is close in proportion to its output's usual size, so a value near zero is no trap, nor is an outlier."""
    answers = LINE.predict(FRAME)
    assert packed(LINE, expect={"prediction": answers * (1 + 5e-6)}).manifest["exactness"]["expected"][
        "largest_gap"
    ] == pytest.approx(5e-6, rel=1e-3)
    with pytest.raises(PackError, match="46 of 60 rows differ, by up to 2e-05 of"):
        packed(LINE, expect={"prediction": answers * (1 + 2e-5)})
    packed(LINE, expect={"prediction": answers * (1 + 2e-5)}, expect_rtol=1e-4)


def check(wanted: list[Any], got: list[Any], dtype: str = "float64", rtol: float = 1e-5) -> dict[str, Any]:
    """The manifest's entry for an output `y` with these values."""

    class Says:
        takes: Literal["rows"] = "rows"

        def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{"y": got[row["x"]]} for row in rows]

    output = Field("y", dtype, nullable=True)
    signature = Signature((Field("x", "int64"),), (output,))
    inputs = [{"x": place} for place in range(len(wanted))]
    expected = ExpectedOutputs(inputs, (output,), [{"y": value} for value in wanted], rtol)
    return expected.check(Function(signature, Says(), None))


def test_what_is_close() -> None:
    """Zeros of both signs are one number, every NaN is one, and the noise of a value near zero is no difference."""
    assert check([1.0, 0.0, math.nan, math.inf, None], [1.0, -0.0, math.nan, math.inf, None])["largest_gap"] == 0
    assert check([1.0, 1.5, 2.0, 1e-300], [1.0, 1.5, 2.0, 2.5e-7])["largest_gap"] == pytest.approx(2e-7)


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, math.nan]),
        ([1.0, 2.0, math.inf], [1.0, 2.0, 1e308]),
        ([1.0, 2.0, math.inf], [1.0, 2.0, -math.inf]),
        ([1.0, 2.0, None], [1.0, 2.0, 0.0]),
        ([1.0, 2.0, 0.0], [1.0, 2.0, 1e-4]),
        # One huge row says nothing of how close the others must be.
        ([1.0, 1e30, 2.0], [1.0, 1e30, 2.1]),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 5e-324]),
        ([-1e308, -1e308, -1e308], [-1e308, -1e308, 1e308]),
    ],
)
def test_what_is_not_close(wanted: list[Any], got: list[Any]) -> None:
    """NaN for a number, infinity for a huge one, a value for a missing one, and more than the tolerance are named."""
    with pytest.raises(PackError, match="1 of 3 rows differ"):
        check(wanted, got)


def test_integers_are_equal_or_wrong() -> None:
    """Integers must be equal, however close they are."""
    assert check([1, 2**60], [1, 2**60], "int64")["largest_gap"] == 0
    with pytest.raises(PackError, match="by up to inf"):
        check([2**60], [2**60 + 1], "int64", 0.5)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (pd.DataFrame({"lable": KINDS, "other": KINDS}), "expected one or more of label, probability"),
        (pd.DataFrame({"label": KINDS, "probabilty": 1.0}), "'probabilty', which is no output of the model"),
        (pd.DataFrame({"label": KINDS.head(59)}), "expected outputs for 60 rows, one for each packing row; got 59"),
        (
            pd.DataFrame({"label": KINDS.map({"large": "huge", "small": "small"})}),
            "'label': expected string, one of 2 categories",
        ),
        (pd.DataFrame({"label": KINDS.where(KINDS != "large")}), "'label': expected string.*got null"),
        (pd.DataFrame({"label": range(60)}), "'label': expected string"),
        ({"probability": np.zeros((60, 3))}, "tensor of shape"),
        ({"label": KINDS, "probability": np.zeros((59, 2))}, "of one length; got label: 60, probability: 59"),
        ({}, "of one length; got none"),
        (np.zeros((60, 2)), "expected a table of expected outputs, or arrays named label, probability"),
        ("expected.csv", "expected a table of expected outputs"),
        (pd.DataFrame({"label": KINDS, "area": "wide", "rooms": 1}), "the rows of the expected outputs do not fit"),
    ],
)
def test_expected_outputs_that_cannot_be(expect: Any, message: str) -> None:
    """What is misspelt, too short, of another type or shape, or no table at all is said with what was expected."""
    with pytest.raises(PackError, match=message):
        packed(expect=expect)


@pytest.mark.parametrize("rtol", [-1e-9, 1, math.nan, "1e-5", True])
def test_tolerances_that_are_none(rtol: Any) -> None:
    """A tolerance is a share of less than the whole."""
    signature = Signature((Field("x", "float64"),), (Field("y", "float64"),))
    with pytest.raises(PackError, match="expect_rtol"):
        read_expected([{"y": 1.0}], [{"x": 1.0}], signature, rtol)


def test_functions_can_be_expected_too() -> None:
    """A Python function of rows is compared with expected outputs as a network is."""
    rows = [{"x": float(index)} for index in range(5)]
    package = fourfold.pack(identity, name="identity", rows=rows, expect={"y": [0.0, 1.0, 2.0, 3.0, 4.0]})
    assert package.manifest["exactness"]["expected"] == {"rows": 5, "rtol": 1e-5, "largest_gap": 0}
    with pytest.raises(PackError, match=r"row 4, output y: expected 5\.0, got 4\.0"):
        fourfold.pack(identity, name="identity", rows=rows, expect={"y": [0.0, 1.0, 2.0, 3.0, 5.0]})
