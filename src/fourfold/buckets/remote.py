"""Read and write a bucket with a client in a process of its own.

The process is started by the first operation, and again by the next one after it ended. A server that announces more
than the memory ends that process, and the operation fails. A fork of this process starts one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from fourfold.buckets import frames, settings
from fourfold.buckets.contract import KINDS, BucketError, Condition, Kind
from fourfold.interpreter import PYTHON_VARIABLE, find_python, python_flags

__all__ = ["RemoteBucket"]

_RUN = (
    "import json, sys; description = json.load(sys.stdin); sys.path[:] = description['path']; "
    "from fourfold.buckets.process import run; run(description)"
)
#: The processes that an operation tries: one may end for want of work in the moment in which it is asked.
_MAX_STARTS = 3
#: How long the end of a process is waited for, whose socket is closed already.
_END_TIMEOUT_S = 5.0
#: What the process is told where its environment does not say it: it needs few threads, and few heaps for them.
_SPARING = {"TOKIO_WORKER_THREADS": "2", "MALLOC_ARENA_MAX": "4"}

#: What a fork of this process must let go of: it would hold open what this process closes.
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_buckets: weakref.WeakSet[RemoteBucket] = weakref.WeakSet()


class RemoteBucket:
    """Read and write a bucket with obstore in a process of its own.

    Args:
        scheme: the URL's scheme, one of `SCHEMES` but `memory`.
        url: the bucket and a prefix, without credentials; these come from the environment as it is now.
    """

    def __init__(self, scheme: str, url: str) -> None:
        self._description = {
            "url": url,
            "settings": settings.read_settings(scheme),
            "idle_s": settings.IDLE_S,
            "max_bytes": settings.MAX_CLIENT_BYTES,
        }
        self._environment = {**_SPARING, **os.environ}
        self._lock = threading.Lock()
        self._process: _Process | None = None
        _buckets.add(self)

    def get(self, key: str, max_bytes: int) -> RemoteAnswer:
        """Ask for the bytes of a key; see `Bucket.get`."""
        call = self._call({"operation": "get", "key": key, "max_bytes": max_bytes})
        try:
            return RemoteAnswer(call, call.receive_head())
        except BaseException:
            call.close()
            raise

    def put(self, key: str, data: bytes, condition: Condition) -> None:
        """Write the bytes of a key where a condition holds; see `Bucket.put`."""
        mode = condition if isinstance(condition, str) else dict(condition)
        call = self._call({"operation": "put", "key": key, "size": len(data), "condition": mode})
        try:
            call.send_body(data)
            call.receive(frames.DONE)
        finally:
            call.close()

    def list(self, prefix: str) -> Iterator[list[str]]:
        """Yield the keys under a prefix; see `Bucket.list`."""
        call = self._call({"operation": "list", "prefix": prefix})
        left_s = settings.LISTING_TIMEOUT_S
        try:
            while True:
                start_s = time.monotonic()
                kind, data = call.receive(frames.KEYS, frames.DONE, timeout_s=left_s)
                left_s -= time.monotonic() - start_s
                if kind == frames.DONE:
                    return
                yield call.parse_keys(data)
        finally:
            call.close()

    def forget(self) -> None:
        """Leave the process to the parent of this one, after a fork."""
        self._lock = threading.Lock()
        self._process = None

    def _call(self, request: dict[str, Any]) -> _Call:
        """Return the call that carries out a request, which the process has accepted.

        Raises:
            BucketError: the process cannot be started, or ends before it accepts anything.
        """
        data = json.dumps(request).encode()
        for _ in range(_MAX_STARTS):
            with self._lock:
                if self._process is None:
                    self._process = _Process(self._description, self._environment)
                process = self._process
            call = process.open_call(data)
            if call is not None:
                return call
            with self._lock:
                if self._process is process:
                    self._process = None
            end = process.end()
        raise BucketError("ended", f"its client, a process of its own, does not start ({end})")


class _Process:
    """Hold a process with a client.

    Args:
        description: what it is told; see `process.run`.
        environment: its environment.

    Raises:
        BucketError: there is no Python to start.
    """

    def __init__(self, description: dict[str, Any], environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._control, there = _make_pair()
        # Ends the process, when nobody has a call, or a bucket, that needs it.
        weakref.finalize(self, self._control.close)
        with there:
            path = [entry for entry in sys.path if isinstance(entry, str)]
            told = {**description, "descriptor": there.fileno(), "parent": os.getpid(), "path": path}
            try:
                self._process = subprocess.Popen(
                    [_find_python(), *python_flags(), "-c", _RUN],
                    env=environment,
                    pass_fds=[there.fileno()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError as error:
                raise BucketError("ended", f"its client, a process of its own, cannot be started: {error}") from None
        # Not as an argument: whoever may list processes would see it.
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            pipe.write(json.dumps(told).encode())
        # Nothing is left of a process that ends for want of work.
        self._waiter = threading.Thread(target=self._process.wait, name="fourfold-bucket", daemon=True)
        self._waiter.start()

    def open_call(self, request: bytes) -> _Call | None:
        """Return a call that the process has accepted; None where it ended before, and did nothing."""
        here, there = _make_pair()
        here.settimeout(settings.SILENCE_TIMEOUT_S)
        call = _Call(here, self)
        try:
            with there, self._lock:
                socket.send_fds(self._control, [b"c"], [there.fileno()])
            frames.send(here, frames.REQUEST, request)
            if frames.receive(here)[0] == frames.ACCEPTED:
                return call
        except TimeoutError:
            self.kill()
        except OSError:
            pass
        except BaseException:
            call.close()
            raise
        call.close()
        return None

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()

    def end(self) -> str:
        """Wait for the end of the process, and return how it ended."""
        self._waiter.join(_END_TIMEOUT_S)
        status = self._process.returncode
        if status is None:
            self.kill()
            return "it gave no answer"
        return signal.Signals(-status).name if status < 0 else f"status {status}"


class _Call:
    """Hold the socket of one operation; see `frames` for what goes over it."""

    def __init__(self, line: socket.socket, process: _Process) -> None:
        self._line = line
        self._process = process

    def close(self) -> None:
        """Hear no more of the operation: it ends when it next has something to say."""
        self._line.close()

    def receive(self, *expected: bytes, timeout_s: float | None = None) -> tuple[bytes, bytes]:
        """Return the next frame, which must be of an expected kind.

        Raises:
            BucketError: the operation failed, the process ended, or it was ended because it said nothing for too long.
        """
        wait_s = settings.SILENCE_TIMEOUT_S if timeout_s is None else timeout_s
        try:
            self._line.settimeout(max(wait_s, 0.001))
            kind, data = frames.receive(self._line)
        except TimeoutError:
            self._process.kill()
            limit_s = settings.SILENCE_TIMEOUT_S if timeout_s is None else settings.LISTING_TIMEOUT_S
            raise BucketError("ended", f"no end of the server's answer came in {limit_s:,.0f} s") from None
        except OSError:
            raise self._ended() from None
        if kind == frames.ERROR:
            said = self._parse(data, dict)
            failure: Kind = next((name for name in KINDS if name == said.get("kind")), "failed")
            raise BucketError(failure, str(said.get("report")))
        if kind not in expected:
            raise self._confused()
        return kind, data

    def receive_head(self) -> dict[str, Any]:
        """Return the size, the tags and the time of an answer; raise as `receive` does."""
        head: dict[str, Any] = self._parse(self.receive(frames.HEAD)[1], dict)
        size, tags = head.get("size"), (head.get("e_tag"), head.get("version"))
        if type(size) is not int or size < 0 or not all(tag is None or isinstance(tag, str) for tag in tags):
            raise self._confused()
        if head.get("written_s") is not None and not isinstance(head["written_s"], (int, float)):
            raise self._confused()
        return head

    def send_body(self, data: bytes) -> None:
        """Send the bytes of a key; where the process hears no more, `receive` says why."""
        try:
            for start in range(0, len(data), frames.MAX_FRAME_BYTES):
                frames.send(self._line, frames.BODY, memoryview(data)[start : start + frames.MAX_FRAME_BYTES])
        except OSError:
            return

    def parse_keys(self, data: bytes) -> list[str]:
        """Return the keys that a frame holds; raise as `receive` does."""
        return [str(key) for key in self._parse(data, list)]

    def _parse(self, data: bytes, expected: type) -> Any:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, expected):
            raise self._confused()
        return value

    def _confused(self) -> BucketError:
        self._process.kill()
        return BucketError(
            "ended", "its client, a process of its own, sent an answer that cannot be read, and was ended"
        )

    def _ended(self) -> BucketError:
        limit_mib = settings.MAX_CLIENT_BYTES >> 20
        return BucketError(
            "ended",
            f"its client, a process of its own, ended ({self._process.end()}): the server announced or sent more than "
            f"the {limit_mib:,} MiB that an answer may take there, or somebody stopped the process",
        )


class RemoteAnswer:
    """Hold an answer of which the head has come; see `Answer`."""

    def __init__(self, call: _Call, head: dict[str, Any]) -> None:
        self._call = call
        self.size: int = head["size"]
        self.e_tag: str | None = head.get("e_tag")
        self.version: str | None = head.get("version")
        self.written_s: float | None = head.get("written_s")

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they come; see `Answer.chunks`."""
        while True:
            kind, data = self._call.receive(frames.BODY, frames.DONE)
            if kind == frames.DONE:
                return
            yield data

    def close(self) -> None:
        """Read no more of it."""
        self._call.close()


def _make_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a line; a fork of this process lets go of the first.

    Raises:
        BucketError: this process has as many files open as it may.
    """
    try:
        here, there = socket.socketpair()
    except OSError as error:
        raise BucketError("failed", f"no connection to its client can be opened: {error}") from None
    _sockets.add(here)
    return here, there


def _find_python() -> str:
    """Return the Python that runs the client.

    Raises:
        BucketError: there is none.
    """
    python = find_python()
    if python is None:
        raise BucketError(
            "ended",
            f"its client is a process of its own, and no Python was found to run it: name one in {PYTHON_VARIABLE}",
        )
    return python


def _after_fork() -> None:
    """Let go of the lines to the processes of the parent, which must end when the parent does."""
    for line in list(_sockets):
        line.close()
    for bucket in list(_buckets):
        bucket.forget()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
