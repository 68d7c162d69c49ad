"""MLflow's Python models: every way to write one, and those that no package can carry."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

import fourfold
from fourfold.errors import PackError
from fourfold.packing.mlflow import open_mlflow
from tests.packing.mlflow.saved_models import write

HEAD = "import mlflow\nfrom mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n\n\n"


def model_of(body: str, head: str = HEAD) -> str:
    """A file of code with a class `M` of this body, which it sets as the model."""
    return f"{head}class M(PythonModel):\n{indent(dedent(body).strip(), '    ')}\n\n\nset_model(M())\n"


def directory(folder: Path, code: str, /, **settings: Any) -> Path:
    """A directory with a model of a Python file."""
    folder.mkdir()
    (folder / "made.py").write_text(code)
    flavor = {"loader_module": "mlflow.pyfunc.loaders.code_model", "model_code_path": "/elsewhere/made.py", **settings}
    return write(folder, {"python_function": flavor}, example={"columns": ["x"], "data": [[1.0], [2.5], [4.0]]})


GOOD = {
    "with a context": (
        model_of("""
            def predict(self, context, model_input):
                return model_input["x"] * 2
        """),
        6.0,
    ),
    "with parameters": (
        model_of("""
            def predict(self, model_input, params=None):
                return model_input.x + 1
        """),
        4.0,
    ),
    "with what it loads": (
        model_of("""
            def load_context(self, context):
                self.by = 5

            def predict(self, context, model_input, params=None):
                return model_input["x"].to_numpy() * self.by
        """),
        15.0,
    ),
    "with its configuration": (
        model_of("""
            def predict(self, context, model_input):
                return model_input["x"] * context.model_config["factor"]
        """),
        21.0,
    ),
    "a function": (HEAD + "def answer(model_input):\n    return list(model_input['x'])\n\n\nset_model(answer)\n", 3.0),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_way_to_write_predict(tmp_path: Path, name: str) -> None:
    """With a context or without, with parameters, with state that is loaded, or as a function."""
    code, expected = GOOD[name]
    folder = directory(tmp_path / "m", code, config={"factor": 7})
    package, _ = open_mlflow(folder, trust="code").pack(name="model")
    assert fourfold.load(package, trust="code").predict_one({"x": 3.0}) == {"prediction": expected}


BAD = {
    "MLflow's own loaders": ("import mlflow\nmlflow.sklearn.load_model('x')\n", "there is no mlflow.sklearn"),
    "a module of MLflow": ("import mlflow.sklearn\n", "needs mlflow.sklearn"),
    "a missing module": ("import nowhere_at_all\n", "needs nowhere_at_all, which is not installed here"),
    "code that fails": ("x = 1 / 0\n", "module made fails: ZeroDivisionError"),
    "no model": ("x = 1\n", "sets no model"),
    "no function": (f"{HEAD}set_model(3)\n", "int has no predict"),
    "lists": (
        model_of("""
            def predict(self, model_input: list[str]):
                return model_input
        """),
        r"predict takes list\[str\].*gives it a table",
    ),
    "a file that is not there": (
        model_of("""
            def load_context(self, context):
                open("/nowhere/at/all")

            def predict(self, model_input):
                return model_input
        """),
        "load_context fails: FileNotFoundError",
    ),
    "artifacts of every call": (
        model_of("""
            def predict(self, context, model_input):
                return [context.artifacts["a"]] * len(model_input)
        """),
        "a package has no artifacts: read them in load_context",
    ),
    "a lambda": (
        model_of("""
            def __init__(self):
                self.f = lambda x: x

            def predict(self, model_input):
                return self.f(model_input)
        """),
        "cannot be stored",
    ),
    "chance": (
        model_of(
            """
            def predict(self, model_input):
                return [random.random() for _ in range(len(model_input))]
        """,
            f"import random\n{HEAD}",
        ),
        "answers otherwise once it is loaded",
    ),
    "another column": (
        model_of("""
            def predict(self, model_input):
                return model_input["y"]
        """),
        r"fails on the sample.*own input example",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_models_that_cannot_be_packed(tmp_path: Path, name: str) -> None:
    """What needs MLflow itself, a missing module or file, or is no function of rows, is refused with the reason."""
    code, message = BAD[name]
    folder = directory(tmp_path / "m", code)
    with pytest.raises(PackError, match=f"(?s){message}"):
        open_mlflow(folder, trust="code").pack(name="model")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"model_code_path": None, "loader_module": "somewhere.loader"},
            "loaded by 'somewhere.loader', which is not in",
        ),
        ({"model_code_path": "/elsewhere/gone.py"}, r"lacks gone\.py"),
        ({"model_code_path": "/elsewhere/MLmodel"}, r"the model's code is MLmodel; expected a Python file"),
        ({"code": "../"}, "a file outside of the model's directory for its code"),
        ({"code": "code"}, "lacks code, which holds its code"),
        ({"python_model": "x.pkl", "model_code_path": None}, r"lacks x\.pkl"),
        ({"python_model": "made.py", "model_code_path": None}, "is no pickle"),
        (
            {"python_model": "made.py", "model_code_path": None, "python_model_compression": "rar"},
            "compressed by 'rar'",
        ),
    ],
)
def test_directories_that_contradict_themselves(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    """A file that is not there, lies elsewhere or is of another kind is named."""
    folder = directory(tmp_path / "m", GOOD["a function"][0], **settings)
    with pytest.raises(PackError, match=message):
        open_mlflow(folder, trust="code")


def test_a_model_cannot_stand_in_for_mlflow(tmp_path: Path) -> None:
    """A model that brings a module `mlflow` of its own is refused: the package's own stands there."""
    (tmp_path / "m" / "code" / "mlflow").mkdir(parents=True)
    (tmp_path / "m" / "code" / "mlflow" / "__init__.py").write_text("")
    flavor = {"loader_module": "mlflow.pyfunc.model", "code": "code", "python_model": "x.pkl"}
    with pytest.raises(PackError, match=r"brings a file mlflow/__init__\.py"):
        open_mlflow(write(tmp_path / "m", {"python_function": flavor}), trust="code")


def test_a_signature_from_type_hints_is_refused(tmp_path: Path) -> None:
    """A predict whose hint MLflow converts rows to takes no table."""
    folder = write(
        tmp_path / "m", {"python_function": {"loader_module": "mlflow.pyfunc.model"}}, is_signature_from_type_hint=True
    )
    with pytest.raises(PackError, match="type hint that is no table"):
        open_mlflow(folder, trust="code")


@pytest.mark.parametrize("taken", ["model_input, params", "context, model_input, params=None", "rows, *, params=None"])
def test_parameters_keep_their_defaults(taken: str, tmp_path: Path) -> None:
    """The model is given those of its signature, as MLflow gives them, whatever its code would do without."""
    code = model_of(f"""
        def predict(self, {taken}):
            rows_in = {"model_input" if "model_input" in taken else "rows"}
            return rows_in.x * params["factor"] + params.pop("since").year + len(params.pop("more"))
    """)
    folder = directory(tmp_path / "m", code)
    params = [
        {"name": "factor", "type": "double", "default": 10.0, "shape": None},
        {"name": "since", "type": "datetime", "default": "2024-02-29T12:00:00", "shape": None},
        {"name": "more", "type": "datetime", "default": ["2024-02-29", "2024-03-01"], "shape": [-1]},
    ]
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(f"{text}signature:\n  params: '{json.dumps(params)}'\n")
    package, notes = open_mlflow(folder, trust="code").pack(name="model")
    assert any(
        "parameters of the model keep the defaults of its signature (factor=10.0, since=datetime.datetime(2024" in note
        for note in notes
    )
    predictor = fourfold.load(package, trust="code")
    for _ in range(2):
        assert predictor.predict_one({"x": 3.0}) == {"prediction": 30.0 + 2024 + 2}


def test_parameters_of_no_signature_are_none(tmp_path: Path) -> None:
    """A model that takes parameters and was logged without any is given `None`, as MLflow gives it."""
    code = model_of("""
        def predict(self, model_input, params):
            return model_input.x * (1 if params is None else 2)
    """)
    package, notes = open_mlflow(directory(tmp_path / "m", code), trust="code").pack(name="model")
    assert fourfold.load(package, trust="code").predict_one({"x": 3.0}) == {"prediction": 3.0}
    assert not any("parameters" in note for note in notes)
