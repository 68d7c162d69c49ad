"""MLflow's models become packages that answer as MLflow does, without MLflow."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import fourfold
from fourfold.errors import PackError, TrustError
from fourfold.package import Package
from fourfold.packing.mlflow import open_mlflow
from tests.packing.mlflow.saved_models import column, tensor, unpack, write

TRIPS = pd.DataFrame({"distance": [1400.0, 1416.0, 1089.0, 1576.0, 90.0]})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the models that MLflow wrote."""
    return unpack(tmp_path_factory.mktemp("mlflow"))


def rows_of(models: Path, name: str) -> Any:
    """The rows that MLflow answered for `answers.json`."""
    if name == "onnx":
        return np.array(json.loads((models / "matrix.json").read_text()), dtype=np.float32)
    if name == "sklearn-texts":
        return json.loads((models / name / "input_example.json").read_text())
    if name.startswith("pyfunc"):
        return TRIPS
    file = "frame.jsonl" if name.endswith("cloudpickle") else "plain.jsonl"
    frame = pd.read_json(models / file, lines=True)
    return frame.astype("float64").to_numpy() if name == "sklearn-array" else frame


#: The models, the output that is MLflow's answer, and what a host must allow.
MADE = {
    "sklearn-cloudpickle": ("label", ""),
    "sklearn-skops": ("probability", ""),
    "sklearn-array": ("prediction", ""),
    "sklearn-texts": ("label", ""),
    "lightgbm-booster": ("prediction", ""),
    "lightgbm-classifier": ("label", ""),
    "xgboost-booster": ("prediction", ""),
    "xgboost-classifier": ("label", ""),
    "catboost": ("prediction", ""),
    "onnx": ("y", ""),
    "pyfunc-module": ("eta", "code"),
    "pyfunc-code": ("prediction", "code"),
    "pyfunc-loader": ("prediction", "code"),
}


@pytest.mark.parametrize("name", MADE)
def test_a_model_answers_as_mlflow_does(models: Path, name: str) -> None:
    """The package's answers are MLflow's own, for each flavour and format that it writes."""
    output, requires = MADE[name]
    rows = rows_of(models, name)
    package, _ = open_mlflow(models / name, trust="code").pack(name="model", rows=rows)
    expected = json.loads((models / "answers.json").read_text())[name]
    answers = [answer[output] for answer in fourfold.load(package, trust="code").predict(_table(package, rows))]
    if output == "label":
        assert answers == expected
    else:
        # The last bits of the original's own probabilities belong to a libm and a BLAS.
        np.testing.assert_allclose(np.reshape(answers, np.shape(expected)), expected, rtol=1e-12, atol=1e-15)
    assert package.manifest["provenance"]["mlflow.version"] == "3.17.2"
    assert len(package.manifest["provenance"]["mlflow.model_uuid"]) == 32
    original = [each for each in package.manifest["engines"] if each["verdict"] == "original"]
    assert original
    assert package.manifest["runtime"]["requires"] == requires


def _table(package: Package, rows: Any) -> list[dict[str, Any]]:
    """The rows as rows."""
    names = [field.name for field in package.signature.inputs]
    if isinstance(rows, pd.DataFrame):
        records = rows.to_dict("records")
        return [{str(name): None if value != value else value for name, value in row.items()} for row in records]
    if isinstance(rows, list):
        return [{names[0]: text} for text in rows]
    if len(names) == 1:
        return [{names[0]: row.tolist()} for row in rows]
    return [dict(zip(names, row.tolist(), strict=True)) for row in rows]


@pytest.mark.parametrize("name", MADE)
def test_its_own_example_does(models: Path, name: str) -> None:
    """A model that was logged with an example is packed without further rows, and the notes say so."""
    package, notes = open_mlflow(models / name, trust="code").pack(name="model")
    assert any("own example of" in note for note in notes)
    assert "own example of" in package.manifest["provenance"]["mlflow.notes"]
    assert package.manifest["golden"]["rows"] >= 5


def test_the_signature_is_the_models_own(models: Path) -> None:
    """The types of the signature are the package's, and a probability where MLflow calls `predict_proba`."""
    package, _ = open_mlflow(models / "sklearn-cloudpickle", trust="code").pack(name="model")
    assert [(field.name, field.dtype, field.nullable) for field in package.signature.inputs] == [
        ("age", "int64", False),
        ("fare", "float64", True),
        ("port", "string", False),
        ("vip", "bool", False),
    ]
    package, _ = open_mlflow(models / "sklearn-skops").pack(name="model")
    assert [field.name for field in package.signature.outputs] == ["probability"]


@pytest.mark.parametrize(
    "name", ["lightgbm-booster", "xgboost-booster", "xgboost-classifier", "catboost", "onnx", "sklearn-skops"]
)
def test_formats_without_code_need_no_trust(models: Path, name: str) -> None:
    """What no code runs for is read without trust."""
    assert open_mlflow(models / name).flavor in ("lightgbm", "xgboost", "catboost", "onnx", "sklearn")


@pytest.mark.parametrize("name", ["sklearn-cloudpickle", "sklearn-array", "lightgbm-classifier", "pyfunc-code"])
def test_pickles_and_code_need_trust(models: Path, name: str) -> None:
    """Nothing of a pickle or of Python code runs before somebody has said that it may."""
    with pytest.raises(TrustError, match="--trust code on the command line"):
        open_mlflow(models / name)


def test_mlflow_is_not_imported(models: Path) -> None:
    """Packing and answering import no MLflow, also where the model's own code says `import mlflow`."""
    program = (
        "import sys, fourfold\nfrom fourfold.packing.mlflow import open_mlflow\n"
        f"package, _ = open_mlflow({str(models / 'pyfunc-module')!r}, trust='code').pack(name='model')\n"
        "answer = fourfold.load(package).predict_one({'distance': 10.0})\n"
        "print(answer, [name for name in sys.modules if name.split('.')[0] == 'mlflow'])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "{'eta': 7.5} []\n"


def test_a_packed_python_model_needs_none_of_its_directory(models: Path, tmp_path: Path) -> None:
    """The artifacts are read when the model is packed; where it is loaded they may be gone, and its code's folder."""
    own = unpack(tmp_path)
    package, _ = open_mlflow(own / "pyfunc-module", trust="code").pack(name="model")
    for path in sorted(own.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert fourfold.load(package, trust="code").predict_one({"distance": 100.0}) == {"eta": 52.5}
    with pytest.raises(TrustError):
        fourfold.load(package, trust="foreign")
    again, _ = open_mlflow(models / "pyfunc-module", trust="code").pack(name="model")
    assert again.digest == package.digest


def test_a_class_of_a_notebook_is_refused_with_advice(models: Path) -> None:
    """Bytecode of one version of Python is no source: the error says where to put the class."""
    with pytest.raises(PackError, match=r"script or notebook.*models from code"):
        open_mlflow(models / "pyfunc-notebook", trust="code")


def test_compressed_python_models(models: Path, tmp_path: Path) -> None:
    """MLflow compresses a Python model on demand; what says so and is not is an error."""
    import gzip

    own = unpack(tmp_path) / "pyfunc-module"
    data = (own / "python_model.pkl").read_bytes()
    text = (own / "MLmodel").read_text()
    (own / "MLmodel").write_text(
        text.replace(
            "python_model: python_model.pkl", "python_model: python_model.pkl\n    python_model_compression: gzip"
        )
    )
    with pytest.raises(PackError, match="cannot be decompressed"):
        open_mlflow(own, trust="code")
    (own / "python_model.pkl").write_bytes(gzip.compress(data))
    package, _ = open_mlflow(own, trust="code").pack(name="model")
    assert fourfold.load(package, trust="code").predict_one({"distance": 2.0}) == {"eta": 3.5}


def test_libraries_of_other_versions_are_noted(models: Path, tmp_path: Path) -> None:
    """A model of another version is packed with a note, in the manifest too; where it fails, the error names it."""
    own = unpack(tmp_path) / "lightgbm-booster"
    (own / "requirements.txt").write_text(
        "mlflow==3.17.2\nlightgbm[dask]==3.3.5 ; python_version>'3'\nNumPy==1.21.0 # old\nnowhere==1\n"
    )
    (own / "MLmodel").write_text((own / "MLmodel").read_text().replace("lgb_version: 4.7.0", "lgb_version: 3.3.5"))
    opened = open_mlflow(own)
    assert set(opened.differing) == {"lightgbm", "numpy"}
    package, notes = opened.pack(name="model")
    here = lightgbm.__version__
    assert f"lightgbm 3.3.5 ({here} is here)" in package.manifest["provenance"]["mlflow.versions"]
    assert any(f"lightgbm 3.3.5 ({here} is here)" in note for note in notes)
    (own / "model.lgb").write_text("tree\nversion=v99\n")
    with pytest.raises(PackError, match=rf"is no model in LightGBM's text format.*lightgbm 3\.3\.5 \({here} is here"):
        open_mlflow(own)


def test_the_environment_of_conda_counts_too(models: Path, tmp_path: Path) -> None:
    """Where there is no list of requirements, the environment has one."""
    own = unpack(tmp_path) / "lightgbm-booster"
    (own / "requirements.txt").unlink()
    (own / "conda.yaml").write_text("dependencies:\n- python=3.8\n- pip:\n  - numpy==1.0.0\n")
    assert open_mlflow(own).differing.keys() == {"numpy"}


def test_a_skops_file_of_unknown_classes_needs_trust(tmp_path: Path) -> None:
    """A skops file builds what Fourfold knows; the rest needs trust, and the error names it."""
    import skops.io

    model = FunctionTransformer(np.testing.assert_allclose).fit(pd.DataFrame({"x": [1.0]}))
    folder = write(tmp_path / "m", {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}})
    skops.io.dump(model, folder / "model.skops")
    with pytest.raises(TrustError, match=r"assert_allclose.*--trust"):
        open_mlflow(folder)
    assert open_mlflow(folder, trust="code").flavor == "sklearn"
    (folder / "model.skops").write_bytes(b"no zip")
    for trust in ("foreign", "code", None):
        with pytest.raises(PackError, match=r"model\.skops"):
            open_mlflow(folder, trust=trust)


def line(folder: Path, **data: Any) -> Path:
    """A directory of a small regression, of a pickle."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [3.0, 1.0, 0.0]})
    model = LinearRegression().fit(frame, [1.0, 2.0, 3.0])
    made = write(folder, {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"}}, **data)
    (made / "model.pkl").write_bytes(pickle.dumps(model))
    return made


@pytest.mark.parametrize(
    ("info", "example"),
    [
        ({"type": "dataframe", "pandas_orient": "split"}, {"columns": ["a", "b"], "data": [[1, 2], [3, 4], [5, 6.5]]}),
        ({"type": "dataframe"}, {"columns": ["b", "a"], "index": [7, 8], "data": [[1, 2], [3, 4.5]]}),
        ({"type": "json_object"}, [{"a": 1, "b": 2}, {"b": 4, "a": 3}]),
        ({"type": "json_object"}, {"a": 1.5, "b": 2}),
        ({"type": "dataframe", "params": "true"}, {"inputs": {"columns": ["a", "b"], "data": [[1, 2]]}, "params": {}}),
        ({}, {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}),
        ({}, {"dataframe_records": [{"a": 1, "b": 2}]}),
        ({}, {"instances": [{"a": 1, "b": 2}]}),
        ({}, {"inputs": [{"a": 1, "b": 2}]}),
    ],
)
def test_every_form_of_example(tmp_path: Path, info: dict[str, str], example: Any) -> None:
    """The example is read in each of the forms that MLflow writes or serves."""
    info = {"artifact_path": "input_example.json", **info}
    signature = {"inputs": [column("double", "a"), column("double", "b")], "outputs": [column("double")]}
    folder = line(tmp_path / "m", saved_input_example_info=info, example=example, signature=signature)
    package, _ = open_mlflow(folder, trust="code").pack(name="line")
    assert [(field.name, field.dtype) for field in package.signature.inputs] == [("a", "float64"), ("b", "float64")]


def test_a_catboost_model_is_of_the_class_that_was_logged(tmp_path: Path) -> None:
    """A model of classes that was trained as `CatBoost` answers with raw numbers."""
    frame = pd.DataFrame(np.random.default_rng(7).normal(size=(60, 2)), columns=["a", "b"])
    options = {
        "iterations": 3,
        "verbose": 0,
        "allow_writing_files": False,
        "thread_count": 1,
        "loss_function": "Logloss",
    }
    model = catboost.CatBoost(options).fit(frame, frame.a > 0)
    for kind, outputs in (("CatBoost", ["prediction"]), ("CatBoostClassifier", ["label", "probability"])):
        settings = {"catboost": {"data": "model.cb", "model_type": kind, "save_format": "cbm"}}
        folder = write(tmp_path / kind, settings)
        model.save_model(str(folder / "model.cb"))
        package, _ = open_mlflow(folder).pack(name="odds", rows=frame)
        assert [field.name for field in package.signature.outputs] == outputs
        if kind == "CatBoost":
            assert np.array_equal(fourfold.load(package).predict(frame).prediction, model.predict(frame))


def test_columns_in_another_order_than_the_boosters(tmp_path: Path) -> None:
    """LightGBM takes columns by their place: MLflow answers otherwise, and a note says so."""
    frame = pd.DataFrame(np.random.default_rng(5).normal(size=(60, 3)), columns=["a", "b", "c"])
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(frame, frame.a), 3)
    for order in ("abc", "cab"):
        signature = {"inputs": [column("double", name) for name in order], "outputs": [column("double")]}
        folder = write(tmp_path / order, {"lightgbm": {"data": "model.lgb"}}, signature=signature)
        booster.save_model(folder / "model.lgb")
        package, notes = open_mlflow(folder).pack(name="line", rows=frame)
        assert any("columns in another order than the booster" in note for note in notes) == (order != "abc")
        assert np.array_equal(fourfold.load(package).predict(frame[list(order)]).prediction, booster.predict(frame))


@pytest.mark.parametrize("gone", [None, float("nan")], ids=["null", "NaN"])
def test_an_example_with_a_missing_text(gone: float | None, tmp_path: Path) -> None:
    """MLflow writes a missing text as pandas has it; it is what the model's encoder saw."""
    frame = pd.DataFrame({"word": pd.Series(["a", "b", None] * 4, dtype=object), "x": np.arange(12.0)})
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["word"]), remainder="passthrough")
    model = make_pipeline(columns, LinearRegression()).fit(frame, np.arange(12.0) ** 2)
    data = [[gone if word is None else word, x] for word, x in zip(frame.word, frame.x, strict=True)]
    info = {"artifact_path": "input_example.json", "type": "dataframe", "pandas_orient": "split"}
    settings = {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"}}
    example = {"columns": ["word", "x"], "data": data}
    folder = write(tmp_path / "m", settings, saved_input_example_info=info, example=example)
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    package, _ = open_mlflow(folder, trust="code").pack(name="words")
    answers = fourfold.load(package).predict(frame)
    np.testing.assert_allclose(answers.prediction, model.predict(frame), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"columns": ["a"], "data": []}, "it has no rows"),
        ({"columns": ["a", "b"], "data": [[1], [2, 3]]}, "cannot be read"),
        ({"columns": ["a", "b"], "data": [["x", 2]]}, "cannot be read"),
        ([], "it has no rows"),
        ({"columns": 7, "data": [[1, 2]]}, "cannot be read"),
    ],
)
def test_examples_that_are_none(tmp_path: Path, example: Any, message: str) -> None:
    """An example that cannot be read says so, and that rows can be given."""
    signature = {"inputs": [column("double", "a"), column("double", "b")]}
    folder = line(tmp_path / "m", example=example, signature=signature)
    with pytest.raises(PackError, match=message) as caught:
        open_mlflow(folder, trust="code").pack(name="line")
    assert "--rows" in str(caught.value)


def test_sparse_examples(tmp_path: Path) -> None:
    """A sparse matrix, by rows or columns, is the array that it stands for."""
    from fourfold.packing.mlflow.directory import open_directory
    from fourfold.packing.mlflow.input_example import read_example

    for kind, indices, indptr in (("csr", [1, 0], [0, 1, 2, 2]), ("csc", [1, 0], [0, 1, 2])):
        parts = {"data": [5.0, None], "indices": indices, "indptr": indptr, "shape": [3, 2]}
        info = {"artifact_path": "input_example.json", "type": f"sparse_matrix_{kind}"}
        folder = line(tmp_path / kind, saved_input_example_info=info, example=parts)
        found = read_example(open_directory(folder), None)
        assert found.shape == (3, 2)
        places = [(0, 1), (1, 0)] if kind == "csr" else [(1, 0), (0, 1)]
        assert found[places[0]] == 5.0
        assert np.isnan(found[places[1]])
        assert np.count_nonzero(found) == 2


def test_a_network_of_two_inputs(tmp_path: Path) -> None:
    """Tensors with names are fields of these names, and an example of two arrays is its rows."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]) for name, size in (("a", 2), ("b", 3))
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 5])
    graph = helper.make_graph([helper.make_node("Concat", ["a", "b"], ["y"], axis=1)], "both", inputs, [output])
    signature = {"inputs": [tensor("float32", 2, name="a"), tensor("float32", 3, name="b")]}
    example = {"a": [[1, 2], [3, 4]], "b": [[1, 2, 3], [4, 5, 6.5]]}
    info = {"artifact_path": "input_example.json", "type": "ndarray"}
    flavors = {"onnx": {"data": "model.onnx"}}
    folder = write(tmp_path / "m", flavors, signature=signature, example=example, saved_input_example_info=info)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    package, _ = open_mlflow(folder).pack(name="both")
    assert [(field.name, field.dtype, field.shape) for field in package.signature.inputs] == [
        ("a", "float32", (2,)),
        ("b", "float32", (3,)),
    ]
    assert fourfold.load(package).predict_one({"a": [1, 2], "b": [3, 4, 5]}) == {"y": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_a_model_without_an_example_needs_rows(tmp_path: Path) -> None:
    """The error says how to give them, and with them it is packed."""
    folder = line(tmp_path / "m")
    with pytest.raises(PackError, match=r"without an input example.*--rows FILE"):
        open_mlflow(folder, trust="code").pack(name="line")
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, 0.25]})
    package, notes = open_mlflow(folder, trust="code").pack(name="line", rows=frame, provenance={"who": "me"})
    assert notes == ()
    assert package.manifest["provenance"]["who"] == "me"
    assert package.manifest["provenance"]["mlflow.run_id"] == "r1"


def test_outputs_of_another_kind_are_named(tmp_path: Path) -> None:
    """A signature whose output is text where the model gives numbers is no signature of the model."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, 0.25]})
    for output in (column("string", "kind"), tensor("str")):
        folder = line(tmp_path / "m", signature={"inputs": [], "outputs": [output]})
        with pytest.raises(PackError, match=r"string.*the model gives prediction: float64"):
            open_mlflow(folder, trust="code").pack(name="line", rows=frame)
    for output in (column("long", "kind"), tensor("float32", 2), column("any", "what")):
        folder = line(tmp_path / "m", signature={"inputs": [], "outputs": [output]})
        open_mlflow(folder, trust="code").pack(name="line", rows=frame)
