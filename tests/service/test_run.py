from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fourfold import service
from fourfold.errors import CorruptPackage, ServiceError
from fourfold.predictor import Predictor
from tests.project.tree import ROOT
from tests.service.program import SLOW, WHO
from tests.support import make_predictor


class Process:
    """The service of `program.py` in a process of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.program", str(folder), json.dumps(settings)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self.says("opened")

    def says(self, word: str) -> str:
        """Wait for the line that begins with `word`; gives the rest of it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(word), (line, self.end()[1])
        return line.removeprefix(word).strip()

    def let(self, word: str) -> None:
        """Let the process go on where it waits for that file."""
        (self.folder / word).touch()

    def predict(self, x: float) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"x": x}, timeout=60)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the process's end; gives its status and what it wrote to stderr."""
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@contextmanager
def started(folder: Path, **settings: Any) -> Iterator[Process]:
    process = Process(folder, **settings)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.communicate()


def until(met: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


def refuses(url: str) -> bool:
    """Whether the port takes no connections any more."""
    try:
        httpx.get(f"{url}/health/live", timeout=30)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False  # the port closed while this very request was on its way
    return False


def test_the_port_is_open_while_the_package_loads(tmp_path: Path) -> None:
    """From the first moment the process says that it lives, and until it has loaded, that it is not ready."""
    with started(tmp_path) as process:
        assert httpx.get(f"{process.url}/health/live").status_code == 200
        assert httpx.get(f"{process.url}/health/ready").status_code == 503
        for reply in (process.predict(1), *(httpx.get(f"{process.url}{path}") for path in ("/", "/package"))):
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "loading")
            assert reply.headers["retry-after"] == "1"
        process.let("load")
        process.says("ready")
        assert httpx.get(f"{process.url}/health/ready").status_code == 200
        assert process.predict(1).json()["y"] == 2
        process.stop()
        assert process.end() == (0, "")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [("corrupt", 4, "CorruptPackage: the package is torn in two"), ("bug", 1, "ZeroDivisionError")],
)
def test_a_package_that_cannot_be_loaded_ends_the_process(
    tmp_path: Path, workers: int, how: str, status: int, message: str
) -> None:
    """The error that the loading raised ends the process, with its message and its status."""
    with started(tmp_path, how=how, workers=workers) as process:
        process.let("load")
        found, err = process.end()
        assert message in err
        # An error that is not Fourfold's own cannot cross from a worker; it is told in a ServiceError.
        assert found == (6 if workers == 2 and how == "bug" else status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_was_begun(tmp_path: Path, number: signal.Signals) -> None:
    """After SIGTERM nobody new gets in, who was in gets the answer, and the process ends well."""
    with started(tmp_path) as process, ThreadPoolExecutor(1) as clients:
        process.let("load")
        process.says("ready")
        reply = clients.submit(process.predict, SLOW)
        until((tmp_path / "entered").exists)
        process.stop(number)
        until(lambda: refuses(process.url))
        assert not reply.done()
        process.let("go")
        assert reply.result().json()["y"] == 2 * SLOW
        process.says("stopped")
        assert process.end() == (0, "")


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    """When the time to drain is up, a client is told so, and the process ends though its engine is still at work."""
    with started(tmp_path, drain_seconds=1) as process, ThreadPoolExecutor(1) as clients:
        process.let("load")
        process.says("ready")
        reply = clients.submit(process.predict, SLOW)
        until((tmp_path / "entered").exists)
        process.stop()
        assert (reply.result().status_code, reply.result().json()["error"]["code"]) == (503, "stopping")
        assert process.end()[0] == 0


def test_a_stop_while_loading_is_at_once(tmp_path: Path) -> None:
    """A process that is stopped while it loads does not finish loading first."""
    with started(tmp_path) as process:
        process.stop()
        assert process.end() == (0, "")


def worker(process: Process) -> int:
    return int(process.predict(WHO).json()["y"])


def two_workers(process: Process) -> set[int]:
    """Ask until two workers have answered; gives their process ids."""
    seen: set[int] = set()

    def both() -> bool:
        seen.add(worker(process))
        return len(seen) == 2

    until(both)
    return seen


@pytest.mark.faults
def test_workers_share_the_port(tmp_path: Path) -> None:
    """Two workers answer on one port, one that dies is replaced, and a stop ends all of them."""
    with started(tmp_path, workers=2) as process:
        assert httpx.get(f"{process.url}/health/live", timeout=60).status_code == 200
        process.let("load")
        process.says("ready")
        first = two_workers(process)
        assert process.process.pid not in first
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        second = two_workers(process)
        assert victim not in second
        process.stop()
        assert process.end()[0] == 0  # it ends only with its workers, who write to the same pipe
        assert refuses(process.url)


def test_workers_finish_what_was_begun(tmp_path: Path) -> None:
    """A stop of several workers drains each of them."""
    with started(tmp_path, workers=2) as process, ThreadPoolExecutor(1) as clients:
        process.let("load")
        process.says("ready")
        reply = clients.submit(process.predict, SLOW)
        until((tmp_path / "entered").exists)
        process.stop()
        until(lambda: refuses(process.url))
        process.let("go")
        assert reply.result().json()["y"] == 2 * SLOW
        assert process.end()[0] == 0


@pytest.mark.faults
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """Workers whose parent was killed do not stay behind."""
    with started(tmp_path, workers=2) as process:
        process.let("load")
        process.says("ready")
        assert process.predict(1).status_code == 200
        process.stop(signal.SIGKILL)
        until(lambda: refuses(process.url))


def test_a_port_in_use_is_told_before_anything_loads() -> None:
    """The error names the address and what to do, and the package has not been touched."""
    loaded: list[bool] = []

    def load() -> Predictor:
        loaded.append(True)
        return make_predictor()

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for call in (service.serve, lambda *given: service.running(*given).__enter__()):
            with pytest.raises(ServiceError, match=rf"127\.0\.0\.1:{port}: another process .* another port"):
                call(load, service.Job(port=port))
    assert loaded == []


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    """A host that cannot be listened on is an error that names it."""
    with pytest.raises(ServiceError, match=host):
        service.serve(make_predictor(), service.Job(host=host, port=0))


def test_workers_need_what_loads_the_package() -> None:
    """A predictor, or a function that no other process can find, is refused with what to give instead."""
    job = service.Job(port=0, workers=2)
    for source in (make_predictor(), lambda: make_predictor(version=1)):
        with pytest.raises(ServiceError, match=r"functools\.partial\(fourfold\.load"):
            service.serve(source, job)
    with pytest.raises(ServiceError, match="one worker"):
        service.running(make_predictor, job).__enter__()


def test_running_raises_what_loading_raises() -> None:
    """A service in a thread that cannot load ends with the loader's error, and frees its port."""

    def load() -> Predictor:
        raise CorruptPackage("torn")

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(CorruptPackage, match="torn"), service.running(load, service.Job(port=port)):
        pass
    with service.running(make_predictor, service.Job(port=port)) as url:
        assert url.endswith(f":{port}")
        assert httpx.get(f"{url}/health/ready").status_code == 200
    assert refuses(url)


def test_serve_ends_with_a_signal_and_gives_the_signals_back() -> None:
    """`serve` in this very process returns after SIGTERM, and whoever handled it before handles it again."""
    before = signal.getsignal(signal.SIGTERM)
    urls: list[str] = []
    ready = functools.partial(threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start)
    service.serve(make_predictor(), service.Job(port=0), opened=urls.append, ready=ready)
    assert signal.getsignal(signal.SIGTERM) is before
    assert refuses(urls[0])


def test_the_access_log_is_off_unless_asked_for(tmp_path: Path) -> None:
    """With `access_log`, every request is a line on stdout; without, none is."""
    with started(tmp_path, access_log=True) as process:
        process.let("load")
        process.says("ready")
        process.predict(1)
        process.stop()
        out, err = process.process.communicate(timeout=60)
        assert '"POST /predict HTTP/1.1" 200' in out
        assert err == ""


def test_ipv6_is_served() -> None:
    """An IPv6 address is listened on, and the URL says it in brackets."""
    with service.running(make_predictor, service.Job(host="::1", port=0)) as url:
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}/health/live").status_code == 200


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_a_missing_library_is_named(library: str) -> None:
    """Without the web server, importing the service says what to install."""
    program = f"""
import sys
sys.modules[{library!r}] = None
from fourfold.errors import MissingLibrary
try:
    import fourfold.service
except MissingLibrary as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    assert library in run.stdout
    assert "the extra 'service' brings it: " in run.stdout
