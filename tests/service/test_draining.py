from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from fourfold import service
from fourfold.service import protocol
from fourfold.service.draining import refuse_new_connections
from tests.service.program import SLOW
from tests.service.test_run import Process, started, two_workers, until
from tests.service.wire import Address, WireReply, predict, read_replies
from tests.support import make_predictor

CLIENTS = 32


class Client:
    """A client that sends on one connection without pause, and makes another only where it was told to."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.answered = 0
        self.last_was_closed = False
        self.lost: list[str] = []

    def run(self) -> None:
        """Send until the port is closed."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return
            try:
                self.last_was_closed = False
                while not self.last_was_closed:
                    connection.request("POST", "/predict", b'{"x": 3}', {"content-type": "application/json"})
                    reply = connection.getresponse()
                    assert json.loads(reply.read()) == {"y": 6.0, "word": None}
                    self.answered += 1
                    self.last_was_closed = reply.getheader("connection") == "close"
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
            connection.close()


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    with started(tmp_path, workers=request.param) as process:
        process.let("load")
        process.says("ready")
        yield process


def test_a_stop_loses_no_request(process: Process) -> None:
    """Clients that send without pause through a SIGTERM get an answer to every request, and then no connection."""
    clients = [Client(address_of(process.url)) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    until(lambda: all(client.answered > 3 for client in clients))
    process.stop()
    for thread in threads:
        thread.join()
    assert [client.lost for client in clients] == [[]] * CLIENTS
    assert all(client.last_was_closed for client in clients)
    assert process.end()[0] == 0


def has_ended(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_worker_that_stops_alone_leaves_the_port_open(tmp_path: Path, number: signal.Signals) -> None:
    """Where workers are replaced, or one of them is stopped, the others go on, and so does the port."""
    with started(tmp_path, workers=2, notice_seconds=0) as process:
        process.let("load")
        process.says("ready")
        first = two_workers(process)
        if number == signal.SIGHUP:
            process.stop(number)
        else:
            os.kill(min(first), number)
        gone = first if number == signal.SIGHUP else {min(first)}
        until(lambda: all(has_ended(worker) for worker in gone))
        assert not two_workers(process) & gone
        process.stop()
        assert process.end()[0] == 0


def test_a_stop_says_first_that_it_is_not_ready(tmp_path: Path) -> None:
    """From the signal on `/health/ready` is 503 and replies close their connections; the port stays open meanwhile."""
    with started(tmp_path, notice_seconds=2) as process:
        process.let("load")
        process.says("ready")
        process.stop()
        until(lambda: httpx.get(f"{process.url}/health/ready").status_code == 503)
        reply = process.predict(1)
        assert (reply.status_code, reply.headers["connection"]) == (200, "close")
        assert httpx.get(f"{process.url}/health/live").status_code == 200
        assert process.end() == (0, "")


def test_a_connection_that_has_just_been_made_is_answered(tmp_path: Path) -> None:
    """Who is connected when the port closes, and has sent nothing yet, can still send a request, or the rest of one."""
    with started(tmp_path, notice_seconds=0) as process:
        process.let("load")
        process.says("ready")
        data = predict(4)
        address = address_of(process.url)
        with (
            socket.create_connection(address, timeout=60) as new,
            socket.create_connection(address, timeout=60) as half,
        ):
            half.sendall(data[:30])
            process.stop()
            until(lambda: refused(address))
            new.sendall(data)
            half.sendall(data[30:])
            for connection in (new, half):
                (reply,) = replies_on(connection)
                assert (reply.word, reply.headers["connection"]) == ((200, 8.0), "close")
        assert process.end() == (0, "")


def replies_on(connection: socket.socket) -> list[WireReply]:
    """The replies on a connection until the service closes it."""
    return read_replies(b"".join(iter(lambda: connection.recv(65_536), b"")))


def refused(address: Address) -> bool:
    """Whether the port takes no connection, also not in a while."""
    with socket.socket() as probe:
        probe.settimeout(0.05)
        return probe.connect_ex(address) != 0


def test_what_was_pipelined_before_a_stop_is_answered(tmp_path: Path) -> None:
    """Requests that have arrived behind one that is being answered get their answers too; the last reply says close."""
    with (
        started(tmp_path, notice_seconds=0) as process,
        socket.create_connection(address_of(process.url), 60) as client,
    ):
        process.let("load")
        process.says("ready")
        client.sendall(predict(SLOW) + predict(1) + predict(2))
        until((tmp_path / "entered").exists)
        process.stop()
        until(lambda: refused(address_of(process.url)))
        process.let("go")
        with client:
            replies = replies_on(client)
        assert [reply.word for reply in replies] == [(200, 2 * SLOW), (200, 2.0), (200, 4.0)]
        assert [reply.headers.get("connection") for reply in replies] == [None, None, "close"]
        assert process.end() == (0, "")


def test_idle_connections_do_not_hold_up_a_stop(tmp_path: Path) -> None:
    """Connections that bring nothing are closed a moment after the port, long before the time to drain is over."""
    with started(tmp_path, drain_seconds=3600) as process:
        process.let("load")
        process.says("ready")
        with httpx.Client(base_url=process.url) as client:
            assert client.get("/health/live").status_code == 200
            process.stop()
            assert process.end() == (0, "")


def test_a_listener_takes_no_new_connections_but_ends_what_was_begun() -> None:
    """What was connected before can be accepted after; who comes later waits, and is refused once the port closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as clients:
        address = listener.getsockname()
        with socket.create_connection(address) as early:
            refuse_new_connections(listener)
            late = clients.submit(socket.create_connection, address, 30)
            connection, _ = listener.accept()
            early.sendall(b"hello")
            assert connection.recv(10) == b"hello"
            connection.close()
            listener.setblocking(False)
            time.sleep(0.1)
            with pytest.raises(BlockingIOError):
                listener.accept()
            listener.close()
            with pytest.raises(ConnectionRefusedError):
                late.result()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A service that waits for nobody longer than a second."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 1)
    monkeypatch.setattr(protocol, "IDLE_TIMEOUT_S", 1)
    with service.running(make_predictor()) as url:
        yield address_of(url)


SLOWLY: dict[str, tuple[bytes, list[Any]]] = {
    "nothing": (b"", []),
    "a head": (b"GET /health/live HTTP/1.1\r\nHost: h\r\nX-Slow: ", [(408, "http")]),
    "a second head": (predict(5) + b"GET /", [(200, 10.0), (408, "http")]),
    "a second request": (predict(5), [(200, 10.0)]),
    "a body": (predict(5)[:-1], [(408, "http")]),
}


@pytest.mark.parametrize("what", SLOWLY)
def test_a_client_that_keeps_the_service_waiting_is_hung_up_on(impatient: Address, what: str) -> None:
    """A head must have arrived in a time, however its bytes trickle in; other pauses have a limit of their own."""
    data, words = SLOWLY[what]
    with socket.create_connection(impatient, timeout=60) as client:
        client.sendall(data)
        trickle = threading.Event()

        def send_on() -> None:
            while "head" in what and not trickle.wait(0.2):
                try:
                    client.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=send_on)
        thread.start()
        replies = replies_on(client)
        trickle.set()
        thread.join()
    assert [reply.word for reply in replies] == words


def test_a_client_that_takes_no_reply_is_hung_up_on(impatient: Address) -> None:
    """Who asks and asks and reads nothing is let go once nothing of its replies is taken any more."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(impatient)
        requests = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n" * 500_000
        with pytest.raises(ConnectionError):
            client.sendall(requests)


def test_idle_connections_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond as many connections as there may be, one that waits for its client is closed, and none at work."""
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 8)
    entered, leave = threading.Event(), threading.Event()

    def called(rows: list[dict[str, Any]]) -> None:
        if rows[0]["x"] == SLOW:
            entered.set()
            assert leave.wait(60)

    with service.running(make_predictor(called=called)) as url, ThreadPoolExecutor(1) as clients:
        slow = clients.submit(httpx.post, f"{url}/predict", json={"x": SLOW}, timeout=60)
        assert entered.wait(60)
        half = predict(5)[:40]
        many = [socket.create_connection(address_of(url), 60) for _ in range(30)]
        for connection in many:
            connection.sendall(half)
        assert httpx.get(f"{url}/health/live").status_code == 200
        leave.set()
        assert slow.result().json()["y"] == 2 * SLOW
        for connection in many:
            connection.close()


def test_a_request_that_takes_long_is_no_slow_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are for clients: an engine may take as long as it likes."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.1)
    monkeypatch.setattr(protocol, "IDLE_TIMEOUT_S", 0.1)
    with service.running(make_predictor(called=lambda rows: time.sleep(2 * (rows[0]["x"] == SLOW)))) as url:
        assert httpx.post(f"{url}/predict", json={"x": SLOW}, timeout=60).json()["y"] == 2 * SLOW


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    """Whoever does not want to wait for the requests that are left presses it twice."""
    with started(tmp_path, notice_seconds=3600) as process:
        process.let("load")
        process.says("ready")
        process.stop(signal.SIGINT)
        until(lambda: httpx.get(f"{process.url}/health/ready").status_code == 503)
        process.stop(signal.SIGINT)
        assert process.end()[0] == 0
