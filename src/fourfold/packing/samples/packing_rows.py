"""Define the rows that a model is packed with, by what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.packing.samples.expected_outputs import ExpectedOutputs
from fourfold.packing.samples.other_rows import OtherRows

__all__ = ["PackingRows"]

Row = dict[str, Any]


@dataclass(frozen=True)
class PackingRows:
    """Hold the canonical rows that a model is packed with.

    Attributes:
        table: some of the rows that came, spread over all of them, in the form in which they came: rows or columns.
        plain: the same as rows. They tell how large answers usually are.
        edge_cases: rows made to provoke differences. The original engine may refuse some; then every other engine must
            refuse the same ones.
        boundaries: rows where the last bit of a sum decides the answer. They are no golden rows: another processor may
            well answer with the other side.
        others: the packing rows that are not in `plain`.
        expected: the outputs that the caller expects, where there are any.
        benchmark: the rows that engines are measured on; none where they are not measured.
    """

    table: Any
    plain: Sequence[Row]
    edge_cases: Sequence[Row]
    boundaries: Sequence[Row]
    others: OtherRows
    expected: ExpectedOutputs | None = None
    benchmark: Sequence[Row] = ()
