"""Turn lines into answers and dead letters; read and write nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fourfold.codecs import DEFAULT_BOUNDS, Bounds, json_lines
from fourfold.errors import DecodeError, RowError
from fourfold.predictor import Predictor
from fourfold.stream.dead_letters import DeadLetter
from fourfold.stream.lines import EventBatch, Line, OversizedLine
from fourfold.stream.passthrough import PassThrough

__all__ = ["EventAnswers", "EventPredictor"]


@dataclass(frozen=True, slots=True)
class EventAnswers:
    """Hold the answers and the dead letters of a batch of lines; blank lines have neither.

    Attributes:
        indexes: for each answer, the index of its line in the batch, ascending.
        answers: the answers as lines of JSON, without newlines.
        dead: the dead letters, ordered by the index of their line.
    """

    indexes: Sequence[int]
    answers: Sequence[bytes]
    dead: Sequence[DeadLetter]


class EventPredictor:
    """Predict for batches of lines.

    Args:
        predictor: the predictor.
        pass_through: the fields that are copied from the events to their answers.
        max_line: the longest line that is an event, in bytes; it is only named in an error here.
        bounds: what an event may take once it is decoded.
    """

    def __init__(
        self, predictor: Predictor, pass_through: PassThrough, max_line: int, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self._bounds = bounds
        self._predictor = predictor
        self._pass_through = pass_through
        self._max_line = max_line
        self._outputs = predictor.signature.outputs
        names = {field.name for field in predictor.signature.inputs}
        self._known = names | set(pass_through.names) if predictor.extra == "ignore" else None

    def predict(self, batch: EventBatch) -> EventAnswers:
        """Decode the lines, answer them in one call of the predictor, and encode the answers.

        Raises:
            EngineError: the engine fails on every event and on its golden rows too.
        """
        rows, row_indexes, dead = self._decode(batch.lines)
        if not rows:
            return EventAnswers([], [], dead)
        answer = self._predictor.answer(rows)
        indexes = [row_indexes[row] for row in answer.kept]
        answers = json_lines.encode(answer.outputs, self._outputs).split(b"\n")[: len(indexes)]
        if self._pass_through.names:
            events = (batch.lines[index] for index in indexes)
            prefixes = (self._pass_through.answer_prefix(event) for event in events if isinstance(event, bytes))
            answers = [prefix + line[1:] for prefix, line in zip(prefixes, answers, strict=True)]
        for row, errors in groupby(answer.errors, lambda error: error.row):
            dead.append(_row_failure(row_indexes[row], list(errors)))
        return EventAnswers(indexes, answers, sorted(dead, key=lambda letter: letter.index))

    def _decode(self, lines: Sequence[Line]) -> tuple[list[dict[str, object]], list[int], list[DeadLetter]]:
        """Return the rows, the line index of each row, and the dead letters of the lines that are no rows."""
        rows: list[dict[str, object]] = []
        row_indexes: list[int] = []
        dead: list[DeadLetter] = []
        for index, line in enumerate(lines):
            if isinstance(line, OversizedLine):
                dead.append(
                    _decode_failure(index, f"one JSON object of at most {self._max_line} bytes", f"{line.size} bytes")
                )
            elif line and not line.isspace():
                try:
                    rows.append(json_lines.decode_line(line, self._bounds, self._known))
                    row_indexes.append(index)
                except DecodeError as error:
                    dead.append(_decode_failure(index, "one JSON object in UTF-8", str(error)))
        for name in self._pass_through.extra:
            for row in rows:
                row.pop(name, None)
        return rows, row_indexes, dead


def _decode_failure(index: int, expected: str, got: str) -> DeadLetter:
    got = got if len(got) <= 300 else got[:299] + "…"
    return DeadLetter(index, "decode", [RowError(0, None, "format", expected, got)])


def _row_failure(index: int, errors: Sequence[RowError]) -> DeadLetter:
    return DeadLetter(index, "predict" if errors[0].code == "engine" else "validate", errors)
