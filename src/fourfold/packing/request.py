"""Check what is asked of `pack` before any work: a wrong word must not cost a minute and then fail."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, get_args

from fourfold.errors import MissingLibrary, PackError, SignatureError, shorten
from fourfold.package import check_name
from fourfold.packing.engines.benchmark import Shape
from fourfold.packing.engines.candidates import no_plan_reason
from fourfold.packing.engines.onnx_conversion import CONVERTER_LIBRARIES
from fourfold.packing.engines.onnx_conversion import NAME as CONVERTED
from fourfold.packing.samples.expected_outputs import check_rtol
from fourfold.runtimes import MODEL_RUNTIMES

__all__ = ["check_engine", "check_request"]


def check_request(
    *,
    name: str,
    engine: str = "auto",
    extra: str = "forbid",
    runtime: str | None = None,
    measure: bool = False,
    shape: str = "both",
    provenance: Any = None,
    expect_rtol: Any = 0.0,
) -> None:
    """Check the arguments of `pack` that need neither the model nor rows; their meaning is that of `pack`.

    Raises:
        PackError: one of them is not what `pack` takes; `SignatureError` where it is `extra`.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise PackError(str(error)) from None
    words = ("auto", "original", "plan", CONVERTED, *MODEL_RUNTIMES)
    if engine not in words:
        raise PackError(f"expected an engine of {', '.join(dict.fromkeys(words))}; got {shorten(engine)}")
    if extra not in ("forbid", "ignore"):
        raise SignatureError(f"expected extra to be 'forbid' or 'ignore'; got {shorten(extra)}")
    if runtime is not None and runtime not in MODEL_RUNTIMES:
        raise PackError(f"expected a runtime of {', '.join(MODEL_RUNTIMES)}; got {shorten(runtime)}")
    if shape not in get_args(Shape):
        raise PackError(f"expected a shape of {', '.join(get_args(Shape))}; got {shorten(shape)}")
    if shape != "both" and not measure:
        raise PackError(f"an engine is chosen for {shape} only where engines are measured: pass measure=True")
    if provenance is not None and not isinstance(provenance, Mapping):
        raise PackError(f"expected provenance to be a mapping, {{'commit': '1f2e3d'}}; got {shorten(provenance)}")
    check_rtol(expect_rtol)


def check_engine(engine: str, runtime: str) -> None:
    """Check that models of a runtime can have an engine.

    Raises:
        PackError: no model of this runtime has it.
        MissingLibrary: it is made with a library that is not installed.
    """
    possible = ["auto", "original", "plan", *([CONVERTED] if runtime == "sklearn" else []), runtime]
    if engine not in possible:
        names = ", ".join(dict.fromkeys(possible))
        raise PackError(f"expected an engine of {names}; got {shorten(engine)}")
    reason = no_plan_reason(runtime)
    if engine == "plan" and reason:
        raise PackError(f"the engine plan does not hold this model: {reason}")
    if engine == CONVERTED and runtime == "sklearn":
        missing = [library for library in CONVERTER_LIBRARIES if find_spec(library) is None]
        if missing:
            raise MissingLibrary(" and ".join(missing), extra="convert", purpose=f"the engine {CONVERTED}")
