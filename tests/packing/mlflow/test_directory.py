"""The directory of an MLflow model: what is none, not whole, or hostile is an error that says what was expected."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fourfold.errors import PackError
from fourfold.packing.mlflow import open_mlflow
from fourfold.packing.mlflow.directory import open_directory
from fourfold.packing.mlflow.signature import read_signature
from tests.packing.mlflow.saved_models import column, tensor, unpack, write


def raw(folder: Path, data: bytes) -> Path:
    """A directory whose MLmodel is these bytes."""
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_bytes(data)
    return folder


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}]\n" for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
MERGE = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [*{old}, *{old}]}}\n" for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "describes no model: expected flavors, a mapping of mappings; got a NoneType"),
        (b"just words", "got a str"),
        (b"flavors: {}", "describes no model"),
        (b"flavors: [sklearn]", "describes no model"),
        (b"flavors:\n  sklearn: model.pkl\n", "describes no model"),
        (b"a: [1, 2", "is no YAML"),
        (b"a: b: c", "is no YAML"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        (b"a: 2020-99-99\n", "is no YAML"),
        (b"!!python/object/apply:os.system ['true']", "is no YAML"),
        (b"[" * 20_000, "is no YAML"),
        (BOMB.encode(), "describes no model"),
        (MERGE.encode(), "a key << merges another mapping"),
    ],
)
def test_an_mlmodel_that_is_none(tmp_path: Path, data: bytes, message: str) -> None:
    """Whatever the file holds, it is read as plain values in little time and memory, or refused with the place."""
    with pytest.raises(PackError, match=message) as caught:
        open_directory(raw(tmp_path / "m", data))
    assert "MLmodel" in str(caught.value)


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """A folder without the file, a file and nothing at all are told apart, with how to download a model."""
    (tmp_path / "file").write_text("x")
    for path, kind in (
        (tmp_path, "a folder without one"),
        (tmp_path / "file", "no folder"),
        (tmp_path / "x", "no folder"),
    ):
        with pytest.raises(PackError, match=f"is {kind}.*mlflow artifacts download"):
            open_directory(path)
    folder = write(tmp_path / "m", {"onnx": {}})
    assert open_directory(folder / "MLmodel").path == open_directory(folder).path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../secret", "a file outside of the model's directory for its model"),
        ("/etc/hostname", "a file outside of the model's directory for its model"),
        ("link", "a file outside of the model's directory for its model"),
        (".", "a file outside of the model's directory for its model"),
        ("gone.onnx", r"lacks gone\.onnx, which holds its model"),
        (7, "names no file for its model; got a int"),
        (["x"], "names no file for its model; got a list"),
        ("a\0b", "names no file for its model"),
    ],
)
def test_files_stay_in_the_directory(tmp_path: Path, name: object, message: str) -> None:
    """A path that leads out of the directory, by dots, a root or a link, is refused before anything is opened."""
    (tmp_path / "secret").write_text("secret")
    folder = write(tmp_path / "m", {"onnx": {"data": name}})
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(PackError, match=message):
        open_mlflow(folder, trust="code")


@pytest.mark.parametrize(
    ("flavors", "message"),
    [
        ({"pytorch": {}, "python_function": {"loader_module": "mlflow.pytorch"}}, "Export a network as an ONNX file"),
        ({"spark": {}}, "has the flavours spark; expected one of sklearn, lightgbm"),
        ({"spark": {}, "python_function": {"loader_module": "mlflow.spark"}}, "pack it with fourfold.pack"),
        ({"sklearn": {"serialization_format": "dill", "pickled_model": "m.pkl"}}, "the serialization format 'dill'"),
        ({"xgboost": {"data": "m.pkl", "model_class": "os.system"}}, "expected a Booster or an estimator of"),
        ({"xgboost": {"data": "m.pkl", "model_class": "xgboost.sklearn.XGBClassifier"}}, "no model in XGBoost's"),
        ({"xgboost": {"data": "m.pkl"}}, "no model in XGBoost's"),
        ({"lightgbm": {"data": "m.pkl"}}, "no model in LightGBM's"),
        ({"onnx": {"data": "m.pkl"}}, "the model cannot be loaded|is no ONNX model"),
    ],
)
def test_flavors_that_cannot_be_packed(tmp_path: Path, flavors: dict[str, Any], message: str) -> None:
    """A flavour that no runtime takes, or a file that is not what its flavour says, is refused with what to do."""
    example = {"columns": ["x"], "data": [[1.0]]}
    folder = write(tmp_path / "m", flavors, example=example)
    (folder / "m.pkl").write_bytes(b"\x80\x05no model")
    with pytest.raises(PackError, match=message):
        open_mlflow(folder, trust="code").pack(name="model")


def test_a_pickle_that_cannot_be_loaded(tmp_path: Path) -> None:
    """A pickle that is cut off, and one of a module that is not here, are told apart."""
    folder = write(tmp_path / "m", {"sklearn": {"pickled_model": "m.pkl"}})
    for data, message in (
        (b"\x80\x05\x8c", "is no estimator in a joblib or pickle file"),
        (b"cnowhere_at_all\nThing\n.", "needs the module nowhere_at_all, which is not here. Make it importable"),
        (b"c__main__\nThing\n.", "goes into a module"),
        (b"csklearn.linear_model\nGone\n.", "cannot be loaded"),
    ):
        (folder / "m.pkl").write_bytes(data)
        with pytest.raises(PackError, match=message):
            open_mlflow(folder, trust="code")


@pytest.mark.parametrize(
    "signature",
    [
        7,
        {"inputs": "[{"},
        {"inputs": "[7]"},
        {"inputs": '[{"name": "a"}]'},
        {"inputs": '[{"type": "tensor"}]'},
        {"inputs": '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": "wide"}}]'},
        {"inputs": '[{"type": "array"}]'},
        {"inputs": "7"},
        {"params": '[{"type": "long"}]'},
    ],
)
def test_signatures_that_are_none(tmp_path: Path, signature: object) -> None:
    """What is no signature is refused with the file that it stands in."""
    folder = write(tmp_path / "m", {"onnx": {}})
    (folder / "MLmodel").write_text((folder / "MLmodel").read_text() + f"signature: {signature!r}\n")
    with pytest.raises(PackError, match=r"the signature in .*MLmodel"):
        read_signature(open_directory(folder))


def test_what_a_signature_says(tmp_path: Path) -> None:
    """Names, types, what is optional in the words of older and newer releases, tensors, arrays, parameters."""
    inputs = [
        column("long", "a"),
        {"type": "double", "name": "b", "optional": True},
        column("datetime", "c", required=False),
        tensor("float32", 3, 4, name="d"),
        {"type": "array", "items": {"type": "double"}, "name": "e", "required": True},
        {"type": "object", "properties": {}, "name": "f"},
    ]
    folder = write(tmp_path / "m", {"onnx": {}}, signature={"inputs": inputs, "outputs": [tensor("str")]})
    signature = read_signature(open_directory(folder))
    assert signature is not None
    assert [(each.name, each.dtype, each.required, each.shape) for each in signature.inputs] == [
        ("a", "int64", True, ()),
        ("b", "float64", False, ()),
        ("c", "timestamp", False, ()),
        ("d", "float32", True, (3, 4)),
        ("e", "float64", True, None),
        ("f", "", True, ()),
    ]
    assert [(each.dtype, each.shape) for each in signature.outputs] == [("string", ())]
    assert read_signature(open_directory(write(tmp_path / "n", {"onnx": {}}))) is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=80))
def test_any_bytes_end(tmp_path: Path, data: bytes) -> None:
    """Whatever the bytes are, they are read or refused with the one error."""
    folder = raw(tmp_path / "m", b"flavors: {onnx: {}}\n" + data)
    try:
        assert open_directory(folder).flavors
    except PackError as error:
        assert "MLmodel" in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("library", "model", "extra"),
    [("yaml", "onnx", "mlflow"), ("lightgbm", "lightgbm-booster", "lightgbm"), ("skops", "sklearn-skops", "sklearn")],
)
def test_a_library_that_is_missing_is_named(tmp_path: Path, library: str, model: str, extra: str) -> None:
    """Where what reads a model is not installed, the error names the extra that brings it."""
    folder = unpack(tmp_path) / model
    program = (
        f"import sys\nsys.modules[{library!r}] = None\n"
        "from fourfold.errors import MissingLibrary\nfrom fourfold.packing.mlflow import open_mlflow\n"
        f"try:\n    open_mlflow({str(folder)!r})\nexcept MissingLibrary as error:\n    print(error.extra, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"{extra} ")
    assert f"[{extra}]'" in run.stdout


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe in the place of one of the model's files is refused with what the file is for."""
    folder = raw(tmp_path / "m", b"flavors: {python_function: {loader_module: x}}")
    os.mkfifo(folder / "conda.yaml")
    with pytest.raises(PackError, match=r"conda\.yaml, which holds its libraries, is a named pipe; expected a file"):
        open_directory(folder).yaml("conda.yaml", "its libraries")
    (folder / "long.json").touch()
    os.truncate(folder / "long.json", 2**40)
    with pytest.raises(PackError, match=r"long\.json cannot be read: it has 1,099,511,627,776 bytes; expected at most"):
        open_directory(folder).json("long.json", "its example")
