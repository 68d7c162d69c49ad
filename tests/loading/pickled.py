"""A process that unpickles predictors, for tests: it has packed nothing."""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

from fourfold.errors import FourfoldError, InputError
from fourfold.predictor import Predictor


def answer(predictor: Predictor, rows: list[dict[str, Any]]) -> list[Any]:
    """Answer with a predictor that came in a pickle."""
    return [predictor.predict(rows), [predictor.predict_one(row) for row in rows]]


def same(first: Predictor, second: Predictor) -> bool:
    """Return whether two pickles gave one predictor."""
    return first is second


def refuse(predictor: Predictor) -> None:
    """Raise the error of rows that do not fit."""
    predictor.predict([{"a": "text", "b": 1.0}, {"a": 1.0, "b": None}])


def fails(predictor: Predictor) -> tuple[int, list[str | None]]:
    """Return what an error of rows says, in the process that raises it."""
    try:
        refuse(predictor)
    except InputError as error:
        return error.count, [entry.field for entry in error.errors]
    raise AssertionError("the rows fit")


def main() -> None:
    """Unpickle a predictor from standard input; print its answers, or its error."""
    try:
        predictor = pickle.load(sys.stdin.buffer)
    except FourfoldError as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error), "notes": error.__notes__}))
        return
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": -1.0}]
    answers = [{name: str(value) for name, value in row.items()} for row in predictor.predict(rows)]
    print(json.dumps({"answers": answers, "digest": predictor.digest, "version": predictor.version}))


if __name__ == "__main__":
    main()
