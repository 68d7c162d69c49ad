"""The four architectures behind one interface, so that one test can run through all of them.

Each is the real thing: a server that listens, files that a stream and a batch job read and write, a call in process.
"""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourfold import batch, service, stream
from fourfold.codecs import json_lines, json_rows
from fourfold.errors import InputError
from fourfold.package import Package
from fourfold.package.levels import Level
from fourfold.predictor import Predictor
from fourfold.signature import RowCoercer

#: What makes a predictor: the loading is part of what an architecture does at its start.
Load = Callable[[], Predictor]


@dataclass(frozen=True)
class Outcome:
    """What came of rows: for each its answer, in canonical values, or the codes of its errors by field."""

    answers: list[dict[str, Any] | None]
    errors: list[list[tuple[str | None, str]]]


@dataclass(frozen=True)
class Architecture:
    """One of the four: `ask` starts it from what loads its package, and sends rows (JSON, one a row) through it."""

    name: str
    ask: Callable[[Load, Sequence[bytes]], Outcome]


def _canonical(predictor: Predictor, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    coerced, errors = RowCoercer(predictor.signature.outputs)(rows)
    assert not errors, errors
    return [row for row in coerced if row is not None]


def _codes(errors: Sequence[dict[str, Any]]) -> list[tuple[str | None, str]]:
    return [(error["field"], error["code"]) for error in errors]


def _lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file that only comes into being if there is something to say."""
    return json_lines.decode(path.read_bytes(), None) if path.exists() else []


def _service(load: Load, rows: Sequence[bytes]) -> Outcome:
    """One request a row: a request is refused whole, and other requests are the neighbours of a bad row."""
    answers: list[dict[str, Any] | None] = []
    errors: list[list[tuple[str | None, str]]] = []
    with service.running(load) as url:
        predictor = load()
        for row in rows:
            request = urllib.request.Request(url + "/predict", row, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request) as reply:
                    answers.append(_canonical(predictor, [json.loads(reply.read())])[0])
                    errors.append([])
            except urllib.error.HTTPError as error:
                answers.append(None)
                errors.append(_codes(json.loads(error.read())["error"]["rows"]))
    return Outcome(answers, errors)


def _nullable(predictor: Predictor) -> tuple[str, ...]:
    """Return the fields that may be missing: rows may all lack them, as at the other doors."""
    return tuple(field.name for field in predictor.signature.inputs if field.nullable)


def _stream(load: Load, rows: Sequence[bytes]) -> Outcome:
    predictor = load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").write_bytes(b"\n".join([*rows, b""]))
        source, sink, dead_letters = (folder / name for name in ("in.jsonl", "out.jsonl", "dead.jsonl"))
        job = stream.Job(source, sink, dead_letters, absent=_nullable(predictor))
        stream.run(predictor, job)
        answered = json_lines.decode((folder / "out.jsonl").read_bytes(), predictor.signature.outputs)
        dead = _lines(folder / "dead.jsonl")
    letters = {letter["line"] - 1: _codes(letter["errors"]) for letter in dead}
    return _by_row(len(rows), _canonical(predictor, answered), letters)


def _batch(load: Load, rows: Sequence[bytes]) -> Outcome:
    predictor = load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").write_bytes(b"\n".join([*rows, b""]))
        source, output, quarantine = (str(folder / name) for name in ("in.jsonl", "out.jsonl", "bad.jsonl"))
        job = batch.Job(source, output, quarantine=quarantine, absent=_nullable(predictor))
        batch.run(predictor, job)
        answered = json_lines.decode((folder / "out.jsonl").read_bytes(), predictor.signature.outputs)
        quarantined = _lines(folder / "bad.jsonl")
    return _by_row(
        len(rows), _canonical(predictor, answered), {row["row"]: _codes(row["errors"]) for row in quarantined}
    )


def _embed(load: Load, rows: Sequence[bytes]) -> Outcome:
    predictor = load()
    answers: list[dict[str, Any] | None] = []
    errors: list[list[tuple[str | None, str]]] = []
    for row in rows:
        try:
            answers.append(predictor.predict_one(json_rows.decode(row)[0]))
            errors.append([])
        except InputError as error:
            answers.append(None)
            errors.append([(each.field, each.code) for each in error.errors])
    return Outcome(answers, errors)


def _by_row(length: int, answered: list[dict[str, Any]], refused: dict[int, list[tuple[str | None, str]]]) -> Outcome:
    there = iter(answered)
    answers = [None if row in refused else next(there) for row in range(length)]
    assert next(there, None) is None, "more answers than rows"
    return Outcome(answers, [refused.get(row, []) for row in range(length)])


ARCHITECTURES = [
    Architecture("service", _service),
    Architecture("stream", _stream),
    Architecture("batch", _batch),
    Architecture("embed", _embed),
]


def loader(package: Package, *, trust: Level = "code") -> Load:
    """What loads a package, as `fourfold.load` does."""
    from fourfold.loading import load

    return lambda: load(package, trust=trust)
