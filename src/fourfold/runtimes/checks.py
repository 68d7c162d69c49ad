"""Check what computes: the evaluator and its bits, and the settings of engines and of their threads."""

from __future__ import annotations

import base64
import os
import re
import zlib
from collections.abc import Iterator

from fourfold.checks import Check, Readers

__all__ = ["READERS", "check_evaluator", "check_threads"]

#: The plan of a logistic regression of one column, which adds, multiplies and computes an exponential.
_PLAN = zlib.decompress(
    base64.b85decode(
        "c-nLG4-E?Nar9$kU|?VeVkQO%SOKLOq4WVL4U_)>rS+k-15|<+%HIIh$Oh#<fEfe@B}}O1!Q@$?{2x%h2b9l+<Q8<mge1oa<%85SL(M~$M>azU"
        "i<vx7F-9~wP9$>_kmOmA+<<HkD-s(d&H;4~Bh+oIP%~MeVoK1kVup&t+^qnO7nnVAiJ#(&y8hW;lJr>2zV6n3RM&s7hcX(FX>%a90AgFD@GQwl"
        "Rq)AA&nzy<Ob$v-FG?*g&dkqKNXbtvR>;dQQ7B2wPF3(r^i#+$Qb^2G$jnR2%*!mPtjI}BO3f)K%1=s6%FF=@FklH=Ca6DHpfm%TJTp`c0OB7pb^"
    )
)
_ROW, _EXPECTED = {"x": 0.7}, ["0x1.23f20469433dcp-2", "0x1.6e06fdcb5e612p-1"]
#: The field of the plan's input, as the evaluator takes it: name, type (float64), nullable, categories, its input.
_FIELD = ("x", 10, False, None, 0)
#: The variables that say how many threads native libraries start, and what they may hold.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_COUNTS = re.compile(r"\s*[1-9][0-9]*\s*(,\s*[1-9][0-9]*\s*)*", re.ASCII)


def _read_call_limit() -> object:
    from fourfold.runtimes.onnx_calls import read_limit

    return read_limit()


def _read_trial_limits() -> object:
    from fourfold.runtimes.onnx_trial import read_limits

    return read_limits(0, 0, 0)


def _read_sparse_limit() -> object:
    from fourfold.runtimes.sklearn.skops_arrays import limit_bytes

    return limit_bytes(0)


READERS: Readers = {
    "FOURFOLD_ONNX_CALL_SECONDS": _read_call_limit,
    "FOURFOLD_ONNX_TRIAL_SECONDS": _read_trial_limits,
    "FOURFOLD_ONNX_TRIAL_MEMORY": _read_trial_limits,
    "FOURFOLD_MAX_SPARSE_BYTES": _read_sparse_limit,
}


def check_evaluator(install: str) -> Iterator[Check]:
    """Yield whether the compiled evaluator loads, and gives the bits that it gives everywhere.

    Args:
        install: the line that installs Fourfold.
    """
    name = "evaluator"
    mend = install.replace("pip install", "pip install --force-reinstall --no-deps", 1)
    try:
        from fourfold.plan._evaluator import Evaluator
    except ImportError as error:
        yield Check(name, "problem", f"the compiled evaluator of plans does not load: {error}", mend)
        return
    try:
        answer = Evaluator(_PLAN, (_FIELD,)).one(_ROW)
    except ValueError as error:  # an evaluator of another version refuses the plan
        yield Check(name, "problem", f"it cannot read a plan of this version: {error}", mend)
        return
    bits = None if answer is None else [float(value).hex() for value in answer["probability"]]
    if bits == _EXPECTED:
        yield Check(name, "ok", "it loads, and gives the bits that it gives everywhere")
    else:
        yield Check(name, "problem", f"it gives other bits here: expected {_EXPECTED}, got {bits}", mend)


def check_threads() -> Iterator[Check]:
    """Yield the settings of threads that native libraries cannot read; they then start as many as they like."""
    for name in _THREAD_VARIABLES:
        value = os.environ.get(name)
        if value is not None and not _COUNTS.fullmatch(value):
            text = f"expected a number of threads; got {value[:60]!r}: libraries ignore it, or fail to start"
            yield Check(name, "problem", text, f"unset {name}")
