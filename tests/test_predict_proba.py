"""`predict_proba`: the array that a classifier of scikit-learn returns, from every container."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import fourfold
from fourfold.errors import InputError, PackageError, TableError
from fourfold.predictor import Predictor
from fourfold.signature import Field, Signature
from tests.support import make_predictor

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "b": [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]})
LABELS = np.array(["no", "no", "no", "yes", "yes", "yes"])


@pytest.fixture(scope="module")
def classifier() -> Predictor:
    """A classifier of texts."""
    return fourfold.load(fourfold.pack(LogisticRegression().fit(FRAME, LABELS), name="late", rows=FRAME))


@pytest.mark.parametrize(
    "table",
    [
        FRAME,
        FRAME.iloc[::-1],
        pl.DataFrame(FRAME.to_dict("list")),
        pa.Table.from_pandas(FRAME),
        FRAME.to_numpy(),
        FRAME.to_numpy().tolist(),
        FRAME.to_dict("records"),
    ],
    ids=["pandas", "reversed", "polars", "arrow", "numpy", "lists", "rows"],
)
def test_every_container_gives_the_array_of_the_original(classifier: Predictor, table: Any) -> None:
    """Shape, dtype, columns and bits are those of the output of `predict`, and the array is the caller's own."""
    got = classifier.predict_proba(table)
    assert (got.shape, got.dtype) == ((6, 2), np.float64)
    rows = FRAME.iloc[::-1] if isinstance(table, pd.DataFrame) and table.index[0] else FRAME
    answered = classifier.predict(rows.to_dict("records"))
    assert [[value.hex() for value in row] for row in got.tolist()] == [
        [value.hex() for value in row["probability"]] for row in answered
    ]
    np.testing.assert_allclose(got, LogisticRegression().fit(FRAME, LABELS).predict_proba(rows), rtol=1e-9)
    got[0, 0] = 0.0
    assert classifier.classes == ("no", "yes")


def test_no_rows_are_an_array_of_no_rows(classifier: Predictor) -> None:
    """The classes stay."""
    assert classifier.predict_proba(FRAME.iloc[:0]).shape == (0, 2)
    assert classifier.predict_proba([]).shape == (0, 2)


def test_wrong_rows_are_refused_as_predict_refuses_them(classifier: Predictor) -> None:
    """The same errors, by row and by column."""
    with pytest.raises(InputError, match="row 1, field 'b': expected float64, got 'x'"):
        classifier.predict_proba([{"a": 1.0, "b": 1.0}, {"a": 1.0, "b": "x"}])
    with pytest.raises(TableError, match="column 'b'"):
        classifier.predict_proba(FRAME[["a"]])
    with pytest.raises(InputError, match="one row is a list of one dict"):
        classifier.predict_proba({"a": 1.0, "b": 1.0})
    with pytest.raises(InputError, match="read the file first"):
        classifier.predict_proba("rows.parquet")


def test_a_call_says_what_becomes_of_other_columns(classifier: Predictor) -> None:
    """`extra` is that of `predict`: of the call alone."""
    wide = FRAME.assign(target=1)
    expected = classifier.predict_proba(FRAME)
    assert classifier.predict_proba(wide, extra="ignore").tobytes() == expected.tobytes()
    with pytest.raises(TableError, match="column 'target'"):
        classifier.predict_proba(wide)


def test_a_column_may_be_absent() -> None:
    """`absent` is that of `predict`."""
    signature = Signature(
        (Field("x", "float64"), Field("n", "int64", nullable=True)), (Field("probability", "float64", shape=(2,)),)
    )
    predictor = make_predictor(
        lambda row: {"probability": [row["x"], float(row["n"] is None)]}, signature=signature, golden=[{"x": 1.0}]
    )
    table = pa.table({"x": [0.5]})
    assert predictor.predict_proba(table, absent=["n"]).tolist() == [[0.5, 1.0]]


def test_what_is_no_classifier_says_what_it_answers() -> None:
    """Of a regression `predict_proba` is an error, and `classes` an attribute that is not there."""
    predictor = fourfold.load(fourfold.pack(LinearRegression().fit(FRAME, FRAME["a"]), name="eta", rows=FRAME))
    with pytest.raises(PackageError, match=r"eta answers no probability for each class: .*prediction \(float64\)"):
        predictor.predict_proba(FRAME)
    assert not hasattr(predictor, "classes")
    with pytest.raises(AttributeError, match="eta answers no probability for each class"):
        _ = predictor.classes


def test_a_predictor_can_be_called(classifier: Predictor) -> None:
    """`predictor(frame)` is `predictor.predict(frame)`; inputs and outputs are the signature's, of the package too."""
    assert classifier(FRAME).equals(classifier.predict(FRAME))
    assert classifier(FRAME.to_dict("records"), absent=()) == classifier.predict(FRAME.to_dict("records"))
    assert [field.name for field in classifier.inputs] == ["a", "b"]
    assert [field.name for field in classifier.outputs] == ["label", "probability"]
    assert (classifier.package.inputs, classifier.package.outputs) == (classifier.inputs, classifier.outputs)
