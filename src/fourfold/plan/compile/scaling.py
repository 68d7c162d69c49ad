"""Scalers: a column times a number, plus a number."""

from __future__ import annotations

from typing import Any

from fourfold.plan.columns import Matrix, Workshop
from fourfold.plan.compile import transforms
from fourfold.plan.format import Function

__all__: list[str] = []


@transforms("sklearn.StandardScaler")
def standard_scaler(scaler: Any, matrix: Matrix, workshop: Workshop) -> Matrix:
    """`(x - mean) / scale`, each part only where it was asked for."""
    made = workshop.floats(matrix, scaler, nan=True)
    columns, dtype = made.columns, made.dtype
    if scaler.with_mean:
        columns = workshop.map(Function.SUB, columns, scaler.mean_.astype(dtype), dtype=dtype)
    if scaler.with_std:
        columns = workshop.map(Function.DIV, columns, scaler.scale_.astype(dtype), dtype=dtype)
    return Matrix(columns)
