from __future__ import annotations

import re
from contextlib import nullcontext

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


@pytest.mark.parametrize("key", ["left_child", "right_child"])
def test_leaves_of_lightgbm_end_at_their_number(key: str) -> None:
    """A tree of n leaves has the leaves -1 to -n: LightGBM would read -n - 1 from the memory behind them."""
    data = lightgbm.Dataset(NUMBERS.to_numpy(dtype=float), TARGET)
    text = lightgbm.train({"verbose": -1, "min_data_in_leaf": 5}, data, 1).model_to_string()
    line = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    leaves = re.search(r"^num_leaves=(\d+)$", text, re.MULTILINE)
    assert line
    assert leaves
    children = line[1].split()
    for leaf, is_refused in ((-int(leaves[1]), False), (-int(leaves[1]) - 1, True)):
        last = max(index for index, child in enumerate(children) if child.startswith("-"))
        indices = " ".join([*children[:last], str(leaf), *children[last + 1 :]])
        changed = text.replace(line[0], f"{key}={indices}", 1)
        changed = re.sub(
            "tree_sizes=.*", f"tree_sizes={changed.index('end of trees') - changed.index('Tree=')}", changed
        )
        with pytest.raises(MalformedModel, match="another leaf") if is_refused else nullcontext():
            lightgbm_text.check(changed)
