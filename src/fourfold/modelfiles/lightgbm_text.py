"""Check LightGBM's text format before LightGBM parses it: its parser checks no bounds.

Every tree must be as long as the text says, and every array in it as long as the tree; every child, column and category
must exist. A text that repeats a key is refused, since two readers could take it for two models.
"""

from __future__ import annotations

import re
from itertools import pairwise

from fourfold.modelfiles import MalformedModel, require

__all__ = ["check"]

# Arrays of a tree that it may lack, with an item for each leaf and for each inner node.
_LEAF_ARRAYS = ("leaf_weight", "leaf_count", "leaf_const")
_NODE_ARRAYS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_CLASSES = re.compile(r"num_class:(\d+)")


def check(text: str) -> None:
    """Check that a model in LightGBM's text format holds together.

    Raises:
        MalformedModel: the text contradicts itself, or was not written by LightGBM.
    """
    try:
        _check(text.encode())
    except MalformedModel:
        raise
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        raise MalformedModel(f"{type(error).__name__}: {error}") from error


def _check(data: bytes) -> None:
    require(not re.search(rb"[\0\r\v\f]", data), "characters that no model has")
    start = data.find(b"\nTree=") + 1
    end = data.find(b"\nend of trees") + 1
    require(end > 0, "no end of its trees")
    start = start if 0 < start < end else end
    header = _pairs(data[:start], "the header")
    width = int(header["max_feature_idx"]) + 1
    require(width > 0, "no columns")
    for name in ("feature_names", "feature_infos"):
        require(len(header[name].split(" ")) == width, f"other {name} than columns")
    classes = int(header["num_class"])
    require(classes == int(header["num_tree_per_iteration"]) > 0, "other numbers of classes and of trees")
    objective = header.get("objective", "")
    stated_classes = {int(number) for number in _CLASSES.findall(objective)}
    require(
        stated_classes <= {classes} and (bool(stated_classes) or not objective.startswith("multi")),
        "other classes than it states",
    )
    sizes = _integers(header["tree_sizes"])
    require(all(size > 0 for size in sizes) and sum(sizes) == end - start, "trees of another size than it states")
    require(len(sizes) % classes == 0, "trees for some classes and not for others")
    for size in sizes:
        block = data[start : start + size]
        require(block.startswith(b"Tree=") and block.endswith(b"\n"), "a tree that does not begin where it should")
        _check_tree(_pairs(block, "a tree"), width)
        start += size


def _pairs(block: bytes, where: str) -> dict[str, str]:
    """Return the keys and values of a block of lines, checked to be as LightGBM writes them.

    Args:
        block: the lines.
        where: `the header` or `a tree`; an empty line ends a tree.
    """
    pairs: dict[str, str] = {}
    has_ended = False
    for line in block.decode().split("\n"):
        has_ended = has_ended or (not line and where == "a tree")
        key, _, value = line.partition("=")
        require(not (line and (has_ended or key in pairs)), f"a line twice or too many in {where}")
        require(key != "" or not line, f"a line without a key in {where}")
        require(where != "a tree" or "=" not in value, f"a line of two values in {where}")
        if line:
            pairs[key] = value
    return pairs


def _check_tree(tree: dict[str, str], width: int) -> None:
    leaves, categories = int(tree["num_leaves"]), int(tree["num_cat"])
    require(leaves > 0 and categories >= 0, "a tree without leaves")
    require(len(tree["leaf_value"].split()) == leaves, "a tree with other leaf_value than leaves")
    linear = tree.get("is_linear", "0")
    require(linear in ("0", "1"), "an unknown kind of tree")
    if leaves > 1:
        _check_nodes(tree, leaves, categories, width)
        for name, length in (dict.fromkeys(_LEAF_ARRAYS, leaves) | dict.fromkeys(_NODE_ARRAYS, leaves - 1)).items():
            require(not tree.get(name) or len(tree[name].split()) == length, f"a tree with other {name} than nodes")
    if linear == "1":
        counts = _integers(tree["num_features"])
        features = _integers(tree["leaf_features"])
        require(len(tree["leaf_const"].split()) == len(counts) == leaves, "a linear tree with other terms than leaves")
        require(all(count >= 0 for count in counts), "a linear tree with a negative count")
        require(len(features) == sum(counts) == len(tree["leaf_coeff"].split()), "a linear tree of another length")
        require(all(0 <= feature < width for feature in features), "a linear tree of another column")


def _check_nodes(tree: dict[str, str], leaves: int, categories: int, width: int) -> None:
    inner = leaves - 1
    names = ("split_feature", "decision_type", "left_child", "right_child")
    features, decisions, left, right = (_integers(tree[name]) for name in names)
    thresholds = [float(number) for number in tree["threshold"].split()]
    for array in (features, decisions, left, right, thresholds):
        require(len(array) == inner, "a tree whose arrays have other lengths than its nodes")
    require(all(0 <= feature < width for feature in features), "a tree of another column")
    # Children are indices of nodes, or of leaves from -1 downward.
    nodes = [child for child in (*left, *right) if child >= 0]
    # No node is the child of two nodes, and the root of none, so every walk from the root ends.
    require(len(set(nodes)) == len(nodes) and all(0 < node < inner for node in nodes), "a tree with another node")
    require(all(-leaves <= child for child in (*left, *right)), "a tree with another leaf")
    # The lowest bit of a decision marks a split by category, whose threshold is the index of its categories.
    splits = [threshold for threshold, decision in zip(thresholds, decisions, strict=True) if decision & 1]
    require(all(0 <= split < categories for split in splits), "a tree with another category")
    if categories:
        bounds = _integers(tree["cat_boundaries"])
        require(len(bounds) == categories + 1 and bounds[0] == 0, "a tree with other categories")
        require(all(low <= high for low, high in pairwise(bounds)), "a tree with categories out of order")
        require(len(_integers(tree["cat_threshold"])) == bounds[-1], "a tree with too few categories")


def _integers(text: str) -> list[int]:
    return [int(number) for number in text.split()]
