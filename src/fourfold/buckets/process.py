"""Be the process in which the client of one bucket lives.

It is given a socket, over which come the sockets of operations, one each; every operation has a thread. It ends when
its parent has ended or needs it no more, or when it had nothing to do for a while. What it may take is limited: where a
server announces or sends more, this process ends, and not its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from fourfold.buckets import frames
from fourfold.buckets.contract import MAX_REPORT_CHARACTERS, BucketError
from fourfold.process_memory import peak_memory_bytes

__all__ = ["run"]

#: The most characters of a key, or of a tag; the keys of S3 have 1,024 bytes at most.
MAX_KEY_CHARACTERS = 4096
#: How often the process looks at its parent, its memory and its leisure.
_POLL_S = 0.5
_THREAD_STACK_BYTES = 512 * 1024
#: A character takes at most so many bytes in JSON.
_BYTES_PER_CHARACTER = 12


def run(description: dict[str, Any]) -> NoReturn:
    """Serve a parent until it ends.

    Args:
        description: `descriptor` of the socket, `parent` (its process), `url` and `settings` of the bucket, `idle_s`,
            and `max_bytes`, what the process may take.
    """
    # The terminal, or whoever stops the parent, may mean the whole group: the parent decides, and may need its bucket
    # until it has ended.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.stack_size(_THREAD_STACK_BYTES)
    memory = _Memory(description["max_bytes"])
    operations = _Operations(description["url"], description["settings"], memory)
    control = socket.socket(fileno=description["descriptor"])
    poll = select.poll()
    poll.register(control, select.POLLIN)
    idle_since_s = time.monotonic()
    while os.getppid() == description["parent"]:
        if poll.poll(_POLL_S * 1000):
            data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not data:
                break
            if descriptors:  # none where this process has as many files open as it may
                operations.start(socket.socket(fileno=descriptors[0]))
        if operations.count:
            idle_since_s = time.monotonic()
            memory.check()
        elif time.monotonic() - idle_since_s > description["idle_s"]:
            break
    os._exit(0)  # whatever the threads wait for


class _Memory:
    """Limit what this process takes.

    Args:
        max_bytes: what it may take beyond what it has taken now, and what it is asked to write.
    """

    def __init__(self, max_bytes: int) -> None:
        self._lock = threading.Lock()
        self._data_bytes = _data_bytes() + max_bytes
        self._peak_bytes = peak_memory_bytes() + max_bytes
        with contextlib.suppress(ImportError, OSError, ValueError):
            import resource

            self._host_bytes = resource.getrlimit(resource.RLIMIT_DATA)[0]
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an image of this process holds the credentials
        self.grow(0)

    def grow(self, size: int) -> None:
        """Allow `size` bytes more, or fewer where it is negative."""
        with self._lock, contextlib.suppress(ImportError, OSError, ValueError):
            import resource

            self._data_bytes += size
            self._peak_bytes += max(0, size)
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            is_limited = self._host_bytes != resource.RLIM_INFINITY
            wanted = min(self._host_bytes, self._data_bytes) if is_limited else self._data_bytes
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))

    def check(self) -> None:
        """End this process where it took more than it may: not every system keeps the limit by itself."""
        if peak_memory_bytes() > self._peak_bytes:
            os.abort()


def _data_bytes() -> int:
    """Return what the system counts as the data of this process, in bytes; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


class _Operations:
    """Carry out operations, each in a thread.

    Args:
        url: the bucket and its prefix.
        settings: what `read_settings` returned.
        memory: what this process may take.
    """

    def __init__(self, url: str, settings: dict[str, Any], memory: _Memory) -> None:
        self._url = url
        self._settings = settings
        self._memory = memory
        self._lock = threading.Lock()
        self._bucket: Any = None
        self.count = 0

    def start(self, line: socket.socket) -> None:
        """Carry out what a request on a socket asks for, in a thread."""
        with self._lock:
            self.count += 1
        threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        # A caller that hears no more has closed its socket: the operation ends here when it next has something to say.
        with contextlib.suppress(OSError), line:
            try:
                _, data = frames.receive(line)
                frames.send(line, frames.ACCEPTED)
                self._answer(line, json.loads(data))
            except BucketError as error:
                frames.send_json(line, frames.ERROR, {"kind": error.kind, "report": error.report})
            except OSError:
                raise
            except BaseException as error:  # noqa: BLE001 - a fault of Rust's is no Exception
                report = f"{type(error).__name__}: {error}"[:MAX_REPORT_CHARACTERS]
                frames.send_json(line, frames.ERROR, {"kind": "failed", "report": report})
        with self._lock:
            self.count -= 1

    def _answer(self, line: socket.socket, request: dict[str, Any]) -> None:
        bucket = self._open()
        match request["operation"]:
            case "get":
                answer = bucket.get(request["key"], request["max_bytes"])
                head = {
                    "size": answer.size,
                    "e_tag": answer.e_tag,
                    "version": answer.version,
                    "written_s": answer.written_s,
                }
                if any(len(tag or "") > MAX_KEY_CHARACTERS for tag in (answer.e_tag, answer.version)):
                    raise BucketError("failed", f"its tag has more than {MAX_KEY_CHARACTERS:,} characters")
                frames.send_json(line, frames.HEAD, head)
                for chunk in answer.chunks():
                    for start in range(0, len(chunk), frames.MAX_FRAME_BYTES):
                        frames.send(line, frames.BODY, memoryview(chunk)[start : start + frames.MAX_FRAME_BYTES])
            case "put":
                self._put(bucket, line, request)
            case _:
                for keys in bucket.list(request["prefix"]):
                    _send_keys(line, keys)
        frames.send(line, frames.DONE)

    def _put(self, bucket: Any, line: socket.socket, request: dict[str, Any]) -> None:
        # obstore needs them once. Twice, so that a version of it that takes a copy is not ended for that.
        allowed_bytes = 2 * int(request["size"])
        self._memory.grow(allowed_bytes)
        try:
            data = bytearray(request["size"])
            frames.receive_into(line, memoryview(data))
            bucket.put(request["key"], data, request["condition"])
        finally:
            data = bytearray()
            self._memory.grow(-allowed_bytes)

    def _open(self) -> Any:
        """Return the bucket, which the first operation opens."""
        from fourfold.buckets.client import open_url

        with self._lock:
            if self._bucket is None:
                self._bucket = open_url(self._url, self._settings)
            return self._bucket


def _send_keys(line: socket.socket, keys: list[str]) -> None:
    """Send keys in as many frames as they need.

    Raises:
        BucketError: a key is too long.
    """
    batch: list[str] = []
    free_bytes = frames.MAX_FRAME_BYTES - 2
    for key in keys:
        if len(key) > MAX_KEY_CHARACTERS:
            raise BucketError(
                "failed", f"its listing holds a key of {len(key):,} characters; expected at most {MAX_KEY_CHARACTERS:,}"
            )
        size = _BYTES_PER_CHARACTER * len(key) + 4
        if size > free_bytes:
            frames.send_json(line, frames.KEYS, batch)
            batch, free_bytes = [], frames.MAX_FRAME_BYTES - 2
        batch.append(key)
        free_bytes -= size
    frames.send_json(line, frames.KEYS, batch)
