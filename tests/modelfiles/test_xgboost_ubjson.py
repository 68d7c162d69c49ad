from __future__ import annotations

import pytest
import xgboost

from fourfold.modelfiles import MalformedModel, xgboost_ubjson
from tests.runtimes.round_trip import NUMBERS, TARGET


@pytest.mark.parametrize("key", ["left_children", "right_children", "split_indices", "tree_info", "iteration_indptr"])
def test_xgboost_trees_are_checked(key: str) -> None:
    """A tree that points elsewhere is refused before XGBoost follows it."""
    rows = xgboost.DMatrix(NUMBERS.to_numpy(dtype=float), TARGET)
    data = bytes(xgboost.train({"max_depth": 3}, rows, 2).save_raw("ubj"))
    xgboost_ubjson.check(data)
    at = data.index(key.encode()) + len(key)
    at += 13 if data[at : at + 2] == b"[$" else 12
    bad = data[:at] + b"\x10\x00\x00\x00" + data[at + 4 :]
    for each in (bad, data + b"}", data[:-1]):
        with pytest.raises(MalformedModel):
            xgboost_ubjson.check(each)
