from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection

import pytest

from fourfold.errors import MissingLibrary, RepositoryError
from fourfold.package import Package
from fourfold.repository import Repository
from fourfold.repository.bucket import BucketStore
from tests.repository.writers import make

SECRET = "wJalrXUtnFEMI-K7MDENG"


def refused(url: str) -> str:
    """Return the message of a repository that cannot be used."""
    with pytest.raises(RepositoryError) as caught:
        Repository.open(url).resolve("eta")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def forbidding() -> Iterator[str]:
    """Return the endpoint of a server that forbids everything, and repeats the request's headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (
                "<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><StringToSign>"
                f"{self.headers.get('Authorization')} {SECRET}</StringToSign></Error>"
            ).encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_memory_is_shared(package: Package) -> None:
    """One URL is one memory in a process, and another is another."""
    Repository.open("memory://shared").push(package)
    assert Repository.open("memory://shared").resolve("eta").digest == package.digest
    assert Repository.open("memory://shared/deeper").models() == ()
    assert Repository.open("memory://other").models() == ()


def test_prefixes_are_apart(s3: str, package: Package) -> None:
    """Two prefixes of a bucket are two repositories."""
    Repository.open(s3).push(package)
    assert Repository.open(s3 + "er").models() == ()
    assert [model.name for model in Repository.open(s3).models()] == ["eta"]


def test_unreachable(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that nobody serves is an error that names its URL, without the secrets or the library's own report."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://someone:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    message = refused(s3)
    assert message.startswith(f"{s3} cannot be reached: ")
    assert SECRET not in message
    assert "Debug source" not in message


def test_forbidden(s3: str, forbidding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that refuses the credentials says so with its own word, and not with what it was sent."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", forbidding)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    message = refused(s3)
    assert message.startswith(f"{s3} does not allow this host to list models/eta/versions/")
    assert "SignatureDoesNotMatch" in message
    assert SECRET not in message
    assert "test-access-key" not in message


def test_no_bucket(s3: str, package: Package) -> None:
    """A bucket that does not exist is not an empty repository, whatever is asked of it."""
    url = s3.replace("models", "absent")
    repository = Repository.open(url)
    verbs: list[Callable[[], object]] = [
        lambda: repository.resolve("eta"),
        lambda: repository.resolve("eta:1"),
        lambda: repository.resolve(f"eta@{package.digest}"),
        repository.models,
        lambda: repository.push(package),
    ]
    for verb in verbs:
        with pytest.raises(RepositoryError, match=f"the bucket of {url} does not exist"):
            verb()


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the credentials is an error of the repository too."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "AccessKeyId" in refused(s3)


def test_plain_http_by_variable(s3: str, bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint may come by each of the usual names."""
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        monkeypatch.delenv("AWS_ENDPOINT", raising=False)
        monkeypatch.setenv(name, bucket_server)
        assert Repository.open(s3).models() == ()
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert Repository.open(s3).models() == ()


def test_obstore_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, the error says which extra brings it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingLibrary, match=r"a repository at s3:// needs obstore.*\[cloud\]"):
        Repository.open("s3://bucket")


def test_folders_need_no_library() -> None:
    """The room, and a repository in a folder, import nothing that is not the standard library's or Fourfold's own."""
    script = (
        "import sys\n"
        "from fourfold.repository import Repository\n"
        "Repository.open('/tmp')\n"
        "heavy = {'obstore', 'pyarrow', 'pandas', 'numpy', 'msgspec', 'concurrent.futures'}\n"
        "print(', '.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


def _forked(store: BucketStore, pipe: Connection) -> None:
    pipe.send(store.get("models/eta/versions/1.json", 10_000))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork(s3: str) -> None:
    """A child that was forked from a process that used a bucket uses it too, and both go on."""
    store = BucketStore("s3", "models", s3.removeprefix("s3://models/"))
    store.create("models/eta/versions/1.json", b"{}")
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_forked, args=(store, there))
    process.start()
    assert here.poll(60)
    assert here.recv() == store.get("models/eta/versions/1.json", 10_000)
    process.join()


@pytest.mark.seeds(1, sweep=10)
def test_clients_that_are_killed(seed: int, s3: str) -> None:
    """Writers whose clients are killed at any moment push again: each package gets one version, without a gap."""
    chance = random.Random(seed)
    packages = [make(str(number)) for number in range(6)]
    is_done = threading.Event()
    repositories = [Repository.open(s3), Repository.open(s3)]

    def kill() -> None:
        for _ in range(40):
            if is_done.wait(chance.uniform(0.01, 0.15)):
                return
            client = chance.choice(repositories)._store._bucket._process  # type: ignore[attr-defined]
            if client is not None:
                client.kill()

    def write(repository: Repository, order: list[Package]) -> None:
        for package in order:
            until_s = time.monotonic() + 60
            while time.monotonic() < until_s:
                try:
                    repository.push(package)
                    break
                except RepositoryError as error:
                    refusals.append(str(error))

    refusals: list[str] = []
    killer = threading.Thread(target=kill)
    writers = [
        threading.Thread(target=write, args=(repository, chance.sample(packages, len(packages))))
        for repository in repositories
    ]
    for thread in (killer, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    is_done.set()
    killer.join()
    (model,) = Repository.open(s3).models()
    assert [version.version for version in model.versions] == list(range(1, len(packages) + 1))
    assert {version.digest for version in model.versions} == {package.digest for package in packages}
    assert any("ended (SIGKILL)" in refusal for refusal in refusals)
