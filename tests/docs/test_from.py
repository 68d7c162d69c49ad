"""The commands that docs/from.md prints side by side with those of other tools do what it says, on models of these."""

from __future__ import annotations

import json
import pickle
import re
import shlex
from pathlib import Path

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LinearRegression

from tests.cli.commands import call, run
from tests.project.tree import ROOT

PAGE = (ROOT / "docs" / "from.md").read_text(encoding="utf-8")
#: What runs until it is stopped has its own tests.
SERVERS = ("serve",)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("fourfold ")
]
MLMODEL = """
flavors:
  sklearn: {pickled_model: model.pkl, serialization_format: pickle, sklearn_version: 1.9.1}
signature:
  inputs: '[{"type": "double", "name": "distance"}, {"type": "long", "name": "hour"}]'
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model in each form, and rows and answers for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOURFOLD_REPOSITORY", str(tmp_path / "models"))
    rows = pd.DataFrame({"distance": [500.0, 1000.0, 1500.0, 2000.0], "hour": [6, 9, 12, 18]})
    model = LinearRegression().fit(rows, [70.0, 130.0, 190.0, 255.0])
    rows.to_parquet("rows.parquet")
    rows.to_csv("rows.csv", index=False)
    pd.DataFrame({"prediction": model.predict(rows)}).to_csv("answers.csv", index=False)
    joblib.dump(model, "eta.joblib")
    Path("risk").mkdir()
    Path("risk/MLmodel").write_text(MLMODEL)
    Path("risk/model.pkl").write_bytes(pickle.dumps(model))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [None, 2])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])
    weights = numpy_helper.from_array(np.array([[0.5], [0.25]], dtype="float32"), "weights")
    node = helper.make_node("MatMul", ["pixels", "weights"], ["score"])
    graph = helper.make_graph([node], "face", [pixels], [score], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "face.onnx")
    lines = [json.dumps({"pixels": [number / 4, number / 8]}) for number in range(8)]
    Path("rows.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_commands(models: Path) -> None:
    """Every command of the page that ends by itself ends well; those that serve have the options that they name."""
    assert len(COMMANDS) > 7
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        if words[0] in SERVERS:
            call(words[0], "--help")
            continue
        quick = ["--no-measure", "--replace"] if words[0] == "pack" else []  # a file that a section above has written
        done = run(*words, stdin=b"") if words[0] == "predict" else call(*words, *quick)
        if words[0] == "predict":
            assert done.stdout.strip(), line


def test_servers_take_their_options() -> None:
    """What serves is started with options that it has."""
    for line in (line for line in COMMANDS if line.split()[1] in SERVERS):
        given = [word for word in shlex.split(line) if word.startswith("--")]
        helped = call("serve", "--help").stdout
        assert [option for option in given if option not in helped] == []
