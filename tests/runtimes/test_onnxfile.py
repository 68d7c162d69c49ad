from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from fourfold.runtimes.onnxfile import MalformedModel, external_tensors
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


@given(data=st.binary(max_size=60), cut=st.integers(0, 60))
def test_any_bytes_end(data: bytes, cut: int) -> None:
    """Whatever the bytes are, reading them ends, with names or with the error that says that they are no model."""
    for each in (data + b"location", external("initializer")[:cut] + data + b"location"):
        with suppress(MalformedModel):
            assert all(isinstance(name, str) for name in external_tensors(each))
