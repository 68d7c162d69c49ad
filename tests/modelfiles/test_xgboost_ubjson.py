from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost

from fourfold.modelfiles import MalformedModel, xgboost_ubjson
from tests.fuzz.ubjson import decode, encode
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


def trained(**parameters: Any) -> xgboost.Booster:
    """Return a booster of two outputs."""
    targets = np.stack([TARGET, -TARGET], axis=1)
    rows = xgboost.DMatrix(NUMBERS.to_numpy(dtype=float), targets)
    return xgboost.train({"max_depth": 3, "tree_method": "hist", **parameters}, rows, 2)


def test_linear_boosters_of_no_rounds_have_no_weights() -> None:
    """XGBoost takes them for 0; another number of weights than columns is refused."""
    rows = xgboost.DMatrix(NUMBERS.to_numpy(dtype=float), TARGET)
    for rounds in (0, 1):
        xgboost_ubjson.check(bytes(xgboost.train({"booster": "gblinear"}, rows, rounds).save_raw("ubj")))
    document = decode(bytes(xgboost.train({"booster": "gblinear"}, rows, 1).save_raw("ubj")))
    model = document["learner"]["gradient_booster"]["model"]
    model["weights"] = model["weights"][:-1]
    with pytest.raises(MalformedModel, match="weights for other columns"):
        xgboost_ubjson.check(encode(document))


def test_vectors_in_leaves_need_what_xgboost_reads() -> None:
    """Trees with a vector in each leaf as XGBoost 2.1 saved them, of which 3.2 dies, are refused."""
    document = decode(bytes(trained(multi_strategy="multi_output_tree").save_raw("ubj")))
    xgboost_ubjson.check(encode(document))
    for name in ("leaf_weights", "loss_changes", "sum_hessian"):
        tree = document["learner"]["gradient_booster"]["model"]["trees"][1]
        values = tree.pop(name)
        with pytest.raises(MalformedModel, match=f"without {name}.*train the model again"):
            xgboost_ubjson.check(encode(document))
        tree[name] = values


CHANGES: list[Callable[[Any, Any], object]] = [
    lambda learner, tree: tree["parents"].__setitem__(1, 2),
    lambda learner, tree: tree["parents"].__setitem__(0, 0),
    lambda learner, tree: tree["tree_param"].update(size_leaf_vector="-3"),
    lambda learner, tree: tree["tree_param"].update(num_nodes="1_5"),
    lambda learner, tree: tree["tree_param"].update(num_nodes=f"+{len(tree['parents'])}"),
    lambda learner, tree: tree["split_type"].__setitem__(0, 1),
    lambda learner, tree: tree["split_type"].__setitem__(-1, 1),  # a leaf: XGBoost ends the process
    lambda learner, tree: tree.update(categories_nodes=np.zeros(1, np.int32)),
    lambda learner, tree: learner["learner_model_param"].update(num_target="2 "),
    lambda learner, tree: learner["learner_model_param"].update(num_class="99999999999"),
    lambda learner, tree: learner["objective"].update(
        name="multi:softprob", softmax_multiclass_param={"num_class": "1000"}
    ),
    lambda learner, tree: learner["gradient_booster"].update(name="gbtree "),
]


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize("change", range(len(CHANGES)))
def test_what_xgboost_does_not_write_is_refused(change: int, form: str) -> None:
    """Parents, sizes, kinds of splits and objectives that contradict a model are refused in both of its formats."""
    document = decode(bytes(trained().save_raw("ubj")))
    learner = document["learner"]
    tree = learner["gradient_booster"]["model"]["trees"][0]
    for name in ("parents", "split_type"):
        tree[name] = tree[name].copy()
    check: Callable[[bytes], None] = xgboost_ubjson.check if form == "ubj" else xgboost_ubjson.check_json
    write: Callable[[Any], bytes] = encode if form == "ubj" else as_json
    check(write(document))
    CHANGES[change](learner, tree)
    with pytest.raises(MalformedModel):
        check(write(document))


def as_json(document: Any) -> bytes:
    """Return a model in JSON."""
    return json.dumps(document, default=lambda value: value.tolist()).encode()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b'{"learner": 1}', b"[" * 100_000, b'{"a": 1, "a": 2}', b"binf"]
)
def test_json_that_is_no_model(text: bytes) -> None:
    """Anything else is refused with a message, however deep it is."""
    with pytest.raises(MalformedModel):
        xgboost_ubjson.check_json(text)


@pytest.mark.parametrize("version", [None, [3, 2], [3, [2], 0], [3, np.arange(2), 0], [3, 2**40, 0], "3.2.0"])
def test_a_version_is_three_numbers(version: Any) -> None:
    """XGBoost ends the process where a version is anything else."""
    document = decode(bytes(trained().save_raw("ubj")))
    with pytest.raises(MalformedModel):
        xgboost_ubjson.check(encode(document | {"version": version}))
