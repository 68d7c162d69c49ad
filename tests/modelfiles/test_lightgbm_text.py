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


def sized(text: str) -> str:
    """Return the text with the sizes of its trees made right."""
    start, end = text.index("Tree=0"), text.index("end of trees")
    sizes = " ".join(str(len(block)) for block in re.split(r"(?m)(?=^Tree=)", text[start:end]) if block)
    return re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={sizes}", text)


@pytest.fixture(scope="module")
def text() -> str:
    """A model with categories and terms, whose trees have every key."""
    parameters = {"verbose": -1, "min_data_in_leaf": 5, "linear_tree": True}
    data = lightgbm.Dataset(NUMBERS.to_numpy(dtype=float), TARGET)
    return lightgbm.train(parameters, data, 2).model_to_string()


@pytest.mark.parametrize(
    "line", ["x", "[", "[x]", "[x:", "[x:]", "[:]", ":", "shrinkage=1", "[num_class: 1", "parameters:"]
)
def test_parameters_stand_in_brackets(text: str, line: str) -> None:
    """LightGBM cuts a line of parameters at its colon and brackets, and reads what lies behind where it has none."""
    lightgbm_text.check(text)
    for place in ("\nparameters:\n", "\n[boosting: gbdt]\n"):
        assert place in text
        with pytest.raises(MalformedModel, match="parameters"):
            lightgbm_text.check(text.replace(place, f"{place}{line}\n", 1))


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"^left_child=(\d+)", r"left_child=\g<1>_0"),  # 10 to Python, 1 to LightGBM, and 0 for all that follow
        (r"^left_child=", "left_child=+"),
        (r"^split_feature=0", "split_feature=\u0660"),
        (
            r"^num_leaves=(\d+)",
            r"num_leaves=\g<1>\nnum_leaves =100000",
        ),  # LightGBM cuts off the space: the last one counts
        (r"^num_cat=0", "num_cat=0\nx"),  # LightGBM looks for the next =, in whatever line it is
        (r"^leaf_value=(\S+) ", "leaf_value=\\g<1>\u2003"),
        (r"is_linear=1\nleaf_const=\S+", "is_linear=1\nleaf_const=1e999"),  # ends the process
        (r"is_linear=1\nleaf_const=\S+", "is_linear=1\nleaf_const=1e-310"),
        (r"^decision_type=\d+", "decision_type=300"),
        (r"^objective=.*$", "objective=multiclass num_class:1 num_class:-1000"),
        (r"^objective=.*$", "objective=multiclass num_class:99999999999"),
        (r"^num_class=1", "num_class=2147483648"),
        (r"^max_feature_idx=\d+", "max_feature_idx=4294967298"),
        (r"^pandas_categorical:.*$", "pandas_categorical:" + "[" * 100_000),
        (r"^pandas_categorical:.*$", 'pandas_categorical:{"a": 1}'),
        (r"^tree$", "tree\nparameters:"),
    ],
)
def test_what_lightgbm_does_not_write_is_refused(text: str, pattern: str, replacement: str) -> None:
    """Numbers, keys and lines that Python and LightGBM read in two ways, or that end the process, are refused."""
    changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert count
    with pytest.raises(MalformedModel):
        lightgbm_text.check(sized(changed))


def test_a_tree_is_not_deeper_than_a_stack() -> None:
    """A chain of splits is refused where it is so deep that a function that calls itself would die of it."""
    nodes = 20_000
    body = {
        "Tree": "0",
        "num_leaves": nodes + 1,
        "num_cat": 0,
        "split_feature": "0 " * nodes,
        "threshold": "0 " * nodes,
        "decision_type": "2 " * nodes,
        "left_child": " ".join(str(index + 1) for index in range(nodes - 1)) + " -1",
        "right_child": " ".join(str(-index - 2) for index in range(nodes)),
        "leaf_value": "0 " * (nodes + 1),
        "shrinkage": 1,
    }
    tree = "".join(f"{key}={str(value).strip()}\n" for key, value in body.items()) + "\n\n"
    head = (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nfeature_names=a\nfeature_infos=x\n"
    )
    with pytest.raises(MalformedModel, match="deeper"):
        lightgbm_text.check(sized(f"{head}tree_sizes=1\n\n{tree}end of trees\n\nparameters:\nend of parameters\n"))


@pytest.mark.parametrize("line", ["leaf_value", "internal_count", "num_cat"])
def test_a_tree_ends_with_an_empty_line(line: str) -> None:
    """LightGBM reads on to the next one: a tree that ends before would have the keys of what follows it."""
    parameters = {"verbose": -1, "min_data_in_leaf": 5}
    data = lightgbm.Dataset(NUMBERS.to_numpy(dtype=float), TARGET)
    text = lightgbm.train(parameters, data, 1).model_to_string()
    lightgbm_text.check(text)
    changed = re.sub(rf"(?m)^{line}=.*\n", r"\g<0>end of trees\n", text, count=1)
    with pytest.raises(MalformedModel, match="end where it should"):
        lightgbm_text.check(sized(changed))
