from __future__ import annotations

import pyarrow as pa
import pytest

from fourfold.batch import Job
from fourfold.batch.transform.columns import map_columns
from fourfold.errors import SignatureError
from tests.support import SIGNATURE


def job(**arguments: object) -> Job:
    return Job("in.csv", "out.csv", **arguments)  # type: ignore[arg-type]


def test_fields_come_from_their_columns() -> None:
    """A field comes from the column of its name, or from the one renamed to it; kept columns keep their names."""
    mapping = map_columns(SIGNATURE, job(keep=("id", "x"), rename={"distance": "x"}))
    assert {column: field.name for column, field in mapping.fields.items()} == {
        "distance": "x",
        "n": "n",
        "word": "word",
    }
    assert mapping.columns == ["distance", "n", "word", "id", "x"]
    batch = pa.record_batch({"x": ["old"], "distance": [2.5], "n": [1], "word": ["w"], "id": [7]})
    assert mapping.inputs(batch).to_pylist() == [{"x": 2.5, "n": 1, "word": "w"}]
    schema = pa.schema({"id": pa.int64(), "x": pa.string()})
    assert [each.to_pylist() for each in mapping.passthrough_columns(batch, schema)] == [[7], ["old"]]


def test_rows_are_chosen_as_columns_are() -> None:
    """Rows give the same as columns: an absent key stays absent, and a row that is no object stays as it is."""
    mapping = map_columns(SIGNATURE, job(keep=("id",), rename={"distance": "x"}))
    rows = [{"distance": 2.5, "word": "w", "id": 7, "other": 1}, ["no object"]]
    assert mapping.inputs(rows) == [{"x": 2.5, "word": "w"}, ["no object"]]
    assert mapping.passthrough_columns(rows, pa.schema({"id": pa.int64()}))[0].to_pylist() == [7, None]


def test_two_columns_can_change_places() -> None:
    """A renamed column has lost its old name, so two of them can take each other's."""
    mapping = map_columns(SIGNATURE, job(rename={"n": "x", "x": "n"}))
    assert {column: field.name for column, field in mapping.fields.items()} == {"n": "x", "x": "n", "word": "word"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rename": {"a": "z"}}, "column 'a' is to be 'z'; the signature has the fields x, n, word"),
        ({"rename": {"x": "n"}}, "column 'x' is to be the field 'n', so the field 'x' needs a column of its own"),
        ({"keep": ("word",)}, "column 'word' has the name of an output"),
    ],
)
def test_refuses_what_the_signature_does_not_allow(arguments: dict[str, object], message: str) -> None:
    """A field that there is not, a column that two fields need, and a kept column with an output's name are refused."""
    with pytest.raises(SignatureError, match=message):
        map_columns(SIGNATURE, job(**arguments))
