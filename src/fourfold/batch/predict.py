"""The answers of a chunk that goes to the predictor in pieces, put back into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from fourfold.predictor import Answer
from fourfold.signature.columns import rows_to_columns

if TYPE_CHECKING:
    from fourfold.batch.extract.formats import Piece
    from fourfold.predictor import Predictor

__all__ = ["answer_pieces"]


def answer_pieces(predictor: Predictor, pieces: Sequence[Piece]) -> Answer:
    """What `Predictor.answer` says of the rows of all pieces, in the order of their places.

    Raises:
        EngineError: the engine is broken.
    """
    if pieces[0].places is None:
        answer: Answer = predictor.answer(pieces[0].table)
        return answer
    kept: list[int] = []
    errors = []
    batches = []
    for piece in pieces:
        assert piece.places is not None
        answer = predictor.answer(piece.table)
        kept += [piece.places[row] for row in answer.kept]
        errors += [replace(error, row=piece.places[error.row]) for error in answer.errors]
        outputs = answer.outputs
        batches.append(rows_to_columns(predictor.signature.outputs, outputs) if isinstance(outputs, list) else outputs)
    order = sorted(range(len(kept)), key=kept.__getitem__)
    schema = pa.schema([column.with_nullable(True) for column in batches[0].schema])
    together = pa.concat_batches([pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches])
    errors.sort(key=lambda error: error.row)  # stable: the errors of a row stay in the order of its fields
    return Answer(together.take(pa.array(order, type=pa.int64())), [kept[place] for place in order], errors)
