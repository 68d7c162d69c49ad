"""The client of a bucket in a process of its own: what servers, signals, forks and silence do to it."""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fourfold.buckets import frames, process, remote, settings
from fourfold.buckets.contract import Bucket, BucketError
from fourfold.buckets.opening import open_bucket
from fourfold.buckets.remote import RemoteBucket
from fourfold.errors import RepositoryError
from fourfold.interpreter import PYTHON_VARIABLE
from fourfold.process_memory import peak_memory_bytes
from fourfold.repository.bucket import BucketStore
from fourfold.repository.store import Tag
from tests.repository.hostile_server import Answer, HostileServer, head

Handler = http.server.BaseHTTPRequestHandler


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], HostileServer]]:
    """Return a function that starts a server, to which buckets of every kind then lead."""
    servers = []

    def start(answer: Answer) -> HostileServer:
        servers.append(HostileServer(answer))
        endpoint = servers[-1].endpoint
        account = {"gcs_base_url": endpoint, "disable_oauth": True}
        account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test-access-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret-key",
            "AWS_REGION": "us-east-1",
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ACCOUNT_KEY": "YQ==",
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account),
            "GOOGLE_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        return servers[-1]

    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "MAX_RETRIES", 0)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _small(handler: Handler) -> None:
    """Answer a GET with two bytes."""
    head(handler, 2)
    handler.wfile.write(b"{}")


def _send_for(handler: Handler, piece: bytes) -> None:
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s:
        handler.wfile.write(piece)


def read_key(bucket: Bucket, key: str = "key") -> bytes:
    """Return the bytes of a key."""
    with closing(bucket.get(key, 100)) as answer:
        return b"".join(answer.chunks())


def process_id(bucket: RemoteBucket) -> int:
    """Return the number of a bucket's process."""
    assert bucket._process is not None
    return bucket._process._process.pid


def is_alive(pid: int) -> bool:
    """Return whether a process is there, and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(is_true: Callable[[], bool], limit_s: float = 20) -> bool:
    """Return whether something becomes true in time."""
    until_s = time.monotonic() + limit_s
    while not is_true() and time.monotonic() < until_s:
        time.sleep(0.02)
    return is_true()


OPERATIONS: dict[str, Callable[[BucketStore], object]] = {
    "get": lambda store: store.get("key", 4096),
    "list": lambda store: list(store.keys("models/")),
    "create": lambda store: store.create("key", b"x"),
    "replace": lambda store: store.replace("key", b"x", Tag('"tag"', "1")),
}


@pytest.mark.parametrize("form", ["announced", "sent"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_an_answer_without_end(
    serve: Callable[[Answer], HostileServer], scheme: str, operation: str, form: str
) -> None:
    """A listing, or an answer that says no, of a tebibyte is an error; this process lives on, and so does the store."""
    statuses = {"get": 404, "list": 200, "create": 409, "replace": 412}

    def answer(handler: Handler) -> None:
        if is_honest:
            _small(handler)
        elif form == "announced":
            head(handler, 2**40, statuses[operation])
            _send_for(handler, b" " * 2**20)
        else:
            handler.send_response(statuses[operation])
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            _send_for(handler, b"100000\r\n" + b" " * 2**20 + b"\r\n")

    is_honest = False
    serve(answer)
    store = BucketStore(scheme, "models", "deep")
    before_bytes = peak_memory_bytes()
    with pytest.raises(RepositoryError) as caught:
        OPERATIONS[operation](store)
    verb = {"get": "read key", "list": "list models/"}.get(operation, "write key")
    message = str(caught.value)
    assert message.startswith(f"cannot {verb} in {scheme}://models/deep: its client, a process of its own, ended (SIG")
    assert "the server announced or sent more than the 512 MiB that an answer may take there" in message
    assert peak_memory_bytes() - before_bytes < 200 * 2**20
    is_honest = True
    content = store.get("key", 4096)
    assert content is not None
    assert content[0] == b"{}"


def test_a_large_object_comes_whole_and_goes_whole(serve: Callable[[Answer], HostileServer]) -> None:
    """A hundred mebibytes take no more than they are, in both directions, whatever the process may take otherwise."""
    size = 100 * 2**20
    piece = bytes(range(256)) * 4096

    def answer(handler: Handler) -> None:
        if handler.command == "PUT":
            head(handler, 0)
            return
        head(handler, size)
        for _ in range(100):
            handler.wfile.write(piece)

    server = serve(answer)
    store = BucketStore("s3", "models")
    content = store.get("key", size)
    assert content is not None
    assert content[0] == piece * 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MAX_CLIENT_BYTES", 64 * 2**20)
        BucketStore("s3", "models").create("key", content[0])
    assert ("content-length", str(size)) in server.requests[-1][1].items()


def test_operations_of_many_threads(serve: Callable[[Answer], HostileServer]) -> None:
    """Sixteen threads read at once, each its own key, through one process."""

    def answer(handler: Handler) -> None:
        name = handler.path.rsplit("/", 1)[1].encode()
        head(handler, len(name))
        handler.wfile.write(name)

    serve(answer)
    bucket = open_bucket("s3", "s3://models", purpose="a test")
    wrong: list[str] = []

    def read(number: int) -> None:
        for round_number in range(20):
            key = f"{number}-{round_number}"
            if read_key(bucket, key) != key.encode():
                wrong.append(key)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_is_killed(serve: Callable[[Answer], HostileServer], number: signal.Signals) -> None:
    """The operation that runs fails with the signal's name; the next one starts another process."""
    started = threading.Event()

    def answer(handler: Handler) -> None:
        if started.is_set():
            _small(handler)
        else:
            started.set()
            time.sleep(10)

    serve(answer)
    bucket = RemoteBucket("s3", "s3://models")

    def kill() -> None:
        started.wait()
        os.kill(process_id(bucket), number)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(BucketError, match=number.name) as caught:
        bucket.get("key", 10)
    assert caught.value.kind == "ended"
    killer.join()
    assert read_key(bucket) == b"{}"


def test_signals_to_the_whole_group(serve: Callable[[Answer], HostileServer]) -> None:
    """An interrupt, or a polite stop, that reaches the process too leaves it alone: its parent decides."""
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    bucket.get("key", 10).close()
    first = process_id(bucket)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(first, number)
    time.sleep(0.1)
    bucket.get("key", 10).close()
    assert process_id(bucket) == first


def test_a_process_without_work(serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without work the process ends and leaves nothing behind; the next operation starts another."""
    monkeypatch.setattr(settings, "IDLE_S", 0.2)
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    bucket.get("key", 10).close()
    first = process_id(bucket)
    assert wait_for(lambda: not Path(f"/proc/{first}").exists())
    bucket.get("key", 10).close()
    assert process_id(bucket) != first


def test_a_bucket_that_nobody_holds(serve: Callable[[Answer], HostileServer]) -> None:
    """The process ends with the last one who could use it, and a call that is given up does not hold it."""

    def answer(handler: Handler) -> None:
        head(handler, 2**30)
        _send_for(handler, b" " * 2**20)

    serve(answer)
    bucket = RemoteBucket("s3", "s3://models")
    received = bucket.get("key", 2**30)
    assert next(received.chunks())
    pid = process_id(bucket)
    received.close()
    del bucket, received
    assert wait_for(lambda: not is_alive(pid))


PARENT = """
import os, sys, time
from fourfold.buckets.remote import RemoteBucket
bucket = RemoteBucket("s3", "s3://models")
answer = bucket.get("key", 2**30)
if sys.argv[1] == "fork" and not os.fork():
    time.sleep(30)  # holds what it inherited
print(bucket._process._process.pid, flush=True)
for _ in answer.chunks():
    time.sleep(0.01)
"""


@pytest.mark.parametrize("form", ["alone", "fork"])
def test_a_parent_that_is_killed(serve: Callable[[Answer], HostileServer], form: str) -> None:
    """A parent that is killed in the middle of an answer leaves no process, also where a fork of it lives on."""

    def answer(handler: Handler) -> None:
        head(handler, 2**30)
        _send_for(handler, b" " * 2**16)

    serve(answer)
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, form],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
        try:
            assert wait_for(lambda: not is_alive(pid))
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def _read_in_fork(bucket: RemoteBucket, pipe: Any) -> None:
    pipe.send((read_key(bucket), process_id(bucket)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_a_process_of_its_own(serve: Callable[[Answer], HostileServer]) -> None:
    """A fork of a process that used a bucket starts a process of its own, and the first goes on."""
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    bucket.get("key", 10).close()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_read_in_fork, args=(bucket, there))
    child.start()
    assert here.poll(60)
    data, pid = here.recv()
    child.join()
    assert data == b"{}"
    assert pid != process_id(bucket)
    assert read_key(bucket) == b"{}"


def test_a_process_that_says_nothing(serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs is ended after a time, and the error says so."""
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    bucket.get("key", 10).close()
    pid = process_id(bucket)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(settings, "SILENCE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(remote, "_MAX_STARTS", 1)
    with pytest.raises(BucketError, match=r"does not start \(SIGKILL\)"):
        bucket.get("key", 10)
    monkeypatch.undo()


def test_a_process_that_cannot_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the Python that is named is none, or there is none, the operation says so."""
    monkeypatch.setenv(PYTHON_VARIABLE, "/bin/false")
    with pytest.raises(BucketError, match=r"its client, a process of its own, does not start \(status 1\)"):
        RemoteBucket("s3", "s3://models").get("key", 10)
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(BucketError, match=r"cannot be started: .*absent"):
        RemoteBucket("s3", "s3://models").get("key", 10)
    monkeypatch.delenv(PYTHON_VARIABLE)
    monkeypatch.setattr(sys, "executable", "/usr/sbin/httpd")
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    with pytest.raises(BucketError, match="name one in FOURFOLD_PYTHON"):
        RemoteBucket("s3", "s3://models").get("key", 10)


def test_the_environment_is_that_of_the_opening(
    serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket keeps the settings that the environment had when it was opened, as long as it lives."""
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert read_key(bucket) == b"{}"


ISOLATED = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from contextlib import closing
from fourfold.buckets.remote import RemoteBucket
with closing(RemoteBucket("s3", "s3://models").get("key", 10)) as answer:
    print(b"".join(answer.chunks()).decode())
"""


def test_what_python_takes_no_notice_of(serve: Callable[[Answer], HostileServer], tmp_path: Path) -> None:
    """Where Python ignores its environment, and the folder that it runs in, the process of a bucket does too."""
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    (tmp_path / "obstore.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    serve(_small)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ISOLATED, json.dumps([entry for entry in sys.path if entry])],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{}\n", done.stderr
    assert not (tmp_path / "was-here").exists()


def test_an_interrupt_gives_an_operation_up(serve: Callable[[Answer], HostileServer]) -> None:
    """An interrupt in the middle of a read reaches the caller at once; the next operation has the same process."""
    started = threading.Event()

    def answer(handler: Handler) -> None:
        if started.is_set():
            _small(handler)
            return
        started.set()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    serve(answer)
    bucket = RemoteBucket("s3", "s3://models")
    start_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bucket.get("key", 10)
    assert time.monotonic() - start_s < 20
    first = process_id(bucket)
    assert read_key(bucket) == b"{}"
    assert process_id(bucket) == first


@pytest.mark.parametrize(
    "frame",
    [
        (frames.DONE, b""),
        (b"?", b""),
        (frames.HEAD, b"{"),
        (frames.HEAD, b"[1]"),
        (frames.HEAD, b"[" * 100_000),
        (frames.HEAD, b'{"size": -1}'),
        (frames.HEAD, b'{"size": 1.5}'),
        (frames.HEAD, b'{"size": 1, "e_tag": ["x"]}'),
        (frames.ERROR, b'"missing"'),
    ],
)
def test_a_process_that_says_what_no_client_says(
    serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch, frame: tuple[bytes, bytes]
) -> None:
    """What comes from the process is read as what a stranger says: anything else ends it, and is an error."""
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    bucket.get("key", 10).close()
    pid = process_id(bucket)
    real, received = frames.receive, iter([(frames.ACCEPTED, b""), frame])
    monkeypatch.setattr(frames, "receive", lambda line: next(received))
    with pytest.raises(BucketError, match="sent an answer that cannot be read"):
        bucket.get("key", 10)
    monkeypatch.setattr(frames, "receive", real)
    assert wait_for(lambda: not is_alive(pid))
    assert read_key(bucket) == b"{}"


def test_no_more_files(serve: Callable[[Answer], HostileServer]) -> None:
    """A process that may open no more files says so, and goes on when it may."""
    serve(_small)
    bucket = RemoteBucket("s3", "s3://models")
    bucket.get("key", 10).close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(BucketError, match=r"no connection to its client can be opened: .*Too many open files"):
            bucket.get("key", 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read_key(bucket) == b"{}"


def test_a_tag_of_any_length(serve: Callable[[Answer], HostileServer]) -> None:
    """A tag that is longer than any store's is an error."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT")
        handler.send_header("ETag", '"' + "x" * 50_000 + '"')
        handler.send_header("Content-Length", "2")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"{}")

    serve(answer)
    with pytest.raises(RepositoryError, match="cannot read key in s3://models/deep: its tag has more than 4,096"):
        BucketStore("s3", "models", "deep").get("key", 10)


# ------------------------------------------------------------------ listings


def listing(keys: list[str], token: str = "", size: str = "2") -> bytes:
    """Return a page of a listing in S3's words; with a token there is another page."""
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-30T10:00:00.000Z</LastModified><ETag>e</ETag>"
        f"<Size>{size}</Size></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return (
        f"<ListBucketResult><IsTruncated>{str(bool(token)).lower()}</IsTruncated>{more}{entries}</ListBucketResult>"
    ).encode()


def listed(store: BucketStore) -> tuple[list[str], str]:
    """Return the keys of the models, and the error if there is one."""
    try:
        return list(store.keys("models/")), ""
    except RepositoryError as error:
        return [], str(error)


def _answer_pages(page: Callable[[int], bytes]) -> Answer:
    numbers = iter(range(10**9))

    def answer(handler: Handler) -> None:
        data = page(next(numbers))
        head(handler, len(data))
        handler.wfile.write(data)

    return answer


@pytest.mark.parametrize(
    "key",
    [
        "deep/models/../../etc/passwd",
        "deep/models//1.json",
        "deep/models/&#x1b;[2J",
        "deep/models/" + "a" * 5000,
        "/deep/models/eta",
        "",
        "..",
        "deep/models/%2e%2e/x",
        "deep/models/\ud7ff",
    ],
)
def test_a_hostile_key(serve: Callable[[Answer], HostileServer], key: str) -> None:
    """A key that no repository writes is passed over, or an error in a line; none is outside of what was asked for."""
    serve(_answer_pages(lambda _: listing(["deep/models/eta/versions/1.json", key])))
    keys, error = listed(BucketStore("s3", "models", "deep"))
    assert error.isprintable()
    assert len(error) < 1000
    assert keys[:1] == ([] if error else ["models/eta/versions/1.json"])
    assert all(name.startswith("models/") and ".." not in name.split("/") for name in keys)


def test_keys_outside_of_the_prefix(serve: Callable[[Answer], HostileServer]) -> None:
    """A listing that holds what was not asked for is read without it."""
    keys = ["deep/models/eta/versions/1.json", "deep/blobs/x", "models/eta/versions/2.json", "deeper/models/x", "deep"]
    serve(_answer_pages(lambda _: listing(keys)))
    listed = list(BucketStore("s3", "models", "deep").keys("models/eta/versions/"))
    assert "models/eta/versions/1.json" in listed
    assert all(key.startswith("models/eta/versions/") for key in listed)


@pytest.mark.parametrize("size", ["-1", str(2**63), str(2**64), "1e3", ""])
def test_a_hostile_size(serve: Callable[[Answer], HostileServer], size: str) -> None:
    """Sizes in listings decide nothing: one that is no size is an error, or not looked at."""
    serve(_answer_pages(lambda _: listing(["deep/models/eta/versions/1.json"], size=size)))
    keys, error = listed(BucketStore("s3", "models", "deep"))
    assert keys == ([] if error else ["models/eta/versions/1.json"])
    assert not error or "cannot list models/ in s3://models/deep" in error


def test_pages_without_end(serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that goes on with empty pages is given up after a time, and its process with it."""
    monkeypatch.setattr(settings, "LISTING_TIMEOUT_S", 1.0)
    server = serve(_answer_pages(lambda number: listing([], token=f"t{number}")))
    store = BucketStore("s3", "models", "deep")
    with pytest.raises(RepositoryError, match=r"cannot list models/ .*no end of the server's answer came in 1 s"):
        list(store.keys("models/"))
    count = len(server.requests)
    time.sleep(0.3)
    assert len(server.requests) <= count + 1


def test_more_keys_than_a_repository_has(serve: Callable[[Answer], HostileServer]) -> None:
    """A listing without end, in full pages, is an error at the limit, and takes the memory of a page."""
    from fourfold.repository import bucket

    def page(number: int) -> bytes:
        return listing([f"deep/models/m{number}/versions/{index}.json" for index in range(1000)], token=f"t{number}")

    serve(_answer_pages(page))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket, "MAX_KEYS", 20_000)
        with pytest.raises(RepositoryError, match="more than 20,000 objects in models/"):
            list(BucketStore("s3", "models", "deep").keys("models/"))


def test_long_keys_come_in_several_frames(serve: Callable[[Answer], HostileServer]) -> None:
    """A page of a thousand keys, each as long as S3 allows, comes whole."""
    keys = [f"models/{'é' * 400}{index}" for index in range(1000)]
    serve(_answer_pages(lambda _: listing([f"deep/{key}" for key in keys])))
    assert list(BucketStore("s3", "models", "deep").keys("models/")) == keys
    assert process.MAX_KEY_CHARACTERS > 1024
