"""A call of an ONNX model that takes too long is given up, and the engine answers the next one."""

from __future__ import annotations

import os
import threading
import time

import pytest

import fourfold
from fourfold.errors import EngineError, FourfoldError
from fourfold.runtimes.onnx_calls import CALL_VARIABLE
from tests.runtimes.test_onnx_trial import SAME, loop, package

FOR_EVER = float(2**60)


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> fourfold.Predictor:
    monkeypatch.setenv(CALL_VARIABLE, "1")
    return fourfold.load(package(loop(None, SAME), 1.0), trust="foreign")


def test_a_call_without_end_is_given_up(predictor: fourfold.Predictor) -> None:
    """The error names the limit and its setting; other calls are answered meanwhile, and afterwards."""
    errors: list[Exception] = []

    def ask() -> None:
        try:
            predictor.predict([{"x": FOR_EVER}])
        except FourfoldError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    begun = time.monotonic()
    thread.start()
    assert predictor.predict_one({"x": 3.0}) == {"y": 3.0}
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() - begun >= 1
    (error,) = errors
    assert isinstance(error, EngineError)
    assert f"did not answer within 1.25 s; where it may take longer, set {CALL_VARIABLE} to more seconds" in str(error)
    time.sleep(1.5)  # the thread that watches has gone to sleep
    assert predictor.predict_one({"x": 2.0}) == {"y": 2.0}
    with pytest.raises(EngineError, match=CALL_VARIABLE):
        predictor.predict_one({"x": FOR_EVER})


def test_a_forked_child_watches_too(predictor: fourfold.Predictor) -> None:
    """A child that was forked after a call has a thread of its own that watches."""
    assert predictor.predict_one({"x": 3.0}) == {"y": 3.0}
    pid = os.fork()
    if pid == 0:
        try:
            predictor.predict_one({"x": FOR_EVER})
        except EngineError as error:
            os._exit(7 if CALL_VARIABLE in str(error) else 1)
        finally:
            os._exit(1)
    for _ in range(600):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 7


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load says so, before anything answers."""
    monkeypatch.setenv(CALL_VARIABLE, "-3")
    with pytest.raises(FourfoldError, match=f"{CALL_VARIABLE}: expected a number above 0, or inf; got '-3'"):
        fourfold.load(package(loop(None, SAME), 1.0), trust="foreign")
