from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from fourfold.errors import CorruptPackage
from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.onnx_protobuf import external_tensors
from fourfold.runtimes import onnx
from tests.runtimes.test_onnx import TIMES, external


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_external_tensors_are_found(where: str) -> None:
    """A tensor in another file is found by name, wherever in the model it stands."""
    assert set(external_tensors(external(where))) == {"w"}


def test_functions_and_sparse_tensors_are_searched() -> None:
    """Functions, sparse tensors and training graphs hold tensors too."""
    outside = TensorProto(name="out", data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="x")
    places = []
    for _ in range(4):
        model = ModelProto()
        model.CopyFrom(TIMES)
        places.append(model)
    places[0].functions.add().node.add().attribute.add().tensors.append(outside)
    places[1].graph.sparse_initializer.add().values.CopyFrom(outside)
    places[2].graph.node[0].attribute.add().sparse_tensor.indices.CopyFrom(outside)
    places[3].training_info.add().algorithm.initializer.append(outside)
    assert [external_tensors(model.SerializeToString()) for model in places] == [["out"]] * 4


def test_a_name_is_no_place() -> None:
    """A model that only speaks of a location keeps everything to itself."""
    model = ModelProto()
    model.CopyFrom(TIMES)
    model.graph.initializer[0].name = "location"
    assert external_tensors(model.SerializeToString()) == []
    model.graph.initializer.add(data_location=TensorProto.EXTERNAL)
    assert external_tensors(model.SerializeToString()) == ["a tensor without a name"]


def varint(value: int, length: int = 1) -> bytes:
    """A number as protobuf writes it, with zeros appended up to a length in bytes."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 7 * length), 7)]
    return bytes(each | 0x80 for each in groups[:-1]) + bytes(groups[-1:])


def retagged(tag: bytes) -> bytes:
    """A model whose graph, which keeps a tensor in another file, has this tag."""
    graph = ModelProto.FromString(external("initializer")).graph.SerializeToString()
    rest = ModelProto.FromString(external("initializer"))
    rest.ClearField("graph")
    return rest.SerializeToString() + tag + varint(len(graph)) + graph


def test_the_graph_can_be_written_last() -> None:
    """The way in which the tests below write a graph is found with the tag that every writer gives it."""
    assert external_tensors(retagged(b"\x3a")) == ["w"]


@given(above=st.integers(0, 2**38), length=st.integers(2, 10))
def test_tags_of_other_lengths_are_refused(above: int, length: int) -> None:
    """A tag that is longer than it need be, or has bits beyond those that protobuf keeps, hides no tensor."""
    for tag in (varint(0x3A | above << 32, length), varint(0x3A, length)):
        if tag != b"\x3a":
            with pytest.raises(MalformedModel):
                external_tensors(retagged(tag))


def test_the_tag_that_once_hid_a_tensor() -> None:
    """A tag of 36 bits, of which protobuf reads 32 as the graph's, never reaches ONNX Runtime."""
    data = retagged(bytes([0xBA, 0x80, 0x80, 0x80, 0x10]))
    with pytest.raises(CorruptPackage, match="not an ONNX model: a field number"):
        onnx._session(data)


def test_numbers_that_no_writer_writes() -> None:
    """Field number 0, a length of more than five bytes and a value of more than ten are refused."""
    for data in (b"\x02\x00", b"\x3a" + varint(1, 6), b"\x08" + b"\x80" * 10 + b"\x00"):
        with pytest.raises(MalformedModel):
            external_tensors(data + b"location")


def test_other_formats_of_onnx_runtime_are_refused() -> None:
    """Bytes that begin as ONNX Runtime's own format does are no model."""
    for data in (b"\x18\x00\x00\x00ORTM" + bytes(64), b"\x00\x00\x00\x00ORTM" + TIMES.SerializeToString()):
        with pytest.raises(CorruptPackage):
            onnx._session(data)


@given(data=st.binary(max_size=60), cut=st.integers(0, 60))
def test_any_bytes_end(data: bytes, cut: int) -> None:
    """Whatever the bytes are, reading them ends, with names or with the error that says that they are no model."""
    for each in (data + b"location", external("initializer")[:cut] + data + b"location"):
        with suppress(MalformedModel):
            assert all(isinstance(name, str) for name in external_tensors(each))
