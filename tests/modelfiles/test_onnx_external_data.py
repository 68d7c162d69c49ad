"""Models whose tensors lie in other files, as PyTorch and MLflow write them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from fourfold import runtimes
from fourfold.errors import PackError
from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.onnx_external_data import embed_tensors
from tests.runtimes.round_trip import prepared, signature_of
from tests.runtimes.test_onnx import MATRIX, TIMES, external


def outside(model: bytes, location: str = "w.bin", offset: str = "8", length: str = "24") -> bytes:
    """The model with its tensor's file called otherwise."""
    proto = ModelProto.FromString(model)
    tensor = proto.graph.initializer[0]
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value:
            tensor.external_data.add(key=key, value=value)
    return proto.SerializeToString()


def split(folder: Path, name: str = "model.onnx") -> Path:
    """A real model of two tensors in another file, as the onnx library writes it."""
    proto = ModelProto()
    proto.CopyFrom(TIMES)
    path = folder / name
    onnx.save_model(
        proto, path, save_as_external_data=True, all_tensors_to_one_file=True, location="w.data", size_threshold=0
    )
    return path


def test_a_model_in_two_files_is_packed_as_one(tmp_path: Path) -> None:
    """The package's file is the model in one file, and answers what that answers."""
    path = split(tmp_path)
    assert b"w.data" in path.read_bytes()
    ready, one = prepared(path, MATRIX), prepared(TIMES, MATRIX)
    data = ready.files["model.onnx"]
    assert b"w.data" not in data
    # The same model to the byte, once both are written by the same writer.
    assert ModelProto.FromString(data) == ModelProto.FromString(one.files["model.onnx"])
    engine = runtimes.load("onnx", ready.settings, ready.files.__getitem__, signature_of(ready), trust="foreign")
    assert engine.predict(runtimes_batch(ready)).num_rows == 2


def runtimes_batch(ready: runtimes.Prepared) -> object:
    """Two rows of the model's inputs."""
    from fourfold.signature.columns import rows_to_columns

    return rows_to_columns(ready.inputs, [{field.name: [1.0, 2.0, 3.0] for field in ready.inputs}] * 2)


@pytest.mark.parametrize("where", ["constant", "branch"])
def test_tensors_anywhere_come_in(where: str, tmp_path: Path) -> None:
    """A constant's tensor, and one inside of a branch, come in with the rest of the model as it was."""
    values = np.arange(6, dtype="<f4").reshape(3, 2)
    (tmp_path / "w.bin").write_bytes(values.tobytes())
    model = external(where).replace(b"/etc/passwd", b"./////w.bin")
    made = ModelProto.FromString(embed_tensors(model, tmp_path))
    node = made.graph.node[0]
    tensors = (
        [node.attribute[0].t] if where == "constant" else [each.g.node[0].attribute[0].t for each in node.attribute]
    )
    assert tensors
    for tensor in tensors:
        assert (tensor.raw_data, len(tensor.external_data)) == (values.tobytes(), 0)
        assert not tensor.HasField("data_location") or tensor.data_location == TensorProto.DEFAULT
    assert [each.op_type for each in made.graph.node] == [
        each.op_type for each in ModelProto.FromString(model).graph.node
    ]


def test_offsets_and_lengths_are_followed(tmp_path: Path) -> None:
    """A tensor is the bytes that its entry names, up to the file's end where it names no length."""
    (tmp_path / "w.bin").write_bytes(bytes(range(40)))
    base = external("initializer")
    for offset, length, expected in (("8", "24", bytes(range(8, 32))), ("16", "", bytes(range(16, 40)))):
        made = ModelProto.FromString(embed_tensors(outside(base, offset=offset, length=length), tmp_path))
        assert made.graph.initializer[0].raw_data == expected
    assert embed_tensors(TIMES.SerializeToString(), tmp_path) == TIMES.SerializeToString()


@pytest.mark.parametrize(
    ("location", "offset", "length", "message"),
    [
        ("nowhere.bin", "0", "24", "cannot be read"),
        ("../secret", "0", "4", "the model's own folder"),
        ("/etc/hostname", "0", "4", "the model's own folder"),
        ("link", "0", "4", "the model's own folder"),
        ("w\0.bin", "0", "4", "the model's own folder"),
        ("w.bin", "0", "41", "the file has 40"),
        ("w.bin", "-1", "4", "the file has 40"),
        ("w.bin", "41", "", "the file has 40"),
        ("w.bin", "far", "4", "no number"),
        (".", "0", "4", "the model's own folder"),
        ("w.bin", "0", "-4", "the file has 40"),
        ("below", "0", "0", "cannot be read"),
    ],
)
def test_files_that_are_none_of_the_models(
    location: str, offset: str, length: str, message: str, tmp_path: Path
) -> None:
    """A file elsewhere, a link out of the folder, and a place beyond the end are refused with the tensor's name."""
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "w.bin").write_bytes(bytes(40))
    with pytest.raises(PackError, match=message) as caught:
        embed_tensors(outside(external("initializer"), location, offset, length), folder)
    assert "'w'" in str(caught.value)


@given(data=st.binary(max_size=60), cut=st.integers(0, 60))
def test_any_bytes_end(data: bytes, cut: int) -> None:
    """Whatever the bytes are, reading them ends, with a model or with one of two errors."""
    for each in (data + b"location", external("initializer")[:cut] + data + b"location"):
        with suppress(MalformedModel, PackError):
            assert isinstance(embed_tensors(each, Path("/nonexistent")), bytes)


def test_values_that_are_no_file_or_without_an_end(tmp_path: Path) -> None:
    """A named pipe in the place of the tensors' file is not waited for, and three sparse gibibytes are not read."""
    model = external("initializer")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PackError, match="expected a file, got a named pipe"):
        embed_tensors(outside(model, "pipe"), tmp_path)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 3 * 2**30)
    with pytest.raises(PackError, match=r"with its 3,221,225,472 bytes the model has more than 2,147,483,647"):
        embed_tensors(outside(model, "sparse", "0", ""), tmp_path)
