from __future__ import annotations

import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fourfold.package import Package
from fourfold.repository import Repository
from tests.repository.hostile_server import Answer, HostileServer
from tests.repository.writers import make


class Buckets:
    """Wrap a WSGI application: answer one request at a time, in the way of the bucket that it names.

    S3 decides each conditional write atomically; moto compares and then writes, in as many threads as it has clients.
    Bucket `careless` ignores conditions, as some stores do that speak S3. Bucket `forgetful` loses every other answer
    to a write, after writing. Bucket `busy` refuses every other write for no reason, with 409, as S3 may.
    """

    NAMES = ("models", "careless", "forgetful", "busy")

    def __init__(self, application: Any) -> None:
        self.application = application
        self.lock = threading.Lock()
        self.writes: Counter[str] = Counter()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        bucket = path.split("/")[1]
        with self.lock:
            write = environ["REQUEST_METHOD"] == "PUT" and path.count("/") > 1
            self.writes[path] += write
            odd = write and self.writes[path] % 2 == 1
            if bucket == "careless":
                environ.pop("HTTP_IF_MATCH", None)
                environ.pop("HTTP_IF_NONE_MATCH", None)
            if bucket == "busy" and odd:
                environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
                return self.refuse(start_response, "409 Conflict", b"ConditionalRequestConflict")
            if bucket == "forgetful" and odd:
                list(self.application(environ, lambda *_: None))
                return self.refuse(start_response, "503 Service Unavailable", b"SlowDown")
            return list(self.application(environ, start_response))

    @staticmethod
    def refuse(start_response: Any, status: str, code: bytes) -> list[bytes]:
        """Answer with an error of S3's."""
        body = b"<?xml version='1.0'?><Error><Code>" + code + b"</Code></Error>"
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """Return the endpoint of a server with the API of S3 and some buckets."""
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = Buckets(server._server.app)
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test-access-key",
        aws_secret_access_key="test-secret-key",
    )
    for name in Buckets.NAMES:
        client.create_bucket(Bucket=name)
    client.close()
    yield endpoint
    server.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the host's settings, and give the test a cache of its own."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "FOURFOLD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FOURFOLD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def s3(bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty repository on S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return f"s3://models/{uuid.uuid4().hex}/deep"


@pytest.fixture(params=["folder", "memory", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the location of an empty repository: a folder, memory or S3."""
    if request.param == "folder":
        return str(tmp_path / "repository")
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(request.getfixturevalue("s3"))


@pytest.fixture
def repository(location: str) -> Repository:
    """Return an empty repository: in a folder, in memory or on S3."""
    return Repository.open(location)


@pytest.fixture
def package() -> Package:
    """Return a package."""
    return make()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], HostileServer]]:
    """Return a function that starts a server, to which `s3://models` then leads."""
    servers = []

    def start(answer: Answer) -> HostileServer:
        servers.append(HostileServer(answer))
        monkeypatch.setenv("AWS_ENDPOINT_URL", servers[-1].endpoint)
        return servers[-1]

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
