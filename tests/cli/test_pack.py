"""`fourfold pack`: models that people already have, and what is said where one cannot be packed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import fourfold
from fourfold.package import Package, open_package, write_package
from tests.cli.commands import call, run
from tests.packing.mlflow.saved_models import unpack

NETWORKS = Path(__file__).parents[1] / "packing" / "networks"
FRAME = pd.DataFrame({"age": np.arange(60.0), "fare": (np.arange(60.0) * 7) % 11})
KINDS = np.array(["low", "mid", "top"])[np.arange(60) // 20]
TREE = DecisionTreeClassifier(max_depth=3, random_state=0).fit(FRAME, KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models that MLflow wrote, and models and rows in files of their own."""
    folder = unpack(tmp_path_factory.mktemp("pack"))
    FRAME.to_parquet(folder / "rows.parquet")
    (folder / "tree.pickle").write_bytes(pickle.dumps(TREE))
    FRAME.assign(label=TREE.predict(FRAME)).to_csv(folder / "expected.csv", index=False)
    booster = lightgbm.train({"verbose": -1, "num_leaves": 3}, lightgbm.Dataset(FRAME, FRAME["age"]), 2)
    booster.save_model(folder / "booster.lgb")
    xgboost.train({"max_depth": 2}, xgboost.DMatrix(FRAME, FRAME["age"]), 2).save_model(folder / "booster.ubj")
    cats = catboost.CatBoostRegressor(iterations=2, depth=2, verbose=0, allow_writing_files=False)
    cats.fit(FRAME, FRAME["age"]).save_model(str(folder / "booster.cbm"))
    return folder


def pack(*arguments: object, ok: int = 0) -> subprocess.CompletedProcess[str]:
    """Pack without measuring."""
    return call("pack", "model", *arguments, "--no-measure", ok=ok)


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("estimator", "tree.pickle"),
        ("lightgbm", "booster.lgb"),
        ("xgboost", "booster.ubj"),
        ("catboost", "booster.cbm"),
    ],
)
def test_from_a_kind_and_a_file(folder: Path, tmp_path: Path, kind: str, file: str) -> None:
    """`--from KIND PATH` gives the same package as the option of that name, where there is one."""
    digests: set[str] = set()
    option = (f"--{kind}", folder / file) if kind != "catboost" else ("--from", kind, folder / file)
    for arguments in (("--from", kind, folder / file), option):
        out = tmp_path / f"{len(digests)}.fourfold"
        pack(*arguments, "--rows", folder / "rows.parquet", "-o", out)
        digests.add(open_package(out).digest)
    assert len(digests) == 1


def test_labels_of_a_boosters_file(folder: Path, tmp_path: Path) -> None:
    """`--labels` gives a booster's file the labels of its classes: texts, or integers where all are."""
    path, out = tmp_path / "risk.txt", tmp_path / "risk.fourfold"
    options = {"objective": "binary", "verbose": -1, "num_leaves": 3}
    booster = lightgbm.train(options, lightgbm.Dataset(FRAME, FRAME["age"] > 30), 4)
    booster.save_model(path)
    probability = np.asarray(booster.predict(FRAME)).tolist()
    for text, labels in (("no,yes", ["no", "yes"]), ("10,-2", [10, -2]), ("01,2", ["01", "2"])):
        pack("--lightgbm", path, "--rows", folder / "rows.parquet", "--labels", text, "-o", out, "--replace")
        answers = fourfold.load(str(out)).predict(FRAME)
        assert answers["label"].tolist() == [labels[int(value > 0.5)] for value in probability]
        assert answers[f"probability_{labels[1]}"].tolist() == probability
    refused = pack("--from", "catboost", folder / "booster.cbm", "--labels", "a,b", "--rows", path, ok=2)
    assert "of the kind catboost knows its own" in refused.stderr


def test_from_mlflow(folder: Path, tmp_path: Path) -> None:
    """An MLflow model's directory and a word of trust are enough, and the notes stand on standard error."""
    out = tmp_path / "model.fourfold"
    done = pack("--from", "mlflow", folder / "sklearn-cloudpickle", "-o", out, "--json")
    manifest = json.loads(done.stdout)["manifest"]
    assert "note: packed with the model's own example of 8 rows" in done.stderr
    assert manifest["provenance"]["mlflow.flavor"] == "sklearn"
    assert [field["dtype"] for field in manifest["signature"]["inputs"]] == ["int64", "float64", "string", "bool"]
    # A plan of an estimator that came as a pickle needs no trust, and no scikit-learn.
    assert manifest["runtime"]["requires"] == ""
    text = pack(
        "--from",
        "mlflow",
        folder / "lightgbm-booster",
        "--rows",
        folder / "plain.jsonl",
        "-o",
        tmp_path / "lgb.fourfold",
    ).stdout
    assert "mlflow.version 3.17.2" in text
    certified = call("certify", out, "--rows", folder / "frame.jsonl", "--architecture", "stream", "--json").stdout
    assert json.loads(certified)["equal"] is True


def test_expected_outputs_of_a_network(tmp_path: Path) -> None:
    """A network from PyTorch is packed with what PyTorch answers, and `show` says how close it is."""
    rows, out = NETWORKS / "torch.jsonl", tmp_path / "net.fourfold"
    arguments = ["--from", "onnx", NETWORKS / "torch.onnx", "--rows", rows, "--container", "rows", "-o", out]
    text = pack(*arguments, "--expect", rows).stdout
    assert "outputs of the training framework for 32 rows: within" in text
    assert "(1e-05 was accepted)" in call("show", out).stdout
    out.unlink()
    arguments += ["--expect", NETWORKS / "torch-train.jsonl"]
    error = pack(*arguments, ok=4).stderr
    assert "32 of 32 rows differ" in error
    assert "output probability[0]: expected" in error
    assert not out.exists()
    pack(*arguments, "--expect-rtol", "0.9")
    assert open_package(out).manifest["exactness"]["expected"]["rtol"] == 0.9


def test_expected_labels_from_csv(folder: Path, tmp_path: Path) -> None:
    """Expected labels bring their own rows along, in any format of rows."""
    out = tmp_path / "tree.fourfold"
    arguments = ["--from", "estimator", folder / "tree.pickle", "--rows", folder / "rows.parquet", "-o", out]
    pack(*arguments, "--expect", folder / "expected.csv")
    assert open_package(out).manifest["exactness"]["expected"] == {"rows": 60, "rtol": 1e-5, "largest_gap": 0}


class Cases:
    """What is wrong, the command that finds it, its status, and words of the error."""

    def __init__(self, folder: Path) -> None:
        rows = folder / "rows.parquet"
        tree = ("--from", "estimator", folder / "tree.pickle")
        array = ("--from", "mlflow", folder / "sklearn-array")
        self.all: dict[str, tuple[tuple[object, ...], int, tuple[str, ...]]] = {
            "no trust": ((*array, "--trust", "foreign"), 4, ("is a pickle", "--trust code")),
            "code that is not allowed": ((*tree, "--rows", rows, "--trust", "foreign"), 2, ("allows no code",)),
            "no MLflow model": (("--from", "mlflow", folder), 4, ("has a file MLmodel", "mlflow artifacts download")),
            "a notebook's class": (
                ("--from", "mlflow", folder / "pyfunc-notebook"),
                4,
                ("script or notebook", "code_paths=['model.py']"),
            ),
            "columns that are not there": (
                ("--from", "mlflow", folder / "sklearn-cloudpickle", "--rows", rows),
                4,
                ("the rows lack the column 'port' of the model's signature (string)", "they have ['age', 'fare']"),
            ),
            "a column of another type": (
                ("--from", "mlflow", folder / "lightgbm-booster", "--rows", folder / "words.csv"),
                4,
                ("expected float64 for the column 'fare' of the model's signature (double)", "the rows have string"),
            ),
            "a pickle that is cut off": (
                ("--from", "estimator", folder / "cut.pickle", "--rows", rows),
                4,
                ("cut.pickle is no estimator in a joblib or pickle file",),
            ),
            "a class that is not here": (
                ("--from", "estimator", folder / "custom.pickle", "--rows", rows),
                4,
                ("needs the module mine, which is not here", "PYTHONPATH"),
            ),
            "another version": (
                ("--from", "estimator", folder / "old.pickle", "--rows", rows),
                4,
                ("cannot be loaded", "written by scikit-learn 0.24.2", "another version than the model's"),
            ),
            "no ONNX": (
                ("--from", "onnx", folder / "rows.parquet", "--rows", rows),
                4,
                ("the model cannot be loaded", "it is no ONNX file, or"),
            ),
            "no booster": (("--from", "lightgbm", rows, "--rows", rows), 4, ("no model in LightGBM's text format",)),
            "no booster of XGBoost": (("--from", "xgboost", rows, "--rows", rows), 4, ("no model in XGBoost's JSON",)),
            "no CatBoost": (("--from", "catboost", rows, "--rows", rows), 4, ("no model in CatBoost's binary format",)),
            "no skops": (("--from", "skops", rows, "--rows", rows), 4, ("not a skops file",)),
            "rows without a field": (
                (*tree, "--rows", folder / "age.csv"),
                4,
                ("lacks the columns 'fare'", "it has age"),
            ),
            "no rows": (tree, 2, ("--rows FILE",)),
            "two models": ((*tree, "--onnx", rows, "--rows", rows), 2, ("name one model",)),
            "no file": (("--from", "onnx", folder / "no.onnx", "--rows", rows), 2, ("no.onnx of the model does not",)),
            "a directory": (("--from", "onnx", folder, "--rows", rows), 2, ("of the model is no file",)),
            "no acceptance": ((*tree, "--rows", rows, "--accept", "near"), 2, ("expected accept to be 'tight'",)),
            "no block": (
                (*tree, "--rows", rows, "--block", "70000"),
                2,
                ("'auto', 'free' or a number of rows from 1 to 65536",),
            ),
            "no provenance": ((*tree, "--rows", rows, "--provenance", "me"), 2, ("expected KEY=VALUE; got 'me'",)),
            "no kind": (("--from", "pytorch", rows, "--rows", rows), 2, ("'pytorch' is not one of",)),
            "expected labels that are none": (
                (*tree, "--rows", rows, "--expect", folder / "labels.csv"),
                4,
                ("expected one or more of label, probability",),
            ),
        }


@pytest.mark.parametrize("name", Cases(Path()).all)
def test_what_cannot_be_packed_is_said_and_nothing_is_written(folder: Path, tmp_path: Path, name: str) -> None:
    """An error says what is wrong and what to do, has its status, and leaves what was there as it was."""
    (folder / "cut.pickle").write_bytes((folder / "tree.pickle").read_bytes()[:100])
    (folder / "custom.pickle").write_bytes(b"cmine\nModel\n.")
    (folder / "old.pickle").write_bytes(
        b"\x80\x04\x8c\x10_sklearn_version\x94\x8c\x060.24.2\x94csklearn.tree._classes\nGone\n."
    )
    FRAME[["age"]].to_csv(folder / "age.csv", index=False)
    FRAME.assign(fare="free").to_csv(folder / "words.csv", index=False)
    FRAME.assign(lable="x").head(3).to_csv(folder / "labels.csv", index=False)
    arguments, status, words = Cases(folder).all[name]
    out = tmp_path / "model.fourfold"
    out.write_bytes(b"what was there")
    error = pack(*arguments, "-o", out, "--replace", ok=status).stderr
    assert [word for word in words if word not in error] == [], error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"model.fourfold": b"what was there"}


@pytest.mark.parametrize(
    ("file", "words"), [("saved_model.pb", "a SavedModel of TensorFlow"), ("MLmodel", "an MLflow model: --from mlflow")]
)
def test_a_folder_that_holds_a_model_is_told_the_way(folder: Path, tmp_path: Path, file: str, words: str) -> None:
    """A folder is no model's file, but what it is says how it is packed."""
    (tmp_path / file).write_bytes(b"")
    arguments = ("--from", "estimator", tmp_path, "--rows", folder / "rows.parquet")
    assert f"of the model is no file, but {words}" in " ".join(pack(*arguments, ok=2).stderr.split())


def test_rows_that_miss_a_class(folder: Path, tmp_path: Path) -> None:
    """Rows of which the model puts none into one of its classes show no fault: the signature knows all of them."""
    few = tmp_path / "few.parquet"
    FRAME.head(15).to_parquet(few)
    out = tmp_path / "tree.fourfold"
    pack("--from", "estimator", folder / "tree.pickle", "--rows", few, "-o", out)
    package = open_package(out)
    assert package.signature.outputs[0].categories == ("low", "mid", "top")
    answers = fourfold.load(package).predict(FRAME.to_dict("records"))
    assert [answer["label"] for answer in answers] == TREE.predict(FRAME).tolist()


def test_a_custom_class_needs_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of a class of one's own carries its code: it answers with --trust, wherever its module is not."""
    (tmp_path / "mine.py").write_text(
        "from sklearn.linear_model import LinearRegression\n\n\nclass Mine(LinearRegression):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = import_module("mine")
    monkeypatch.delitem(sys.modules, "mine")
    monkeypatch.setitem(sys.modules, "mine", mine)  # so that this process forgets it afterwards
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    (tmp_path / "mine.pickle").write_bytes(pickle.dumps(mine.Mine().fit(frame, [1.0, 2.0, 3.5])))
    frame.to_parquet(tmp_path / "rows.parquet")
    arguments = ["--estimator", tmp_path / "mine.pickle", "--rows", tmp_path / "rows.parquet"]
    out = tmp_path / "mine.fourfold"
    call("pack", "mine", *arguments, "--no-measure", "--accept", "rtol:1e-9", "-o", out)
    assert open_package(out).manifest["runtime"]["requires"] == "pickle"
    refused = run("stream", out, ok=4).stderr  # another process: this one packed it
    assert "a pickle, which runs its maker's code" in refused
    assert "--trust" in refused
    (tmp_path / "mine.py").write_text("class Mine:\n    pass\n")
    home = {"PYTHONPATH": str(tmp_path)}
    for environment in (home, {}):
        answer = run("stream", out, "--trust", "code", stdin=b'{"x": 2}\n', environment=environment).stdout
        assert json.loads(answer)["prediction"] > 2
    shown = call("show", out).stdout
    assert "carries       the code of mine; the host's own modules are never used" in shown
    assert "of its host   no installed distribution but the libraries of the runtime" in shown


def test_a_library_of_another_version_than_the_packages(tmp_path: Path) -> None:
    """Where a package cannot be loaded, the versions that differ are named, and what to do about it."""
    package = fourfold.pack(LogisticRegression().fit(FRAME, KINDS), name="old", rows=FRAME, engine="original")
    manifest: dict[str, Any] = {key: value for key, value in package.manifest.items() if key != "files"}
    manifest["runtime"] = {**manifest["runtime"], "libraries": {"scikit-learn": "0.24.2"}}
    files = {name: package.read(name) for name in package.names} | {"model.skops": b"of another version"}
    path = write_package(Package.build(manifest, files), tmp_path / "old.fourfold")
    error = call("stream", path, "--trust", "foreign", ok=4).stderr
    assert "the package was made with scikit-learn 0.24.2, here " in error
    assert "pack the model anew" in error


def test_an_output_that_cannot_be_written_is_refused_before_the_model_is_read(folder: Path, tmp_path: Path) -> None:
    """A file that is there, a folder, a folder that is none: neither the model nor the rows are opened for that."""
    (tmp_path / "taken.fourfold").write_text("something")
    (tmp_path / "folder.fourfold").mkdir()
    (tmp_path / "empty").mkdir()
    model = tmp_path / "model.pickle"
    model.write_bytes(b"no pickle: reading it is an error of its own")
    for output, message in (
        ("taken.fourfold", "--replace"),
        ("folder.fourfold", "is never replaced"),
        ("empty", "is never replaced"),
        ("taken.fourfold/model.fourfold", "is no folder"),
    ):
        arguments = ("--estimator", model, "--rows", folder / "rows.parquet", "-o", tmp_path / output)
        assert message in pack(*arguments, ok=6).stderr
    assert (tmp_path / "taken.fourfold").read_text() == "something"
    arguments = ("--estimator", model, "--rows", folder / "rows.parquet", "-o", tmp_path / "new.fourfold")
    assert "got 'fastest'" in pack(*arguments, "--engine", "fastest", ok=4).stderr


def test_few_rows_are_told(tmp_path: Path) -> None:
    """Rows too few to show what may be missing are a note, which nobody reads who wants no output."""
    frame = pd.DataFrame({"x": np.linspace(0, 1, 120)})
    model = LogisticRegression().fit(frame, frame["x"] > 0.5)
    (tmp_path / "line.pickle").write_bytes(pickle.dumps(model))
    arguments = ["pack", "line", "--estimator", tmp_path / "line.pickle", "--no-measure", "-o", tmp_path / "a.fourfold"]
    for rows, is_told in ((5, True), (120, False)):
        frame.head(rows).to_parquet(tmp_path / "rows.parquet")
        done = call(*arguments, "--rows", tmp_path / "rows.parquet", "--replace")
        assert (f"note: packed with {rows} rows" in done.stderr) is is_told
    frame.head(5).to_parquet(tmp_path / "rows.parquet")
    quiet = call(*arguments, "--rows", tmp_path / "rows.parquet", "--replace", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")
