"""Test `certify`: equal doors are equal, and a door that differs is named with its likely cause."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold.certificate import certify
from fourfold.certificate.batching import ODD_SIZED, ONE_BY_ONE, SHUFFLED, WHOLE, Batching
from fourfold.certificate.doors.door import Row
from fourfold.errors import InputError, TrustError
from fourfold.loading import trust as loading_trust
from fourfold.predictor import Predictor
from fourfold.service import running
from fourfold.signature import Field, Signature
from tests.support import double, make_predictor

ROWS = [{"x": index / 7, "n": index if index % 3 else None, "word": f"w{index % 5}"} for index in range(400)]


class _Door:
    """A door in this process that changes the right answers."""

    architecture = "embed"
    name = "a door"

    def __init__(
        self,
        predictor: Predictor,
        change: Callable[[Sequence[Row], list[Any]], list[Any]],
        batchings: Sequence[Batching] = (ODD_SIZED,),
        digest: str | None = None,
    ) -> None:
        self.batchings = batchings
        self.digest = digest
        self._predictor = predictor
        self._change = change

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        return [row for batch in batches for row in self._change(batch, self._predictor.predict(list(batch)))]


def _changed(change: Callable[[Row, dict[str, Any]], Any]) -> Callable[[Sequence[Row], list[Any]], list[Any]]:
    return lambda rows, answers: [change(row, answer) for row, answer in zip(rows, answers, strict=True)]


def _report(change: Any, predictor: Predictor | None = None, **door: Any) -> Any:
    predictor = predictor or make_predictor()
    certificate = certify(predictor, ROWS, doors=[_Door(predictor, change, **door)])
    assert certificate.equal is (certificate.differing == 0)
    return certificate.doors[0]


def test_equal_doors_are_equal() -> None:
    """Every batching of the rows through an honest door gives the bits of the whole table."""
    predictor = make_predictor()
    door = _Door(predictor, lambda _, answers: answers, batchings=(WHOLE, ODD_SIZED, SHUFFLED, ONE_BY_ONE))
    certificate = certify(predictor, ROWS, doors=[door])
    assert certificate.equal
    assert [report.rows for report in certificate.doors] == [400, 400, 400, 300]
    assert certificate.to_json()["doors"][0]["first_difference"] is None


@pytest.mark.parametrize(
    ("change", "cause", "differing"),
    [
        (
            _changed(lambda row, out: out if row["n"] is not None else {**out, "y": 0.5}),
            "missing value: n is missing in every row",
            134,
        ),
        (_changed(lambda row, out: {**out, "y": struct.unpack("f", struct.pack("f", out["y"]))[0]}), "dtype", None),
        (_changed(lambda row, out: {**out, "y": out["y"] * (1 + 1e-15)}), "batch shape: the gap is", None),
        (_changed(lambda row, out: None if row["word"] == "w1" else out), "refused: 80 rows", 80),
        (_changed(lambda row, out: {**out, "word": (out["word"] or "") + "!"}), "unknown", 400),
        (lambda _, answers: answers[::-1], "order", None),
    ],
)
def test_a_door_that_differs_is_named_with_its_cause(change: Any, cause: str, differing: int | None) -> None:
    """The first row that differs, its field, both values, and what probably went wrong."""
    report = _report(change)
    assert report.differing > 0
    assert differing is None or report.differing == differing
    assert report.first is not None
    assert report.first.row == min(report.first.row, 399)
    assert re.search(cause, report.cause), report.cause


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_difference_in_shuffled_rows_names_the_row(is_refused: bool) -> None:
    """The first difference has the number of its row in the table, not in the order in which rows were sent."""

    def change(row: Row, out: dict[str, Any]) -> dict[str, Any] | None:
        if row["x"] < 350 / 7:
            return out
        return None if is_refused else {**out, "y": -1.0}

    report = _report(_changed(change), batchings=(SHUFFLED,))
    assert report.first is not None
    assert (report.differing, report.first.row, report.first.expected) == (50, 350, 450.0)
    assert SHUFFLED.order(len(ROWS)).index(350) != 350


def test_a_door_of_another_version_is_told_by_its_digest() -> None:
    """A door with another digest differs because of that, whatever its answers are."""
    report = _report(_changed(lambda row, out: {**out, "y": -1.0}), digest="sha256:" + "0" * 64)
    assert report.cause.startswith("version: that door runs sha256:000")


def test_an_engine_whose_answer_moves_with_the_batch_is_told() -> None:
    """Where rows predicted alone have the answers that came back, the bits depend on the batch."""
    sizes = [0]
    predictor = make_predictor(
        lambda row: {**double(row), "y": double(row)["y"] + (1e-3 if sizes[-1] > 200 else 0.0)},
        called=lambda rows: sizes.append(len(rows)),
    )
    report = _report(lambda _, answers: answers, predictor, batchings=(ONE_BY_ONE,))
    assert report.differing == 300
    assert report.cause.startswith("batch shape: alone")


def test_fields_with_the_names_of_json_forms_are_certified_all_the_same() -> None:
    """A service has no form of columns where an input has that name: that is no difference."""
    signature = Signature((Field("columns", "float64"), Field("rows", "float64")), (Field("y", "float64"),))
    rows = [{"columns": index / 7, "rows": 1.0} for index in range(9)]
    predictor = make_predictor(lambda row: {"y": row["columns"]}, signature=signature, golden=rows[:1])
    with running(lambda: predictor) as url:
        certificate = certify(predictor, rows, architectures=("service",), service_url=url)
    assert certificate.equal
    assert len(certificate.doors) > 4


def test_rows_that_do_not_fit_are_counted_and_left_out() -> None:
    """The certificate counts the rows that do not fit, and sends only the others."""
    predictor = make_predictor()
    rows = [*ROWS[:5], {"x": "text"}, {"x": 1.0, "zzz": 1}]
    certificate = certify(predictor, rows, doors=[_Door(predictor, lambda _, answers: answers)])
    assert (certificate.rows, certificate.refused) == (6, 1)  # an unknown column is left out, not its row
    with pytest.raises(InputError):
        certify(predictor, [{"x": "text"}], doors=[])


def test_a_package_is_certified_from_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package, a path and a reference are loaded as `fourfold.load` loads them, with the trust that is given."""
    frame = pd.DataFrame({"x": [0.5, 1.5, 2.5, 3.5]})
    package = fourfold.pack(LinearRegression().fit(frame, frame["x"]), name="eta", rows=frame)
    path = package.save(tmp_path / "eta.fourfold")
    fourfold.push(package, tmp_path / "models", alias="production")
    for arguments in ((package, frame), (str(path), frame), ("eta@production", frame, tmp_path / "models")):
        certificate = fourfold.certify(*arguments, architectures=("embed",))
        assert (certificate.equal, certificate.digest, certificate.rows) == (True, package.digest, 4)
    foreign = fourfold.pack(LinearRegression().fit(frame, frame["x"]), name="eta", rows=frame, engine="original")
    monkeypatch.setattr(loading_trust, "_packed_here", set())
    with pytest.raises(TrustError, match="needs trust 'foreign'"):
        fourfold.certify(foreign, frame, architectures=("embed",))
    assert fourfold.certify(foreign, frame, architectures=("embed",), trust="foreign").equal


def test_the_row_that_is_shown_is_shown_by_every_architecture() -> None:
    """One row's input and answers stand side by side."""
    predictor = make_predictor()
    certificate = certify(predictor, ROWS, doors=[_Door(predictor, lambda _, answers: answers, batchings=(SHUFFLED,))])
    assert certificate.shown == {"x": 0.0, "n": None, "word": "w0"}
    assert certificate.answers == {"embed": {"y": 0.0, "word": "w0"}}


@pytest.mark.parametrize("batching", [WHOLE, ODD_SIZED, SHUFFLED, ONE_BY_ONE])
@pytest.mark.parametrize("length", [1, 2, 299, 300, 5000])
def test_a_batching_takes_each_row_once(batching: Batching, length: int) -> None:
    """However rows are ordered and split, each is sent once, and the first row always is."""
    order = batching.order(length)
    assert len(set(order)) == len(order) == min(length, batching.max_rows or length)
    assert 0 in order
    assert [row for batch in batching.split(order) for row in batch] == order
