"""A predictor and events for the stream's tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fourfold.predictor import Predictor
from fourfold.stream import Job
from tests.support import Row, double, make_predictor

#: Describe a stream whose events may all lack the two fields that may be missing.
sparse_job = partial(Job, absent=("n", "word"))

#: The engine refuses rows with this x.
REFUSED = 13.0


def doubled(row: Row) -> Row:
    """Twice x, plus n, is y; the word comes back."""
    if row["x"] == REFUSED:
        raise ValueError("thirteen")
    return double(row)


def predictor(called: Callable[[list[Row]], object] = lambda _: None, **package: Any) -> Predictor:
    """The predictor; `called` is told of every call but those of the golden rows."""
    ready = False
    built = make_predictor(doubled, called=lambda rows: called(rows) if ready else None, **package)
    ready = True
    return built


def event(number: int) -> bytes:
    """An event, with a number to be kept; most fit, some do not in one way or another."""
    if number % 97 == 11:
        return b'{"id":%d,"x":"one","word":"does not fit"}' % number
    if number % 211 == 17:
        return b'{"id":%d,"x":13,"word":"refused"}' % number
    if number % 307 == 23:
        return b'{"id":%d,"x":1' % number
    if number % 401 == 29:
        return b'\xff\xfe{"id":%d}' % number
    word = json.dumps("ü" * (number % 7), ensure_ascii=False).encode()
    return b'{"id":%d,"x":%d.%d,"n":%d,"word":%s}' % (number, 20 + number % 1000, number, number % 13, word)


def events(count: int) -> bytes:
    """So many events, a line each."""
    return b"".join(event(number) + b"\n" for number in range(count))


def lines(path: Path) -> list[Any]:
    """The JSON values of a file's lines."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
