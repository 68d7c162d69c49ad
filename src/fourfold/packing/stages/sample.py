"""Sample the packing rows, and make the edge cases and boundary rows that go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fourfold import tables
from fourfold.errors import InputError
from fourfold.function import as_rows
from fourfold.packing.samples.decision_boundaries import boundary_rows
from fourfold.packing.samples.edge_cases import edge_cases, spread_indices
from fourfold.packing.samples.expected_outputs import read_expected
from fourfold.packing.samples.other_rows import OtherRows
from fourfold.packing.samples.packing_rows import PackingRows
from fourfold.packing.stages.prepare import OriginalModel
from fourfold.signature import Signature

__all__ = ["sample"]

#: The packing rows that the invariance test and the golden rows are made from; more add time and find no more.
MAX_SAMPLE_ROWS = 256
#: The packing rows that engines are measured on.
MAX_BENCHMARK_ROWS = 4096


def sample(original: OriginalModel, rows: Any, expect: Any, expect_rtol: float, *, measure: bool) -> PackingRows:
    """Sample the rows that a model is packed with.

    Args:
        original: the model, prepared.
        rows: the packing rows, in the container in which they came.
        expect: the outputs that the caller expects, or `None`.
        expect_rtol: how far answers may be from these.
        measure: whether engines will be measured, on rows of their own.

    Raises:
        InputError: a row of the sample does not fit the signature.
        PackError: the expected outputs cannot be read, or the original engine does not give them.
    """
    signature = original.signature
    rows = _name_column(rows, signature)
    expected = None if expect is None else read_expected(expect, rows, signature, expect_rtol)
    sampled = spread_indices(tables.length(rows), MAX_SAMPLE_ROWS)
    table, errors = _read(rows, signature, sampled)
    if errors:
        raise InputError(errors)
    plain = as_rows(signature.inputs, table)
    function = original.function()
    if expected is not None:
        expected.check(function)  # build checks the chosen engine; this check fails before the long work
    return PackingRows(
        table,
        plain,
        edge_cases(signature, plain),
        boundary_rows(function, plain),
        OtherRows(rows, signature, sampled),
        expected,
        _benchmark_rows(rows, signature) if measure else (),
    )


def _name_column(rows: Any, signature: Signature) -> Any:
    """Return rows whose columns have names: a text model is trained on a list, Series or array of texts."""
    values = rows.tolist() if getattr(rows, "ndim", 2) == 1 else rows
    if not isinstance(values, (list, tuple)) or any(isinstance(value, Mapping) for value in values):
        return rows
    return [{signature.inputs[0].name: value} for value in values]


def _read(rows: Any, signature: Signature, indices: Sequence[int]) -> tuple[Any, Any]:
    """Return the rows with these indices, canonical, and the errors of those that do not fit the signature."""
    return tables.read(tables.take(rows, indices), signature.inputs, "ignore")


def _benchmark_rows(rows: Any, signature: Signature) -> list[dict[str, Any]]:
    """Return the rows to measure on. Rows that do not fit are left out: only the sample must fit."""
    table, errors = _read(rows, signature, spread_indices(tables.length(rows), MAX_BENCHMARK_ROWS))
    unfit = {error.row for error in errors}
    return [row for index, row in enumerate(as_rows(signature.inputs, table)) if index not in unfit]
