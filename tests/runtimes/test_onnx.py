from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fourfold import runtimes, tables
from fourfold.errors import CorruptPackage, EngineError, PackError
from fourfold.signature import Field
from fourfold.signature.columns import rows_to_columns
from tests.runtimes.round_trip import (
    FRAME,
    LABELS,
    NUMBERS,
    TARGET,
    assert_bits,
    loaded,
    prepared,
    round_trip,
    signature_of,
    values,
)

MATRIX = np.ascontiguousarray(NUMBERS.to_numpy(), dtype=np.float32)
OPTIONS: dict[str, Any] = {"target_opset": 18, "options": {"zipmap": False}}


def run(model: onnx.ModelProto, feed: dict[str, Any]) -> list[np.ndarray]:
    """What ONNX Runtime answers by itself, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def graph(
    inputs: list[tuple[str, int, list[Any]]],
    outputs: list[tuple[str, int, list[Any]]],
    *nodes: tuple[str, list[str], list[str], dict[str, Any]],
    data: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """A model of a few nodes: (operator, inputs, outputs, attributes)."""
    made = helper.make_graph(
        [helper.make_node(kind, ins, outs, **attributes) for kind, ins, outs, attributes in nodes],
        "graph",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(array, name) for name, array in (data or {}).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


FLOAT, DOUBLE, INT64, STRING = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING
TIMES = graph(
    [("x", FLOAT, [None, 3])],
    [("y", FLOAT, [None, 2])],
    ("MatMul", ["x", "w"], ["y"], {}),
    data={"w": np.arange(6, dtype=np.float32).reshape(3, 2)},
)


@pytest.mark.parametrize("form", ["proto", "bytes", "path", "text"])
def test_models_come_in_many_forms(form: str, tmp_path: Path) -> None:
    """A ModelProto, its bytes and the path of its file are the same package."""
    data = TIMES.SerializeToString()
    path = tmp_path / "times.onnx"
    path.write_bytes(data)
    model: Any = {"proto": TIMES, "bytes": data, "path": path, "text": str(path)}[form]
    ready, answer = round_trip(model, MATRIX)
    assert ready.files == {"model.onnx": TIMES.SerializeToString(deterministic=True)}
    assert ready.inputs == (Field("x", "float32", shape=(3,)),)
    assert_bits(run(TIMES, {"x": MATRIX})[0], values(answer, "y"))


def test_a_frame_fills_the_matrix() -> None:
    """Where the one input is a matrix, a frame's columns are its columns, in their order, with NaN where missing."""
    model = to_onnx(RandomForestRegressor(4, random_state=0).fit(MATRIX, TARGET), MATRIX[:1], target_opset=18)
    sample = NUMBERS.astype("float64").mask(NUMBERS > 1.5)
    ready, answer = round_trip(model, sample)
    assert ready.inputs == tuple(Field(name, "float32", nullable=True) for name in ("a", "b", "n"))
    expected = run(model, {"X": sample.to_numpy(dtype=np.float32)})[0]
    assert_bits(expected[:, 0], values(answer, "variable"))


def test_classifiers_give_labels_and_tensors() -> None:
    """A converted pipeline takes its inputs by name, text too, and gives labels and a tensor of probabilities."""
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["text"]), (StandardScaler(), ["a"])), LogisticRegression()
    ).fit(FRAME, LABELS.astype(str))
    types = [("text", StringTensorType([None, 1])), ("a", FloatTensorType([None, 1]))]
    model = to_onnx(pipeline, initial_types=types, **OPTIONS)
    for sample in (FRAME, FRAME[["a", "text"]].to_dict("records")):
        ready, answer = round_trip(model, sample)
        assert ready.inputs == (Field("text", "string"), Field("a", "float32"))
        feed = {"text": FRAME[["text"]].to_numpy(object), "a": FRAME[["a"]].to_numpy(np.float32)}
        label, probability = run(model, feed)
        assert_bits(label.astype(object), values(answer, "label"))
        assert_bits(probability, values(answer, "probabilities"))


def test_every_shape_of_input() -> None:
    """Inputs of one value a row, of one in a column, and of a tensor a row each get their field."""
    model = graph(
        [("flat", INT64, ["N"]), ("column", DOUBLE, ["N", 1]), ("cube", FLOAT, ["N", 2, 3])],
        [("a", INT64, ["N"]), ("b", DOUBLE, ["N", 1]), ("c", FLOAT, ["N", 2, 3])],
        ("Identity", ["flat"], ["a"], {}),
        ("Neg", ["column"], ["b"], {}),
        ("Neg", ["cube"], ["c"], {}),
    )
    rows = [{"flat": n, "column": n / 3, "cube": [[n, 1.5, 2], [3, 4, 5]]} for n in range(4)]
    ready, answer = round_trip(model, rows)
    assert [(field.dtype, field.shape) for field in ready.inputs] == [
        ("int64", ()),
        ("float64", ()),
        ("float32", (2, 3)),
    ]
    assert [(field.dtype, field.shape) for field in ready.outputs] == [
        ("int64", ()),
        ("float64", ()),
        ("float32", (2, 3)),
    ]
    assert values(answer, "b").tolist() == [-n / 3 for n in range(4)]
    assert_bits(-np.array([row["cube"] for row in rows], dtype=np.float32), values(answer, "c"))


def test_outputs_are_chosen_by_name() -> None:
    """Outputs asked for are the package's; one that is a list of maps is refused with what to do about it."""
    classifier = LogisticRegression().fit(MATRIX, LABELS.astype(str))
    model = to_onnx(classifier, MATRIX[:1], target_opset=18)
    with pytest.raises(PackError, match=r"zipmap.*outputs="):
        prepared(model, MATRIX)
    ready, answer = round_trip(model, MATRIX, outputs=["output_label"])
    assert [field.name for field in ready.outputs] == ["output_label"]
    assert values(answer, "output_label").tolist() == classifier.predict(MATRIX).tolist()
    with pytest.raises(PackError, match="has no output 'z'"):
        prepared(TIMES, MATRIX, outputs=["z"])


def test_inputs_by_hand() -> None:
    """A field given by hand may say more than the graph, not anything else."""
    given = tuple(Field(str(name), "float32", description=f"the {name}") for name in NUMBERS)
    ready, _ = round_trip(TIMES, NUMBERS, inputs=given)
    assert ready.inputs == given
    for wrong in (given[:2], (*given[:2], Field("n", "int64")), (*given[:2], Field("m", "float32"))):
        with pytest.raises(PackError, match=r"input|inputs"):
            prepared(TIMES, NUMBERS, inputs=wrong)


def external(where: str) -> bytes:
    """A model that keeps a tensor in another file, as an initializer, a constant's attribute or inside a branch."""
    tensor = numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "/etc/passwd"), ("offset", "0"), ("length", "24")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    model = onnx.ModelProto()
    model.CopyFrom(TIMES)
    if where == "initializer":
        model.graph.initializer[0].CopyFrom(tensor)
        return model.SerializeToString()
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    if where == "branch":
        branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("w", FLOAT, [3, 2])])
        constant = helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch)
    del model.graph.initializer[:]
    model.graph.node.insert(0, constant)
    return model.SerializeToString()


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_data_in_other_files_is_refused(where: str) -> None:
    """A model that points to another file is refused where it is packed and where it is loaded, before it is opened."""
    data = external(where)
    with pytest.raises(PackError, match="keeps tensors in other files"):
        prepared(data, MATRIX)
    ready = prepared(TIMES, MATRIX)
    with pytest.raises(CorruptPackage, match="keeps tensors in other files"):
        runtimes.load("onnx", ready.settings, lambda _: data, signature_of(ready), trust="code")


def test_what_cannot_be_packed(tmp_path: Path) -> None:
    """A model that is none, has no free or too many free dimensions, or an odd type is refused with the reason."""
    fixed = graph([("x", FLOAT, [1, 3])], [("y", FLOAT, [1, 3])], ("Neg", ["x"], ["y"], {}))
    loose = graph([("x", FLOAT, [None, None])], [("y", FLOAT, [None, None])], ("Neg", ["x"], ["y"], {}))
    half = graph([("x", TensorProto.FLOAT16, [None])], [("y", TensorProto.FLOAT16, [None])], ("Neg", ["x"], ["y"], {}))
    words = graph([("x", STRING, [None, 2])], [("y", STRING, [None, 2])], ("Identity", ["x"], ["y"], {}))
    total = graph([("x", FLOAT, [None])], [("y", FLOAT, [])], ("ReduceSum", ["x"], ["y"], {"keepdims": 0}))
    custom = graph([("x", FLOAT, [None])], [("y", FLOAT, [None])], ("Shell", ["x"], ["y"], {"domain": "com.evil"}))
    one = pd.DataFrame({"x": [1.0, 2.0]})
    cases: list[tuple[Any, Any, str]] = [
        (b"garbage", MATRIX, "cannot be loaded"),
        (tmp_path / "nowhere.onnx", MATRIX, "cannot be read"),
        (fixed, MATRIX, "a first dimension for any number of rows"),
        (loose, MATRIX, "every dimension but the first must be fixed"),
        (half, one, r"no field holds tensor\(float16\)"),
        (words, np.array([["a", "b"]], dtype=object), "a tensor holds numbers"),
        (total, one, "one answer a row"),
        (custom, one, "cannot be loaded"),
        (TIMES, NUMBERS[["a", "b"]], "a sample of 3 columns"),
        (TIMES, NUMBERS.assign(a="text"), "does not fit the model's inputs"),
        (TIMES, MATRIX[:, :2], "does not fit the model's inputs"),
    ]
    for model, sample, expected in cases:
        with pytest.raises(PackError, match=expected):
            prepared(model, sample)


def test_failures_are_engine_errors() -> None:
    """What ONNX Runtime raises on rows that fit is an engine error."""
    model = graph(
        [("x", INT64, [None])],
        [("y", FLOAT, [None])],
        ("Gather", ["table", "x"], ["y"], {}),
        data={"table": np.ones(3, dtype=np.float32)},
    )
    ready = prepared(model, pd.DataFrame({"x": [0, 2]}))
    batch, _ = tables.read([{"x": 7}], ready.inputs)
    engine = loaded(ready)
    with pytest.raises(EngineError, match="ONNX Runtime failed"):
        engine.predict(rows_to_columns(ready.inputs, batch))


def test_many_threads_at_once() -> None:
    """Calls from many threads at once get the bits of calls one by one."""
    model = to_onnx(RandomForestRegressor(20, random_state=0).fit(MATRIX, TARGET), MATRIX[:1], target_opset=18)
    ready, expected = round_trip(model, MATRIX)
    engine = loaded(ready)
    batch, _ = tables.read(MATRIX, ready.inputs)
    with ThreadPoolExecutor(8) as pool:
        assert all(answer.equals(expected) for answer in pool.map(engine.predict, [batch] * 40))
