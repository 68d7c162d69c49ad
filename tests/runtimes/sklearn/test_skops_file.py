from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from functools import partial
from hashlib import sha256
from typing import Any

import lightgbm
import numpy as np
import pytest
import skops.io
from scipy import special
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fourfold.errors import CorruptPackage, TrustError
from fourfold.runtimes.sklearn import skops_file
from tests.project.tree import ROOT
from tests.runtimes.models import Clipper
from tests.runtimes.round_trip import FRAME, LABELS, NUMBERS, TARGET

BOOSTED = lightgbm.LGBMRegressor(n_estimators=2, min_child_samples=5, verbose=-1).fit(NUMBERS, TARGET)
TEXTS = [f"{text} {kind} {n}" for text, kind, n in zip(FRAME["text"], FRAME["kind"], FRAME["n"], strict=True)]


def models() -> dict[str, Any]:
    """Models that hold what differs from process to process: sets, dicts, trees with padding, shared arrays, ufuncs."""
    classes = np.searchsorted(["high", "low", "mid"], LABELS.astype(str))
    return {
        "forest": RandomForestRegressor(4, random_state=0).fit(NUMBERS, TARGET),
        "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0).fit(NUMBERS, classes),
        "words": make_pipeline(CountVectorizer(stop_words=["red", "x", "grün"]), LogisticRegression()).fit(
            TEXTS, LABELS
        ),
        "functions": FunctionTransformer(np.log1p, inverse_func=special.expit, check_inverse=False).fit(NUMBERS),
        "neighbours": KNeighborsRegressor().fit(NUMBERS, TARGET),
        "set": FunctionTransformer(kw_args={"names": {"b", "a", "ü", "c"}, "n": {3, 1, 2}}).fit(NUMBERS),
    }


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_model_same_bytes(hash_seed: str) -> None:
    """A model that is trained and dumped in another process, with other hashes, has the same bytes."""
    code = (
        "import hashlib, json; from fourfold.runtimes.sklearn import skops_file\n"
        "from tests.runtimes.sklearn.test_skops_file import models\n"
        "print(json.dumps({n: hashlib.sha256(skops_file.dumps(m)).hexdigest() for n, m in models().items()}))"
    )
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    here = {name: sha256(skops_file.dumps(model)).hexdigest() for name, model in models().items()}
    assert here == json.loads(run.stdout)


def test_bytes_do_not_tell_the_past() -> None:
    """A copy of a model, one that has been asked before, and one that was loaded have the bytes of the model."""
    for model in models().values():
        data = skops_file.dumps(model)
        assert skops_file.dumps(pickle.loads(pickle.dumps(model))) == data
        assert skops_file.dumps(skops_file.loads(data)) == data
    asked = KNeighborsRegressor().fit(NUMBERS, TARGET)
    before = skops_file.dumps(asked)
    asked.predict(NUMBERS)
    assert skops_file.dumps(asked) == before


def test_what_is_one_object_stays_one() -> None:
    """An array that two parts of a model share is stored once, and shared again."""
    shared = np.arange(5.0)
    model = FunctionTransformer(kw_args={"left": shared, "right": shared, "nested": [shared]})
    data = skops_file.dumps(model)
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["schema.json", "0.npy"]
    found = skops_file.loads(data).kw_args
    assert found["left"] is found["right"] is found["nested"][0]


def test_memory_order_survives() -> None:
    """A Fortran-ordered array is one again: a BLAS would notice."""
    model = FunctionTransformer(kw_args={"x": np.asfortranarray(np.ones((2, 3)))})
    assert skops_file.loads(skops_file.dumps(model)).kw_args["x"].flags.f_contiguous


def crafted(node: dict[str, Any], **schema: Any) -> bytes:
    """A skops file whose estimator has a parameter that is this node."""
    raw = skops.io.dumps(FunctionTransformer(kw_args=OrderedDict()))
    with zipfile.ZipFile(io.BytesIO(raw)) as source:
        content = json.loads(source.read("schema.json"))
    params = content["content"]["content"]
    params["func"] = {"__id__": 1, **node}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("schema.json", json.dumps({**content, **schema}))
    return target.getvalue()


def node(loader: str, name: str, **more: Any) -> dict[str, Any]:
    """A node that names something by its dotted path."""
    module, _, cls = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": cls, **more}


TEXT = node("JsonNode", "builtins.str", content='"touch x"')
NOTHING = node("DictNode", "builtins.dict", content={}, key_types=node("ListNode", "builtins.list", content=[]))
ARGUMENTS = node("TupleNode", "builtins.tuple", content=[TEXT])
ATTACKS: dict[str, dict[str, Any]] = {
    "os.system": node("FunctionNode", "os.system"),
    "builtins.eval": node("TypeNode", "builtins.eval"),
    "a function that scikit-learn imports": node("FunctionNode", "sklearn.utils._joblib.delayed"),
    "a module that scikit-learn imports": node("TypeNode", "sklearn.base.os"),
    "a class that scikit-learn imports": node("ObjectNode", "sklearn.pipeline.Parallel"),
    "a function of scikit-learn's": node("FunctionNode", "sklearn.datasets._base.load_files"),
    "a NumPy function that writes files": node("FunctionNode", "numpy.save"),
    "a NumPy class that opens files": node("ListNode", "numpy.memmap", content=[TEXT]),
    "a NumPy object": node("ObjectNode", "numpy.memmap", content=NOTHING),
    "a test module": node("ObjectNode", "sklearn.tests.test_base.MyEstimator", content=NOTHING),
    "a constructor call": node("ConstructorFromReduceNode", "sklearn.svm._classes.SVC", content=ARGUMENTS),
    "a constructor of another library's": node("ConstructorFromReduceNode", "subprocess.Popen", content=ARGUMENTS),
    "a list that is a class": node("ListNode", "sklearn.pipeline.Pipeline", content=[TEXT]),
    "a dict that is a class": node("DictNode", "sklearn.linear_model._ridge.Ridge", content={}, key_types=NOTHING),
    "a method": node(
        "MethodNode",
        "sklearn.preprocessing._function_transformer.FunctionTransformer",
        content={"func": "fit", "obj": node("ObjectNode", "sklearn.preprocessing._data.StandardScaler")},
    ),
    "an operator": node("OperatorFuncNode", "operator.methodcaller", attrs=ARGUMENTS),
    "a partial call of an object": node(
        "PartialNode",
        "functools.partial",
        content={"func": TEXT, "args": ARGUMENTS, "kwds": NOTHING, "namespace": NOTHING},
    ),
    "a partial call of a function": node(
        "PartialNode",
        "functools.partial",
        content={
            "func": node("FunctionNode", "os.system"),
            "args": ARGUMENTS,
            "kwds": NOTHING,
            "namespace": NOTHING,
        },
    ),
    "a loss that is none": node("LossNode", "subprocess.Popen", content=NOTHING, __reduce__={"args": ARGUMENTS}),
    "a kind of node that nobody knows": node("ShellNode", "builtins.str"),
    "a module that is not there": node("ObjectNode", "sklearn.nowhere.Estimator"),
    "no name": {"__loader__": "ObjectNode", "__module__": None, "__class__": "x"},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_files_with_other_types_are_refused(name: str) -> None:
    """A file that names anything but the trusted libraries' own classes and harmless functions builds nothing."""
    data = crafted(ATTACKS[name])
    assert skops_file.refused_names(data)
    with pytest.raises(TrustError, match="holds what no model may hold"):
        skops_file.loads(data)


def test_a_harmless_node_passes() -> None:
    """The file that the attacks are put into loads where its node is harmless, so it is the node that is refused."""
    assert skops_file.loads(crafted(node("FunctionNode", "numpy.log1p"))).func is np.log1p


def test_older_protocols_are_refused() -> None:
    """A file cannot choose an older reader, which looks for names where nobody judged them."""
    hidden = node("FunctionNode", "numpy.log1p", content={"module_path": "os", "function": "system"})
    for protocol in (0, 1, True, "2", None):
        with pytest.raises(CorruptPackage, match="protocol"):
            skops_file.loads(crafted(hidden, protocol=protocol))


def test_files_that_are_none() -> None:
    """Bytes that are no skops file of ours, or contradict themselves, are a corrupt package and nothing else."""
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
    truncated = skops_file.dumps(LogisticRegression())[:-30]
    dangling = crafted(node("NdArrayNode", "numpy.ndarray", type="numpy", file="nowhere.npy"))
    pickled = io.BytesIO()
    np.save(pickled, np.array([Clipper()], dtype=object), allow_pickle=True)
    for data in (b"", b"PK", truncated, compressed.getvalue(), dangling, crafted({"__loader__": "JsonNode"})[:200]):
        with pytest.raises(CorruptPackage):
            skops_file.loads(data)


def test_arrays_are_never_pickles() -> None:
    """An array file that holds a pickle is not unpickled."""
    pickled = io.BytesIO()
    np.save(pickled, np.array([Clipper()], dtype=object), allow_pickle=True)
    data = crafted(node("NdArrayNode", "numpy.ndarray", type="numpy", file="0.npy"))
    target = io.BytesIO(data)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("0.npy", pickled.getvalue())
    with pytest.raises(CorruptPackage, match="allow_pickle"):
        skops_file.loads(target.getvalue())


def test_foreign_types_are_named() -> None:
    """What a model holds that no file may hold is named, for the person who asks why it became a pickle."""
    model = make_pipeline(Clipper(), FunctionTransformer(partial(np.clip, a_min=0)))
    assert skops_file.refused_names(skops_file.dumps(model)) == ["tests.runtimes.models.Clipper"]


@pytest.mark.parametrize("dump", [skops.io.dumps, skops_file.dumps], ids=["skops", "fourfold"])
def test_a_booster_is_loaded_where_its_state_is_its_own(dump: Any) -> None:
    """Its text is checked, and LightGBM reads that text: no part of a booster is taken from elsewhere in the file."""
    data = dump(BOOSTED)
    assert np.array_equal(skops_file.loads(data).predict(NUMBERS), BOOSTED.predict(NUMBERS))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        members = {name: archive.read(name) for name in archive.namelist()}
    state = schema["content"]["content"]["_Booster"]["content"]
    for shared in (state, state["content"]["_handle"]):
        before = shared.get("__id__")
        shared["__id__"] = schema["__id__"] = 77
        members["schema.json"] = json.dumps(schema).encode()
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(CorruptPackage, match="to two parts that differ"):
            skops_file.loads(target.getvalue())
        shared["__id__"] = before
