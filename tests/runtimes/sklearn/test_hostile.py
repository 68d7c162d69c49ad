"""Hold skops files that are made to harm: each is refused before anything of it is built, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.validation import check_array

from fourfold.errors import CorruptPackage, PackageError, TrustError
from fourfold.runtimes.sklearn import skops_file

X = np.arange(40.0).reshape(20, 2)
Y = X[:, 0]
CLASS = (Y > 20).astype(int)
BOOSTER = lightgbm.train({"verbose": -1, "min_data_in_leaf": 1}, lightgbm.Dataset(X, Y), 1)


def line() -> LinearRegression:
    return LinearRegression().fit(X, Y)


def stack(member: Any, method: str) -> Any:
    """A stack that asks a member by the name of a method."""
    model = StackingRegressor([("l", LinearRegression())]).fit(X, Y)
    model.estimators_, model.stack_method_ = [member], [method]
    return model


def with_attribute(model: Any, name: str, value: Any) -> Any:
    setattr(model, name, value)
    return model


def path_giver(target: str) -> list[Any]:
    """Steps that put a text in the place of the rows."""
    objects = FunctionTransformer(check_array, kw_args={"dtype": "O"})
    return [objects, FunctionTransformer(np.max, kw_args={"initial": target, "where": False, "axis": None})]


def chain_of(method: Any) -> Any:
    chain = ClassifierChain(LogisticRegression()).fit(X, np.column_stack([CLASS, 1 - CLASS]))
    return with_attribute(chain, "chain_method_", method)


def threshold_of(method: str) -> Any:
    return with_attribute(FixedThresholdClassifier(LogisticRegression()).fit(X, CLASS), "response_method", method)


def calibrated(member: Any) -> Any:
    model = CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, CLASS)
    model.calibrated_classifiers_[0].estimator = member
    return model


BYTES = np.array([b"ssh-ed25519 AAAA attacker\n"])
#: What stands, or is called, where no fitted model has it; `target` is a file that must neither be written nor read.
ARRANGED: dict[str, Callable[[str], Any]] = {
    "writes a file by the name of a method": lambda target: make_pipeline(*path_giver(target), stack(BYTES, "tofile")),
    "names a method of an estimator's": lambda target: stack(line(), "set_params"),
    "names a method that Python has": lambda target: stack(line(), "__reduce__"),
    "reads a file with a booster": lambda target: make_pipeline(*path_giver(target), stack(BOOSTER, "predict")),
    "puts a text in the place of the rows": lambda target: make_pipeline(*path_giver(target), line()),
    "reads a file with XGBoost": lambda target: make_pipeline(
        *[FunctionTransformer(np.max, kw_args={"axis": -1})] * 2, xgboost.XGBRegressor(n_estimators=1).fit(X, Y)
    ),
    "has an array as a step": lambda target: with_attribute(
        make_pipeline(StandardScaler(), line()), "steps", [("a", BYTES), ("b", line())]
    ),
    "has a text as a step": lambda target: with_attribute(
        make_pipeline(StandardScaler(), line()), "steps", [("a", "tofile"), ("b", line())]
    ),
    "has bytes as a step": lambda target: with_attribute(
        make_pipeline(StandardScaler(), line()), "steps", [("a", b"passthrough"), ("b", line())]
    ),
    "has a booster as a step": lambda target: Pipeline([("a", FunctionTransformer()), ("b", BOOSTER)]),
    "has a table in a union": lambda target: FeatureUnion([("a", np.ones(3))]),
    "has a table for columns": lambda target: with_attribute(
        ColumnTransformer([("a", StandardScaler(), [0])]).fit(X), "transformers_", [("a", BYTES, [0])]
    ),
    "votes with an array": lambda target: with_attribute(
        VotingRegressor([("l", LinearRegression())]).fit(X, Y), "estimators_", [BYTES]
    ),
    "bags arrays": lambda target: with_attribute(
        BaggingRegressor(n_estimators=1).fit(X, Y), "estimators_", [np.ones(3)]
    ),
    "boosts arrays": lambda target: with_attribute(AdaBoostRegressor(n_estimators=1).fit(X, Y), "estimators_", [BYTES]),
    "calibrates an array": lambda target: calibrated(BYTES),
    "freezes an array": lambda target: with_attribute(FrozenEstimator(line()), "estimator", BYTES),
    "chains by the name of a method": lambda target: chain_of("tofile"),
    "decides by the name of a method": lambda target: threshold_of("dump"),
    "opens what it is given": lambda target: with_attribute(CountVectorizer().fit(["a cat"]), "input", "filename"),
    "writes into an array": lambda target: FunctionTransformer(np.add, kw_args={"out": np.ones(3)}),
    "reads memory that nobody wrote": lambda target: FunctionTransformer(np.sqrt, kw_args={"where": np.zeros(2, bool)}),
    "multiplies rows with a matrix": lambda target: FunctionTransformer(partial(np.matmul, np.ones((1, 2)))),
    "weighs by a reduction": lambda target: with_attribute(KNeighborsRegressor(2).fit(X, Y), "weights", np.max),
    "calls a function with a function": lambda target: FunctionTransformer(np.clip, kw_args={"a_min": np.max}),
    "is given a text first": lambda target: FunctionTransformer(partial(np.add, "text")),
    "gives a partial call its way out": lambda target: FunctionTransformer(partial(np.max, initial=target)),
    "takes differences for ever": lambda target: FunctionTransformer(np.diff, kw_args={"n": 10**9}),
    "has a function in the place of a method": lambda target: with_attribute(line(), "predict", np.sqrt),
    "has a function as data": lambda target: with_attribute(line(), "coef_", np.sqrt),
    "is a function": lambda target: np.sqrt,
    "is a list": lambda target: [line()],
}


@pytest.mark.parametrize("name", ARRANGED)
def test_what_stands_in_the_wrong_place_is_refused(name: str, tmp_path: Path) -> None:
    """A file of allowed types alone that calls what no fitted model calls is refused before it is built."""
    target = tmp_path / "authorized_keys"
    data = skops_file.dumps(ARRANGED[name](str(target)))
    with pytest.raises(TrustError, match="as no fitted model does"):
        skops_file.loads(data)
    assert not list(tmp_path.iterdir())


HONEST: dict[str, Callable[[], Any]] = {
    "numbers before": lambda: FunctionTransformer(partial(np.maximum, 0.0)),
    "arguments": lambda: FunctionTransformer(partial(np.clip, a_min=np.float64(0)), kw_args={"a_max": np.ones(2)}),
    "a type": lambda: FunctionTransformer(np.float32),
    "means of rows": lambda: FunctionTransformer(np.mean, kw_args={"axis": 1, "keepdims": True}),
    "nothing": lambda: Pipeline([("a", "passthrough"), ("b", line())]),
    "weights": lambda: KNeighborsRegressor(2, weights=np.exp).fit(X, Y),
    "dropped": lambda: ColumnTransformer([("a", "drop", [0]), ("b", StandardScaler(), slice(0, 1))]).fit(X),
    "getter": lambda: with_attribute(StandardScaler(), "importance_getter", "named_steps.a.coef_"),
    "shared": lambda: VotingRegressor([("l", lightgbm.LGBMRegressor(n_estimators=1, verbose=-1))]).fit(X, Y),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_stands_where_it_belongs_is_built(name: str) -> None:
    """What fitted models hold is built, in the places and with the arguments next to those that are refused."""
    data = skops_file.dumps(HONEST[name]())
    assert skops_file.dumps(skops_file.loads(data)) == data


def changed(model: Any, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> bytes:
    """The skops file of a model after a change of its schema and its members."""
    with zipfile.ZipFile(io.BytesIO(skops_file.dumps(model))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    change(schema, members)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def array_file(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=False)
    return target.getvalue()


def tree_state(schema: dict[str, Any]) -> dict[str, Any]:
    """The state of the tree in a file of a decision tree."""
    state: dict[str, Any] = schema["content"]["content"]["tree_"]["content"]["content"]
    return state


def swap_arrays(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    state = tree_state(schema)
    state["nodes"]["file"], state["values"]["file"] = state["values"]["file"], state["nodes"]["file"]


def one_node(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    name = tree_state(schema)["nodes"]["file"]
    members[name] = array_file(np.load(io.BytesIO(members[name]))[0])


def many_nodes(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    tree_state(schema)["node_count"]["content"] = "1000000"


def many_outputs(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    schema["content"]["content"]["tree_"]["__reduce__"]["args"]["content"][2]["content"] = "100000"


def long_header(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    name = tree_state(schema)["values"]["file"]
    members[name] = members[name].replace(b"(7, 1, 1)", b"(1099511627776,)")


def unfolding(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    target = io.BytesIO()
    sparse.save_npz(target, sparse.csr_matrix(np.ones((1, 1))))
    arrays = dict(np.load(io.BytesIO(target.getvalue())))
    target = io.BytesIO()
    np.savez_compressed(target, **(arrays | {"data": np.zeros(2**27)}))
    members[next(name for name in members if name.endswith(".npz"))] = target.getvalue()


def two_in_one(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    state = schema["content"]["content"]
    state["criterion"]["__id__"] = state["splitter"]["__id__"] = 7


def tree() -> Any:
    return DecisionTreeRegressor(max_depth=2).fit(X, Y)


def sparse_neighbours() -> Any:
    return KNeighborsRegressor(2).fit(sparse.csr_matrix(X), Y)


DAMAGED: dict[str, tuple[Callable[[], Any], Callable[[dict[str, Any], dict[str, bytes]], None]]] = {
    "a tree whose nodes and values are exchanged": (tree, swap_arrays),
    "a tree whose nodes are no list": (tree, one_node),
    "a tree with more nodes than it has": (tree, many_nodes),
    "a tree with more outputs than it has": (tree, many_outputs),
    "an array that announces terabytes": (tree, long_header),
    "a sparse matrix that unfolds to a gigabyte": (sparse_neighbours, unfolding),
    "two parts of one number": (tree, two_in_one),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_would_crash_while_it_is_built_is_refused(name: str) -> None:
    """A file whose arrays do not fit each other, or unfold without end, is refused before a library reads them."""
    make, change = DAMAGED[name]
    data = changed(make(), change)
    assert len(data) < 2**21
    # Trust reads what another maker numbers otherwise.
    loaders = [skops_file.loads] if name == "two parts of one number" else [skops_file.loads, skops_file.loads_trusted]
    for load in loaders:
        with pytest.raises(CorruptPackage):
            load(data)


def test_trust_reads_other_files() -> None:
    """A maker who is trusted may compress a file; the model is checked as any other."""
    good, bad = tree(), with_attribute(CountVectorizer().fit(["a cat"]), "input", "filename")
    for model, is_good in ((good, True), (bad, False)):
        compressed = skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED)
        with pytest.raises(CorruptPackage, match="compressed"):
            skops_file.loads(compressed)
        if is_good:
            assert np.array_equal(skops_file.loads_trusted(compressed).predict(X), model.predict(X))
        else:
            with pytest.raises(CorruptPackage, match="CountVectorizer"):
                skops_file.loads_trusted(compressed)


def test_the_limit_of_unfolding_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse matrices may unfold to as much as the host says, and the error says how to say it."""
    data = skops_file.dumps(sparse_neighbours())
    monkeypatch.setenv("FOURFOLD_MAX_SPARSE_BYTES", "1000")
    with pytest.raises(CorruptPackage, match="FOURFOLD_MAX_SPARSE_BYTES"):
        skops_file.loads(data)
    monkeypatch.setenv("FOURFOLD_MAX_SPARSE_BYTES", "100000")
    skops_file.loads(data)
    monkeypatch.setenv("FOURFOLD_MAX_SPARSE_BYTES", "much")
    with pytest.raises(PackageError, match="FOURFOLD_MAX_SPARSE_BYTES: expected a number of bytes; got 'much'"):
        skops_file.loads(data)


@pytest.mark.parametrize("model", [RandomForestRegressor(2), HistGradientBoostingRegressor(max_iter=2)], ids=repr)
def test_every_cut_file_is_refused(model: Any) -> None:
    """A file that ends early, at any place, is a corrupt package and nothing else."""
    data = skops_file.dumps(model.fit(X, Y))
    for end in range(0, len(data), max(1, len(data) // 60)):
        with pytest.raises(CorruptPackage):
            skops_file.loads(data[:end])


def no_state(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    state = schema["content"]["content"]["_tree"]["content"]["content"]
    metric = next(part for part in state if part["__class__"].startswith("Euclidean"))
    metric["content"] = node("ListNode", "builtins.list", content=[])


def no_tree(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    schema["content"]["content"]["_tree"]["content"]["content"].pop()


def node(loader: str, name: str, **more: Any) -> dict[str, Any]:
    module, _, cls = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": cls, **more}


@pytest.mark.parametrize("change", [no_state, no_tree])
def test_compiled_classes_read_their_own_state(change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> None:
    """A search tree or a metric whose state is not the tuple that it wrote is refused: it would read past its end."""
    data = changed(KNeighborsRegressor(2, algorithm="kd_tree").fit(X, Y), change)
    with pytest.raises(CorruptPackage):
        skops_file.loads(data)


def hidden_state(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    """Put the attributes of an estimator into a text, where no part of the file names them."""
    schema["content"] = node("JsonNode", "builtins.str", content='{"stack_method_": ["tofile"]}')


def other_dict(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    """Put the attributes of an estimator into a dict of another kind."""
    nothing = node("JsonNode", "builtins.str", content="null")
    content = {"main": schema["content"], "default_factory": nothing}
    schema["content"] = node("DefaultDictNode", "collections.defaultdict", content=content)


def other_keys(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    """Name the attributes of an estimator by keys that are no texts in the file."""
    schema["content"]["key_types"]["content"][0] = node("TypeNode", "builtins.bytes")


def large_pool(schema: dict[str, Any], members: dict[str, bytes]) -> None:
    """Let a random generator make a pool of eight gigabytes."""
    generator = schema["content"]["content"]["random_state"]["content"]["seed_seq"]["content"]
    generator["pool_size"]["content"] = str(2**31)


@pytest.mark.parametrize("change", [hidden_state, other_dict, other_keys, large_pool])
def test_attributes_are_where_they_are_looked_for(
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
) -> None:
    """A state that hides its attributes from the checks is refused, and so is a generator that takes all memory."""
    model = stack(line(), "predict")
    model.random_state = np.random.default_rng(0)
    assert skops_file.loads(changed(model, lambda schema, members: None)).stack_method_ == ["predict"]
    with pytest.raises(TrustError, match="as no fitted model does"):
        skops_file.loads(changed(model, change))


def test_members_over_each_other_are_refused() -> None:
    """A zip whose list names one long member many times is refused before it is read so often."""
    data = skops_file.dumps(with_attribute(line(), "coef_", np.zeros(10**5)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos, start = archive.infolist(), archive.start_dir
    longest = max(infos, key=lambda info: info.file_size)
    target = io.BytesIO()
    target.write(data[:start])
    archive = zipfile.ZipFile(target, "a")
    archive.filelist.extend([longest] * 50)
    archive.writestr("end", b"")
    archive.close()
    with pytest.raises(CorruptPackage, match="longer than the file"):
        skops_file.loads(target.getvalue())


def test_an_estimator_that_contains_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose parts refer to each other in a circle can be built, and is refused before it is asked."""
    frozen = FrozenEstimator(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]))
    data = skops_file.dumps(frozen)
    frozen.__dict__["estimator"] = frozen
    monkeypatch.setattr("skops.io.loads", lambda *_, **__: frozen)
    with pytest.raises(CorruptPackage, match="contains itself"):
        skops_file.loads(data)
