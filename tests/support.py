"""Make packages and predictors for tests, with a Python function as the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from fourfold.package import Package
from fourfold.package.golden import GOLDEN_FILE, GoldenRows, encode_golden
from fourfold.predictor import Predictor
from fourfold.signature import Field, RowCoercer, Signature

#: y is twice x, plus n where it is there; `word` comes back as it came.
SIGNATURE = Signature(
    (Field("x", "float64"), Field("n", "int64", nullable=True), Field("word", "string", nullable=True)),
    (Field("y", "float64"), Field("word", "string", nullable=True)),
)
GOLDEN = ({"x": 1.5, "n": 2, "word": "été"}, {"x": -0.0, "n": None, "word": None})

Row = dict[str, Any]


def named(value: object) -> str:
    """Return a name for a test's parameter that is the same in every process: without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def double(row: Row) -> Row:
    """Compute the outputs of `SIGNATURE` from its inputs."""
    return {"y": row["x"] * 2 + (row["n"] or 0), "word": row["word"]}


class RowEngine:
    """Call a function for every row: an engine for tests.

    Args:
        function: one row to one row.
        called: called with the rows of every call, before they are answered; it may wait, count or raise.
    """

    takes: Literal["rows", "columns"] = "rows"

    def __init__(self, function: Callable[[Row], Row], called: Callable[[list[Row]], object] = lambda _: None) -> None:
        self._function = function
        self._called = called

    def predict(self, table: list[Row]) -> list[Row]:
        self._called(table)
        return [self._function(row) for row in table]


def make_package(
    function: Callable[[Row], Row] = double,
    *,
    signature: Signature = SIGNATURE,
    golden: Sequence[Mapping[str, Any]] = GOLDEN,
    name: str = "tiny",
    block: int | None = None,
) -> Package:
    """Return a package with the golden rows `golden` and the answers of `function`; no runtime can load it."""
    inputs, errors = RowCoercer(signature.inputs)(golden)
    assert not errors, errors[0]
    rows = [row for row in inputs if row is not None]
    manifest = {
        "fourfold": 1,
        "name": name,
        "signature": signature.to_json(),
        "runtime": {"name": "python", "settings": {}, "requires": "", "libraries": {}},
        "exactness": {"exact": True, "block": block, "rows": len(rows), "tested": [], "accepted": "exact"},
        "engines": [],
        "golden": {"file": GOLDEN_FILE, "rows": len(rows), "tolerance": 0},
        "provenance": {},
    }
    golden_file = encode_golden(GoldenRows(rows, [function(dict(row)) for row in rows]), signature)
    return Package.build(manifest, {GOLDEN_FILE: golden_file})


def make_predictor(
    function: Callable[[Row], Row] = double,
    *,
    called: Callable[[list[Row]], object] = lambda _: None,
    version: int | None = None,
    **package: Any,
) -> Predictor:
    """Return a predictor of `make_package`'s package with `function` as its engine; `called` sees every call."""
    return Predictor(make_package(function, **package), RowEngine(function, called), version=version)
