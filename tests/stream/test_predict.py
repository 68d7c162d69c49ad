from __future__ import annotations

import json

from fourfold.codecs import Bounds, json_lines
from fourfold.predictor import Predictor
from fourfold.stream.lines import EventBatch, Line, OversizedLine, Position
from fourfold.stream.passthrough import PassThrough
from fourfold.stream.predict import EventAnswers, EventPredictor
from tests.stream.model import event, predictor


def scored(lines: list[Line], keep: tuple[str, ...] = (), model: Predictor | None = None) -> EventAnswers:
    """What becomes of the lines."""
    model = model or predictor()
    return EventPredictor(model, PassThrough(keep, model.signature), 100).predict(EventBatch(lines, Position()))


def test_every_line_has_its_fate() -> None:
    """Answers and dead letters say which line they come from, blank lines have neither, and neighbours are unharmed."""
    lines: list[Line] = [
        b'{"x":1}',
        b"",
        b'{"x":1',
        b'{"x":2,"n":1.5}',
        b'{"x":13}',
        b" \r",
        b"[1]",
        OversizedLine(b"{", 1000),
        b'{"x":3}\r',
    ]
    found = scored(lines)
    assert found.indexes == [0, 8]
    assert [json.loads(answer) for answer in found.answers] == [{"y": 2.0, "word": None}, {"y": 6.0, "word": None}]
    assert [(letter.index, letter.stage, letter.errors[0].code) for letter in found.dead] == [
        (2, "decode", "format"),
        (3, "validate", "precision"),
        (4, "predict", "engine"),
        (6, "decode", "format"),
        (7, "decode", "format"),
    ]


def test_all_errors_of_an_event_are_told() -> None:
    """A dead letter has every error of its event, and none of its neighbours'."""
    found = scored([b'{"x":null,"n":"1"}', b'{"x":true,"y":1}'])
    assert [[(error.field, error.code) for error in letter.errors] for letter in found.dead] == [
        [("x", "missing"), ("n", "type")],
        [("x", "type"), ("y", "unknown")],
    ]


def test_batch_is_one_call() -> None:
    """All events of a batch are answered by one call of the engine."""
    calls: list[int] = []
    scored([b'{"x":1}'] * 500, model=predictor(lambda rows: calls.append(len(rows))))
    assert calls == [500]


def test_answers_are_those_of_the_codec() -> None:
    """An answer has the bytes that every other architecture writes for it."""
    model = predictor()
    lines = [event(number) for number in range(200)]
    found = scored(list(lines), ("id",), model)
    for index, answer in zip(found.indexes, found.answers, strict=True):
        row = json_lines.decode_line(lines[index])
        number = row.pop("id")
        alone = json_lines.encode([model.predict_one(row)], model.signature.outputs)
        assert answer + b"\n" == b'{"id":%d,' % number + alone[1:]


def test_kept_fields_may_be_unknown() -> None:
    """A kept field that is no input is allowed, an unknown one that is not kept is an error."""
    line = b'{"id":1,"x":1}'
    assert scored([line], ("id",)).answers == [b'{"id":1,"y":2.0,"word":null}']
    assert scored([line]).dead[0].errors[0].code == "unknown"
    assert scored([line], ("x", "id")).answers == [b'{"x":1,"id":1,"y":2.0,"word":null}']
    assert scored([b'{"x":1}'], ("id",)).answers == [b'{"y":2.0,"word":null}']


def test_an_event_that_unfolds_to_too_much_is_dead_and_its_neighbours_are_answered() -> None:
    """A line within the limit of a line, of so many empty objects that they would fill the memory, is a dead letter."""
    model = predictor()
    wide = b'{"x":[' + b",".join([b"{}"] * 100_000) + b"]}"
    batch = EventBatch([b'{"x":1}', wide, b'{"x":2}'], Position())
    answers = EventPredictor(model, PassThrough((), model.signature), len(wide), Bounds(1 << 20)).predict(batch)
    assert list(answers.indexes) == [0, 2]
    (letter,) = answers.dead
    assert (letter.index, letter.stage) == (1, "decode")
    assert "1048576 bytes of memory (max_decoded_bytes)" in letter.errors[0].got
