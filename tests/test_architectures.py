"""What must hold in every architecture: the same test through all four."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fourfold
from fourfold.codecs import json_lines
from fourfold.errors import GoldenMismatch, TrustError
from fourfold.package import Package
from fourfold.predictor import Predictor
from fourfold.signature.bits import same_bits
from tests.architectures import Architecture, loader
from tests.support import RowEngine, double, make_package, make_predictor

FRAME = pd.DataFrame(
    {
        "weight": [60.5, 81.25, 72.0, None, 90.1] * 20,
        "visits": [0, 1, 2, 3, 40] * 20,
        "town": ["Zürich", "Bern", "Genève", "Bern", None] * 20,
    }
)


@pytest.fixture(scope="module")
def package() -> Package:
    """A classifier that rests on BLAS: labels, and probabilities whose last bits depend on the batch."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"]),
        (make_pipeline(_imputer(), StandardScaler()), ["weight", "visits"]),
    )
    target = ["often" if visits > 1 else "seldom" for visits in FRAME["visits"]]
    return fourfold.pack(make_pipeline(columns, LogisticRegression()).fit(FRAME, target), name="visits", rows=FRAME)


def _imputer() -> Any:
    from sklearn.impute import SimpleImputer

    return SimpleImputer()


def test_the_answers_are_the_same_bits(architecture: Architecture, package: Package) -> None:
    """Labels and probabilities of every row are those of `predict` on the whole frame, bit for bit."""
    predictor = fourfold.load(package)
    expected = predictor.predict(_rows())
    outcome = architecture.ask(loader(package), _lines(predictor))
    assert not any(outcome.errors)
    for row, answer in zip(expected, outcome.answers, strict=True):
        assert answer is not None
        assert row["label"] == answer["label"]
        assert same_bits(row["probability"], answer["probability"])


def _rows() -> list[dict[str, Any]]:
    return [
        {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in FRAME.to_dict("records")
    ]


def _lines(predictor: Predictor) -> list[bytes]:
    return json_lines.encode(_rows(), predictor.signature.inputs).splitlines()


def test_a_bad_row_does_not_fail_its_neighbours(architecture: Architecture) -> None:
    """Each bad row has its own errors, the same in every architecture, and the rows around it are answered."""
    outcome = architecture.ask(
        make_predictor,
        [
            b'{"x": 1, "n": 2}',
            b'{"x": "one"}',
            b'{"x": 2, "n": 1.5, "zzz": 0}',
            b'{"n": 1}',
            b'{"x": "NaN", "word": null}',
            b'{"x": 9007199254740993}',
            b'{"x": -0.0, "word": "\xf0\x9d\x84\x9e"}',
        ],
    )
    # The records of a stream and of a batch job carry more than a model takes: what is no field is ignored there.
    unknown = [] if architecture.name in ("batch", "stream") else [("zzz", "unknown")]
    assert outcome.errors == [
        [],
        [("x", "type")],
        [("n", "precision"), *unknown],
        [("x", "missing")],
        [],
        [("x", "precision")],
        [],
    ]
    assert [answer is not None for answer in outcome.answers] == [not errors for errors in outcome.errors]
    assert outcome.answers[0] == {"y": 4.0, "word": None}
    assert outcome.answers[4] is not None
    assert math.isnan(outcome.answers[4]["y"])
    assert outcome.answers[6] == {"y": 0.0, "word": "𝄞"}
    assert math.copysign(1, outcome.answers[6]["y"]) == 1.0  # -0.0 * 2 + 0 is 0.0


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, MemoryError, RecursionError])
def test_a_row_that_the_engine_refuses_fails_alone(architecture: Architecture, error: type[BaseException]) -> None:
    """A row that fits the signature and makes the engine raise anything is an error of that row."""

    def refuses(row: dict[str, Any]) -> dict[str, Any]:
        if row["word"] == "no":
            raise error("not this word")
        return double(row)

    rows = [b'{"x": 1}', b'{"x": 2, "word": "no"}', b'{"x": 3}']
    if architecture.name == "embed":
        with pytest.raises(fourfold.FourfoldError, match="not this word"):
            architecture.ask(lambda: make_predictor(refuses), rows[1:2])
        rows.pop(1)
    outcome = architecture.ask(lambda: make_predictor(refuses), rows)
    assert [answer and answer["y"] for answer in outcome.answers if answer] == [2.0, 6.0]
    if architecture.name != "embed":
        assert outcome.errors[1] == [(None, "engine")]


def test_a_changed_engine_starts_nowhere(architecture: Architecture) -> None:
    """Where the golden rows give other answers the architecture does not start, and names the first that changed."""
    package = make_package(double)

    def changed() -> Predictor:
        return Predictor(package, RowEngine(lambda row: {**double(row), "y": math.nextafter(double(row)["y"], 9)}))

    with pytest.raises(GoldenMismatch, match="golden row 0, field 'y'"):
        architecture.ask(changed, [b'{"x": 1}'])


def test_code_starts_nowhere_without_trust(architecture: Architecture) -> None:
    """A package that carries code is refused by every architecture unless the host trusts it."""
    from tests.models import identity

    package = fourfold.pack(identity, name="identity", rows=[{"x": float(index)} for index in range(20)])
    with pytest.raises(TrustError, match="trust"):
        architecture.ask(loader(package, trust="foreign"), [b'{"x": 1}'])
    assert architecture.ask(loader(package), [b'{"x": 1}']).answers == [{"y": 1.0}]
