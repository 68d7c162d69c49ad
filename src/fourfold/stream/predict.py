"""What becomes of a batch of lines: answers and dead letters. It reads and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fourfold.codecs import json_lines
from fourfold.errors import DecodeError, RowError
from fourfold.predictor import Predictor
from fourfold.stream.dead_letters import DeadLetter
from fourfold.stream.lines import Batch, Line, Oversized
from fourfold.stream.passthrough import Keeper

__all__ = ["Scored", "Scorer"]


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a batch; a line that is in neither list was blank.

    Attributes:
        indexes: for each answer, the index of its line in the batch; they ascend.
        answers: the answers as lines of JSON, without newlines.
        dead: the dead letters, by index.
    """

    indexes: Sequence[int]
    answers: Sequence[bytes]
    dead: Sequence[DeadLetter]


class Scorer:
    """Answers batches.

    Args:
        predictor: the predictor.
        keeper: what travels on from the events to their answers.
        max_line: the longest line that is an event, in bytes, for the words of an error.
    """

    def __init__(self, predictor: Predictor, keeper: Keeper, max_line: int) -> None:
        self._predictor = predictor
        self._keeper = keeper
        self._max_line = max_line
        self._outputs = predictor.signature.outputs

    def __call__(self, batch: Batch) -> Scored:
        """Decode every line, answer them in one call of the predictor, and encode the answers.

        Raises:
            EngineError: the engine fails on one event after the other.
        """
        rows, where, dead = self._decode(batch.lines)
        if not rows:
            return Scored([], [], dead)
        answer = self._predictor.answer(rows)
        indexes = [where[row] for row in answer.kept]
        answers = json_lines.encode(answer.outputs, self._outputs).split(b"\n")[: len(indexes)]
        if self._keeper.names:
            events = (batch.lines[index] for index in indexes)
            beginnings = (self._keeper.beginning(event) for event in events if isinstance(event, bytes))
            answers = [beginning + line[1:] for beginning, line in zip(beginnings, answers, strict=True)]
        dead += [_refused(where[row], list(errors)) for row, errors in groupby(answer.errors, lambda error: error.row)]
        return Scored(indexes, answers, sorted(dead, key=lambda letter: letter.index))

    def _decode(self, lines: Sequence[Line]) -> tuple[list[dict[str, object]], list[int], list[DeadLetter]]:
        """The rows, for each the index of its line, and what is no row."""
        rows: list[dict[str, object]] = []
        where: list[int] = []
        dead: list[DeadLetter] = []
        for index, line in enumerate(lines):
            if isinstance(line, Oversized):
                dead.append(
                    _malformed(index, f"one JSON object of at most {self._max_line} bytes", f"{line.size} bytes")
                )
            elif line and not line.isspace():
                try:
                    rows.append(json_lines.decode_line(line))
                    where.append(index)
                except DecodeError as error:
                    dead.append(_malformed(index, "one JSON object in UTF-8", str(error)))
        for name in self._keeper.extra:
            for row in rows:
                row.pop(name, None)
        return rows, where, dead


def _malformed(index: int, expected: str, got: str) -> DeadLetter:
    got = got if len(got) <= 300 else got[:299] + "…"
    return DeadLetter(index, "decode", [RowError(0, None, "format", expected, got)])


def _refused(index: int, errors: Sequence[RowError]) -> DeadLetter:
    return DeadLetter(index, "predict" if errors[0].code == "engine" else "validate", errors)
