from __future__ import annotations

import re

import lightgbm
import pytest

from fourfold.modelfiles import MalformedModel, lightgbm_text
from tests.runtimes.round_trip import NUMBERS, TARGET


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("left_child", 2**28),
        ("right_child", -(2**28)),
        ("split_feature", 2**28),
        ("left_child", 0),
        ("num_leaves", 10**8),
    ],
)
def test_lightgbm_trees_are_checked(key: str, value: int) -> None:
    """A tree that points elsewhere is refused although the sizes of the trees are right."""
    data = lightgbm.Dataset(NUMBERS.to_numpy(dtype=float), TARGET)
    text = lightgbm.train({"verbose": -1, "min_data_in_leaf": 5}, data, 1).model_to_string()
    lightgbm_text.check(text)
    line = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    assert line
    bad = text.replace(line[0], f"{key}=" + " ".join([str(value)] * len(line[1].split())), 1)
    size = bad.index("end of trees") - bad.index("Tree=")
    for each in (bad, re.sub("tree_sizes=.*", f"tree_sizes={size}", bad)):
        with pytest.raises(MalformedModel):
            lightgbm_text.check(each)
