"""Try an ONNX model in a process of its own, which may take little memory and little time, before it runs in this one.

A graph is a program: a few bytes of it can loop for ever or fill the memory, already while ONNX Runtime loads it and
computes what is constant. No look at the operators tells, and what ONNX Runtime has begun cannot be ended. So a model
is loaded and answers its first rows (at every start: its golden rows) in a child first. Where the child dies, this
process has not seen the model.

What the child may take grows with the model and with the rows; the rest is $FOURFOLD_ONNX_TRIAL_SECONDS of a processor
and $FOURFOLD_ONNX_TRIAL_MEMORY in MiB.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from fourfold.environment import read_number
from fourfold.errors import CorruptPackage, EngineError, PackageError, printable
from fourfold.interpreter import find_python, python_flags
from fourfold.process_memory import peak_memory_bytes
from fourfold.runtimes.onnx_session import open_session

__all__ = ["MEMORY_VARIABLE", "SECONDS_VARIABLE", "Trial", "mark_converted", "read_limits"]

SECONDS_VARIABLE = "FOURFOLD_ONNX_TRIAL_SECONDS"
MEMORY_VARIABLE = "FOURFOLD_ONNX_TRIAL_MEMORY"
_DEFAULT_CPU_S, _DEFAULT_MEMORY_MIB = 3.0, 512.0
#: What a trial may take more for the model's bytes and for its rows; a picture's layers are many times the picture.
_BYTES_PER_MODEL_BYTE, _BYTES_PER_ROW_BYTE = 8, 512
_MODEL_BYTES_PER_S, _CPU_S_PER_ROW = 10_000_000, 0.25
#: A process that waits for a processor is not a hostile one: so many times its limit may pass in all, and this.
_WAIT_FACTOR, _MIN_WAIT_S = 4, 30.0
#: How often the memory of a child is looked at, and what Python and ONNX Runtime take before they see a model.
_POLL_S, _INTERPRETER_BYTES = 0.02, 200 * 2**20
#: How ONNX Runtime and Python say that there is no memory.
_MEMORY_WORDS = ("bad_alloc", "memoryerror", "allocate memory", "bad allocation")
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from fourfold.runtimes.onnx_trial import run_child; run_child()"
)

_lock = threading.Lock()
#: The SHA-256 of the models that this process has tried, or converted itself.
_tried: set[bytes] = set()


def mark_converted(data: bytes) -> None:
    """Say that a model comes from a converter that this process ran: it needs no trial."""
    _tried.add(hashlib.sha256(data).digest())


class Trial:
    """Try a model once, unless this process did before.

    Args:
        data: the bytes of the model.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._digest = hashlib.sha256(data).digest()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    @property
    def is_needed(self) -> bool:
        """Return whether the model has not been tried yet, and there is a way to try it."""
        return self._digest not in _tried and find_python() is not None

    def load(self) -> None:
        """Load the model in a child; raise as `run` does."""
        if self.is_needed:
            self._run({}, (), rows=0)

    def run(self, feed: Mapping[str, Any], names: Sequence[str], rows: int) -> None:
        """Load the model in a child, and let it answer there.

        Args:
            feed: the arrays of the graph's inputs.
            names: the outputs that are asked for.
            rows: the number of rows in `feed`.

        Raises:
            CorruptPackage: ONNX Runtime cannot load the model, or dies of it.
            EngineError: it fails on the rows, or takes more time or memory than a trial may.
            PackageError: a variable that sets a limit holds no number.
        """
        with _lock:
            if self.is_needed:
                self._run(feed, names, rows)
                _tried.add(self._digest)

    def stop(self) -> None:
        """End a trial that is running."""
        self._is_stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def _run(self, feed: Mapping[str, Any], names: Sequence[str], rows: int) -> None:
        limits = read_limits(len(self._data), sum(_size(array) for array in feed.values()), rows)
        python = find_python()
        assert python is not None  # or no trial is needed
        command = [python, *python_flags(), "-c", _CHILD, json.dumps(sys.path)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            self._process = process
            try:
                if self._is_stopped:
                    process.kill()
                output = _watched(process, _request(self._data, feed, names, limits), limits)
            finally:
                self._process = None
                if process.poll() is None:
                    process.kill()
        _judge(process.returncode, output, limits)


def _watched(process: subprocess.Popen[bytes], request: bytes, limits: _Limits) -> bytes:
    """Return what a child prints; raise `EngineError` where it takes more memory or time than it may.

    The child has no limit of its own to the memory: ONNX Runtime goes on where it gets none for a constant, and would
    take it here, where it gets it.
    """
    deadline = time.monotonic() + _MIN_WAIT_S + _WAIT_FACTOR * limits.cpu_s
    assert process.stdin is not None
    assert process.stdout is not None
    # A pipe takes less than a model: another thread goes on writing. What a child prints fits into a pipe.
    writer = threading.Thread(target=_write, args=(process.stdin, request), daemon=True)
    writer.start()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
                return process.stdout.read()
            if _resident_bytes(process.pid) > limits.memory_bytes + _INTERPRETER_BYTES:
                raise EngineError(_too_large(limits))
            if time.monotonic() > deadline:
                raise EngineError(_too_slow(limits))
    finally:
        process.kill()  # does nothing to a child that has ended
        writer.join()


def _write(pipe: IO[bytes], request: bytes) -> None:
    """Write a request into a pipe and close it; a child that has died reads no more."""
    with contextlib.suppress(OSError):
        pipe.write(request)
    with contextlib.suppress(OSError):
        pipe.close()


def _resident_bytes(pid: int) -> int:
    """Return the memory that a process has; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0


class _Limits(NamedTuple):
    """Hold what a child may take: seconds of a processor, and bytes of memory."""

    cpu_s: float
    memory_bytes: int


def read_limits(model_bytes: int, row_bytes: int, rows: int) -> _Limits:
    """Return what a trial may take; raise `PackageError` where a variable holds no number."""
    cpu_s = _setting(SECONDS_VARIABLE, _DEFAULT_CPU_S) + model_bytes / _MODEL_BYTES_PER_S + _CPU_S_PER_ROW * rows
    memory = _setting(MEMORY_VARIABLE, _DEFAULT_MEMORY_MIB) * 2**20
    return _Limits(cpu_s, int(memory) + _BYTES_PER_MODEL_BYTE * model_bytes + _BYTES_PER_ROW_BYTE * row_bytes)


def _setting(name: str, default: float) -> float:
    try:
        return read_number(name, default, "a number above 0 and below 1e9", lambda number: 0 < number < 1e9)
    except ValueError as error:
        raise PackageError(str(error)) from None


def _size(array: Any) -> int:
    if array.dtype.kind != "O":
        return int(array.nbytes)
    return sum(64 + len(text) for text in array.ravel().tolist())


def _request(data: bytes, feed: Mapping[str, Any], names: Sequence[str], limits: _Limits) -> bytes:
    """Return what a child reads: the length of a description in JSON, the description, the arrays, and the model."""
    arrays: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for name, array in feed.items():
        entry = {"name": name, "shape": list(array.shape), "dtype": array.dtype.str}
        if array.dtype.kind == "O":
            entry["texts"] = array.ravel().tolist()
        else:
            parts.append(np.ascontiguousarray(array).tobytes())
        arrays.append(entry)
    description = {"names": list(names), "arrays": arrays, "cpu_s": limits.cpu_s}
    head = json.dumps(description).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *parts, data])


def _judge(status: int, output: bytes, limits: _Limits) -> None:
    """Raise what a child's end says; return where it answered."""
    try:
        report = json.loads(output)
    except ValueError:
        report = {}
    message = str(report.get("error", ""))
    is_large = report.get("growth_bytes", 0) > limits.memory_bytes
    if is_large or any(word in message.lower() for word in _MEMORY_WORDS):
        raise EngineError(_too_large(limits))
    if report.get("stage") == "done":
        return
    if report.get("stage") == "run":
        raise EngineError(f"ONNX Runtime failed: {printable(message)}")
    if report.get("stage") == "load":
        raise CorruptPackage(f"ONNX Runtime cannot load the model: {printable(message)}")
    if hasattr(signal, "SIGXCPU") and status in (-signal.SIGXCPU, -signal.SIGKILL):
        raise EngineError(_too_slow(limits))
    ended_by = signal.Signals(-status).name if status < 0 else f"status {status}"
    raise CorruptPackage(f"ONNX Runtime crashed on the model when it was tried in a process of its own ({ended_by})")


def _too_large(limits: _Limits) -> str:
    return (
        f"the ONNX model takes more than {limits.memory_bytes / 2**20:,.0f} MiB to load and to answer its first rows, "
        f"which a trial of a model of its size may take; where that is right, set {MEMORY_VARIABLE} to more MiB"
    )


def _too_slow(limits: _Limits) -> str:
    return (
        f"the ONNX model takes more than {limits.cpu_s:,.1f} s of a processor to load and to answer its first rows, "
        f"which a trial of a model of its size may take; where that is right, set {SECONDS_VARIABLE} to more seconds"
    )


def run_child() -> None:
    """Load the model that stands in the standard input, let it answer, and print what came of it as JSON."""
    request = sys.stdin.buffer.read()
    size = int.from_bytes(request[:8], "little")
    description = json.loads(request[8 : 8 + size])
    position = 8 + size
    feed: dict[str, Any] = {}
    for entry in description["arrays"]:
        dtype = np.dtype(entry["dtype"])
        if "texts" in entry:
            array = np.empty(len(entry["texts"]), dtype)
            array[:] = entry["texts"]
        else:
            count = math.prod(entry["shape"])
            array = np.frombuffer(request, dtype, count, position)
            position += array.nbytes
        feed[entry["name"]] = array.reshape(entry["shape"])
    data = request[position:]
    del request
    before = _limit(description["cpu_s"])
    stage, error = "load", ""
    try:
        session = open_session(data)
        stage = "run"
        if description["names"]:
            session.run(description["names"], feed)
        stage = "done"
    except MemoryError:
        error = "MemoryError"
    except Exception as failure:  # noqa: BLE001 - ONNX Runtime's errors have no class in common
        error = str(failure)
    report = {"stage": stage, "error": error[:2000], "growth_bytes": peak_memory_bytes() - before}
    sys.stdout.write(json.dumps(report))


def _limit(cpu_s: float) -> int:
    """Limit the time of this process from now on, and write no image of it when it dies; return what it has taken."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows: there a trial ends by the clock

        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = math.ceil(used.ru_utime + used.ru_stime + cpu_s)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    return peak_memory_bytes()
