"""Check LightGBM's text format before LightGBM parses it: its parser checks no bounds.

Every tree must be as long as the text says, and every array in it as long as the tree; every child, column and category
must exist. A text that repeats a key is refused, since two readers could take it for two models. So are numbers that
LightGBM does not write, such as `1_0`, `+1` or digits of other scripts: where Python reads ten, LightGBM reads one.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise

from fourfold.modelfiles import MalformedModel, require

__all__ = ["check"]

# Arrays of a tree that it may lack, with an item for each leaf and for each inner node, and what an item is.
_LEAF_ARRAYS = ("leaf_weight", "leaf_count", "leaf_const")
_NODE_ARRAYS = ("split_gain", "internal_value", "internal_weight", "internal_count")
#: The lines of the header that have no value.
_WORDS = ("tree", "average_output")
#: The most outputs of a model without trees; others have at least a tree for each output.
_MAX_OUTPUTS_WITHOUT_TREES = 1024
#: The most splits from a tree's root to a leaf: some of LightGBM's functions go down by calling themselves.
_MAX_DEPTH = 10_000
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,4})?|nan|inf)")
# Lists of them, between spaces: LightGBM writes a space or two around some.
_INTEGERS = re.compile(rf" *(?:{_INTEGER.pattern}(?: +|$))*")
_NUMBERS = re.compile(rf" *(?:{_NUMBER.pattern}(?: +|$))*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TREE_LINE = re.compile(r"(Tree|[a-z_]+)=([^=\n]*)")
#: A line of parameters. LightGBM cuts it at the colon, and takes the character after it and the last one off unseen.
_PARAMETER = re.compile(r"\[[A-Za-z0-9_]+: .*\]")
_OBJECTIVE_OPTION = re.compile(r"[A-Za-z_]+(?::(?P<number>[^: ]+))?")
_CATEGORIES_KEY = "pandas_categorical:"
_INT32_END, _UINT32_END = 2**31, 2**32


def check(text: str) -> None:
    """Check that a model in LightGBM's text format holds together.

    Raises:
        MalformedModel: the text contradicts itself, or was not written by LightGBM.
    """
    try:
        _check(text.encode())
    except MalformedModel:
        raise
    except (KeyError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise MalformedModel(f"{type(error).__name__}: {error}") from error


def _check(data: bytes) -> None:
    require(not re.search(rb"[\0\r\v\f]", data), "characters that no model has")
    start = data.find(b"\nTree=") + 1
    end = data.find(b"\nend of trees\n") + 1
    require(end > 0, "no end of its trees")
    start = start if 0 < start < end else end
    header = _pairs(data[:start])
    width = _integer(header["max_feature_idx"]) + 1
    require(width > 0, "no columns")
    for name in ("feature_names", "feature_infos"):
        require(len(header[name].split(" ")) == width, f"other {name} than columns")
    if constraints := header.get("monotone_constraints"):
        require(len(_integers(constraints, 2**7)) == width, "monotone_constraints for other columns")
    classes = _integer(header["num_class"])
    require(classes == _integer(header["num_tree_per_iteration"]) > 0, "other numbers of classes and of trees")
    _integer(header.get("label_index", "0"))
    _check_objective(header.get("objective"), classes)
    sizes = _integers(header["tree_sizes"])
    require(all(size > 0 for size in sizes) and sum(sizes) == end - start, "trees of another size than it states")
    require(len(sizes) % classes == 0, "trees for some classes and not for others")
    require(len(sizes) > 0 or classes <= _MAX_OUTPUTS_WITHOUT_TREES, "no trees, but many classes")
    for size in sizes:
        block = data[start : start + size]
        # LightGBM reads a tree up to an empty line, and not as far as its size says.
        require(
            block.startswith(b"Tree=") and block.endswith(b"\n\n"), "a tree that does not begin and end where it should"
        )
        _check_tree(_tree(block.decode()), width)
        start += size
    _check_end(data[end:].decode())


def _pairs(block: bytes) -> dict[str, str]:
    """Return the keys and values of the header, checked to be as LightGBM writes them."""
    pairs: dict[str, str] = {}
    for line in block.decode().split("\n"):
        if not line:
            continue
        key, mark, value = line.partition("=")
        require(key not in pairs, "a line twice in the header")
        require(bool(_KEY.fullmatch(key)) and (mark == "=" or key in _WORDS), "a line without a key in the header")
        require("=" not in value or key in ("feature_names", "feature_infos"), "a line of two values in the header")
        pairs[key] = value
    return pairs


def _tree(block: str) -> dict[str, str]:
    """Return the keys and values of a tree: lines, and then empty lines."""
    lines = block.rstrip("\n").split("\n")
    pairs: dict[str, str] = {}
    for line in lines:
        match = _TREE_LINE.fullmatch(line)
        require(match is not None, "a line that is not a key and a value in a tree")
        key, value = match.groups() if match else ("", "")
        require(key not in pairs, "a line twice in a tree")
        pairs[key] = value
    return pairs


def _check_objective(objective: str | None, classes: int) -> None:
    """Check the line of the objective: its name, and options that are names, or names with a number."""
    if objective is None:
        return
    name, *options = objective.split(" ")
    require(bool(_KEY.fullmatch(name)), "an objective without a name")
    names = set()
    for option in options:
        match = _OBJECTIVE_OPTION.fullmatch(option)
        key, _, number = option.partition(":")
        require(
            match is not None and key not in names, "an option of its objective that is malformed, or is there twice"
        )
        require(":" not in option or bool(_NUMBER.fullmatch(number)), "an option of its objective that is no number")
        require(key != "num_class" or number == str(classes), "other classes than it states")
        names.add(key)
    require(not name.startswith(("multi", "softmax", "ova")) or "num_class" in names, "other classes than it states")


def _check_end(text: str) -> None:
    """Check what follows the trees: importances, parameters, and the categories of a frame's columns."""
    lines = text.split("\n")
    openings, closings = lines.count("parameters:"), lines.count("end of parameters")
    require(openings == closings <= 1, "parameters without a beginning or an end")
    if openings:
        first, last = lines.index("parameters:"), lines.index("end of parameters")
        require(first < last, "parameters that end before they begin")
        known = [line for line in lines[first + 1 : last] if line]
        require(all(_PARAMETER.fullmatch(line) for line in known), "a line among its parameters that is no parameter")
    final = text.rstrip().rpartition("\n")[2]
    if final.startswith(_CATEGORIES_KEY):
        categories = json.loads(final.removeprefix(_CATEGORIES_KEY))
        columns = [] if categories is None else categories
        are_lists = isinstance(columns, list) and all(isinstance(column, list) for column in columns)
        require(are_lists, "categories that are no lists")
        are_plain = all(not isinstance(value, (list, dict)) for column in columns for value in column)
        require(are_plain, "categories that are no texts or numbers")


def _check_tree(tree: dict[str, str], width: int) -> None:
    leaves, categories = _integer(tree["num_leaves"]), _integer(tree["num_cat"])
    require(leaves > 0 and categories >= 0, "a tree without leaves")
    require(len(_numbers(tree["leaf_value"])) == leaves, "a tree with other leaf_value than leaves")
    require(len(_numbers(tree.get("shrinkage", "1"))) == 1, "a tree without a shrinkage")
    linear = tree.get("is_linear", "0")
    require(linear in ("0", "1"), "an unknown kind of tree")
    if leaves > 1:
        _check_nodes(tree, leaves, categories, width)
    for name, length in (dict.fromkeys(_LEAF_ARRAYS, leaves) | dict.fromkeys(_NODE_ARRAYS, leaves - 1)).items():
        require(
            not tree.get(name) or len(_numbers(tree[name])) == length or leaves == 1,
            f"a tree with other {name} than nodes",
        )
    if linear == "1":
        counts = _integers(tree["num_features"])
        features = _integers(tree["leaf_features"])
        _check_magnitudes(tree["leaf_const"], tree["leaf_coeff"])
        require(
            len(_numbers(tree["leaf_const"])) == len(counts) == leaves, "a linear tree with other terms than leaves"
        )
        require(all(count >= 0 for count in counts), "a linear tree with a negative count")
        require(len(features) == sum(counts) == len(_numbers(tree["leaf_coeff"])), "a linear tree of another length")
        require(all(0 <= feature < width for feature in features), "a linear tree of another column")


def _check_magnitudes(*texts: str) -> None:
    """Check that a double holds each number in full: at any other in a linear tree LightGBM ends the process."""
    for word in (word for text in texts for word in _numbers(text)):
        magnitude = abs(float(word))
        is_held = sys.float_info.min <= magnitude <= sys.float_info.max
        is_plain = word.lstrip("-") in ("nan", "inf") or not word.lower().partition("e")[0].strip("-0.")
        require(is_held or is_plain, "a number in a linear tree that is too large or too small")


def _check_nodes(tree: dict[str, str], leaves: int, categories: int, width: int) -> None:
    inner = leaves - 1
    names = ("split_feature", "left_child", "right_child")
    features, left, right = (_integers(tree[name]) for name in names)
    decisions = _integers(tree["decision_type"], 2**7)
    thresholds = [float(number) for number in _numbers(tree["threshold"])]
    for array in (features, decisions, left, right, thresholds):
        require(len(array) == inner, "a tree whose arrays and nodes have different lengths")
    require(all(0 <= feature < width for feature in features), "a tree of another column")
    # Children are indices of nodes, or of leaves from -1 downward.
    nodes = [child for child in (*left, *right) if child >= 0]
    # No node is the child of two nodes, and the root of none, so every walk from the root ends.
    require(len(set(nodes)) == len(nodes) and all(0 < node < inner for node in nodes), "a tree with another node")
    require(all(-leaves <= child for child in (*left, *right)), "a tree with another leaf")
    require(_depth(left, right) <= _MAX_DEPTH, f"a tree deeper than {_MAX_DEPTH:,} splits")
    # The lowest bit of a decision marks a split by category, whose threshold is the index of its categories.
    splits = [threshold for threshold, decision in zip(thresholds, decisions, strict=True) if decision & 1]
    are_known = all(0 <= split < categories and split == int(split) for split in splits)
    require(are_known, "a tree with another category")
    if categories:
        bounds = _integers(tree["cat_boundaries"])
        require(len(bounds) == categories + 1 and bounds[0] == 0, "a tree with other categories")
        require(all(low <= high for low, high in pairwise(bounds)), "a tree with categories out of order")
        sets = _integers(tree["cat_threshold"], _UINT32_END)
        require(len(sets) == bounds[-1] and all(bits >= 0 for bits in sets), "a tree with too few categories")


def _depth(left: list[int], right: list[int]) -> int:
    """Return the number of splits on the longest way from the root; each node has one parent at most."""
    depth, level = 0, [0]
    while level:
        depth += 1
        level = [child for node in level for child in (left[node], right[node]) if child >= 0]
    return depth


def _integer(text: str, end: int = _INT32_END) -> int:
    require(bool(_INTEGER.fullmatch(text)), "a number that LightGBM does not write")
    value = int(text)
    require(-end <= value < end, "a number that is too large")
    return value


def _integers(text: str, end: int = _INT32_END) -> list[int]:
    require(bool(_INTEGERS.fullmatch(text)), "a number that LightGBM does not write")
    values = [int(word) for word in text.split()]
    require(not values or -end <= min(values) <= max(values) < end, "a number that is too large")
    return values


def _numbers(text: str) -> list[str]:
    """Return the texts of a list of numbers."""
    require(bool(_NUMBERS.fullmatch(text)), "a number that LightGBM does not write")
    return text.split()
