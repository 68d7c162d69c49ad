"""Predict a chunk whose rows go to the predictor in several parts, and put the answers back in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from fourfold.errors import RowErrors
from fourfold.predictor import Answer
from fourfold.signature.columns import rows_to_columns

if TYPE_CHECKING:
    from fourfold.batch.extract.formats import ChunkPart
    from fourfold.predictor import Predictor

__all__ = ["predict_chunk"]


def predict_chunk(predictor: Predictor, parts: Sequence[ChunkPart], absent: Collection[str] = ()) -> Answer:
    """Return the answer of `Predictor.answer` to the rows of all parts, in the order of their indices.

    Raises:
        EngineError: the engine is broken.
    """
    if parts[0].indices is None:
        answer: Answer = predictor.answer(parts[0].table, absent=absent)
        return answer
    kept: list[int] = []
    errors = RowErrors()
    batches = []
    for part in parts:
        assert part.indices is not None
        answer = predictor.answer(part.table, absent=absent)
        kept += [part.indices[row] for row in answer.kept]
        errors += [replace(error, row=part.indices[error.row]) for error in answer.errors]
        errors.total += answer.errors.total
        errors.rows += answer.errors.rows
        outputs = answer.outputs
        batches.append(rows_to_columns(predictor.signature.outputs, outputs) if isinstance(outputs, list) else outputs)
    schema = pa.schema([column.with_nullable(True) for column in batches[0].schema])
    joined = pa.concat_batches([pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches])
    order = sorted(range(len(kept)), key=kept.__getitem__)
    errors.sort(key=lambda error: error.row)  # stable: the errors of one row stay in the order of its fields
    return Answer(joined.take(pa.array(order, type=pa.int64())), [kept[index] for index in order], errors)
