"""Check that a pipeline does not multiply its columns without end.

A union of two members that change nothing has twice the columns. Thirty of them in a row take the memory of the host,
in a file of a few kilobytes. So it is counted how many times a column of the input can be in what each step gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from fourfold.errors import CorruptPackage

__all__ = ["check_widths"]

#: How many times a column may be repeated. Honest pipelines have a union or two, of a few members.
MAX_COPIES = 4096


def check_widths(model: object) -> None:
    """Check a model that was rebuilt; its members are known to be estimators.

    Raises:
        CorruptPackage: it repeats a column more than `MAX_COPIES` times.
        RecursionError: it contains itself.
    """
    copies = _copies(model)
    if copies > MAX_COPIES:
        raise CorruptPackage(
            f"the skops file holds a {type(model).__name__} whose steps together repeat each column up to "
            f"{copies:.3g} times; at most {MAX_COPIES:,} are taken"
        )


def _copies(model: Any) -> float:
    """Return how many times a column of the input can be in what an estimator gives, or keeps meanwhile."""
    if isinstance(model, Pipeline):
        copies = most = 1.0
        for _, step in model.steps:
            copies *= _copies(step)
            most = max(most, copies)
        return most
    if isinstance(model, FeatureUnion):
        return max(1.0, sum(_copies(member) for _, member in model.transformer_list))
    if isinstance(model, ColumnTransformer):
        width = max(1, vars(model).get("n_features_in_", 1))
        members = vars(model).get("transformers_", ())
        return max(1.0, sum(_copies(member) * _share(columns, width) for _, member, columns in members))
    nested = (vars(model).get(name) for name in _NESTED) if hasattr(model, "__dict__") else ()
    members = [member for value in nested for member in (value if isinstance(value, list) else [value])]
    return max((_copies(member) for member in members if hasattr(member, "get_params")), default=1.0)


#: Attributes of estimators that pass their whole input on.
_NESTED = ("best_estimator_", "estimator", "estimator_", "estimators_", "regressor_", "transformer_")


def _share(columns: Any, width: int) -> float:
    """Return how many columns are chosen, as a share of all."""
    if isinstance(columns, slice):
        return 1.0
    chosen = np.asarray(columns)
    count = int(chosen.sum()) if chosen.dtype == bool else chosen.size
    return max(1, count) / width
