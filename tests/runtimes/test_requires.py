from __future__ import annotations

import pytest

from fourfold.errors import CorruptPackage
from fourfold.loading import make_predictor
from fourfold.runtimes import requires
from tests.package import sample


@pytest.mark.parametrize("claimed", ["", "pickle"])
def test_a_package_that_claims_to_need_less_is_corrupt(claimed: str) -> None:
    """A package of Python code whose manifest says anything but `code` is refused, even where it is trusted."""
    runtime = {"name": "python", "settings": {}, "requires": claimed, "libraries": {}}
    with pytest.raises(CorruptPackage, match="requires"):
        make_predictor(sample.package(runtime=runtime), trust="code")


def test_what_a_package_requires_is_known() -> None:
    """What a host must allow follows from the runtime and its settings, not from what the package claims."""
    assert [requires(name, {}) for name in ("python", "onnx", "sklearn")] == ["code", "", ""]
    assert requires("sklearn", {"file": "model.pickle"}) == "pickle"
