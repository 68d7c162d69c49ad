"""Stores that lie: servers that announce, send, drip or redirect, and folders that hold what no repository wrote."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fourfold.buckets import settings
from fourfold.errors import CorruptPackage, FourfoldError, RepositoryError
from fourfold.package import Package
from fourfold.repository import Repository, bucket, folder
from fourfold.repository.cache import Cache
from fourfold.repository.records import Version, blob_key
from tests.package import sample
from tests.repository.hostile_server import Answer, HostileServer, head
from tests.repository.writers import make

#: Verifies the package argv[2] of the repository argv[1]; prints the error, and the memory that it took in MB.
READER = """
import sys
from fourfold.errors import FourfoldError
from fourfold.repository import Repository
from fourfold.process_memory import peak_memory_bytes
try:
    Repository.open(sys.argv[1]).pull(sys.argv[2]).verify()
except FourfoldError as error:
    print(type(error).__name__, error)
print(peak_memory_bytes() >> 20)
"""


def run_reader(location: str, reference: str, **environment: str) -> tuple[str, int]:
    """Return the error of a process that reads a package, and the memory that it took, in megabytes."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", READER, location, reference],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    error, megabytes = done.stdout.splitlines()
    return error, int(megabytes)


@pytest.mark.parametrize("reference", ["eta@production", "eta:1", "eta@sha256:" + "0" * 64])
def test_an_answer_of_a_tebibyte(serve: Callable[[Answer], HostileServer], reference: str) -> None:
    """A record, or a manifest, of which a tebibyte is announced is an error, and not the end of the process."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 2**40)
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            handler.wfile.write(b" " * 2**20)

    serve(answer)
    error, megabytes = run_reader("s3://models/deep", reference)
    assert "1,099,511,627,776 bytes by the store's answer; expected at most" in error
    assert megabytes < 500


def test_a_blob_that_is_longer_than_its_manifest_says(
    serve: Callable[[Answer], HostileServer], package: Package
) -> None:
    """A file is asked for and read no further than its manifest says."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(package.digest[7:]):
            head(handler, len(package.manifest_bytes))
            handler.wfile.write(package.manifest_bytes)
        else:
            head(handler, 2**33)
            while True:
                handler.wfile.write(b" " * 2**20)

    serve(answer)
    error, megabytes = run_reader("s3://models/deep", f"{package.name}@{package.digest}")
    assert error.startswith("CorruptPackage")
    assert "8,589,934,592 bytes by the store's answer" in error
    assert megabytes < 500


def _too_little(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 100)
    handler.wfile.write(b"{}")


def _no_length(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("ETag", '"tag"')
    handler.send_header("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")


def _a_negative_length(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, -1)


def _two_lengths(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 2, 200, **{"content-length": "3"})
    handler.wfile.write(b"{}x")


def _other_bytes(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 4)
    handler.wfile.write(b"\x00\x1b[2")


def _no_http(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n" * 1000)


def _another_range(handler: http.server.BaseHTTPRequestHandler) -> None:
    head(handler, 2, 206, **{"Content-Range": "bytes 0-1099511627775/1099511627776"})
    handler.wfile.write(b"{}")


LIES = {
    "too little": _too_little,
    "no length": _no_length,
    "a negative length": _a_negative_length,
    "two lengths": _two_lengths,
    "other bytes": _other_bytes,
    "no HTTP": _no_http,
    "another range": _another_range,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies(
    serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """An answer that is not what it says is an error of the repository, in one line that a terminal can show."""
    monkeypatch.setattr(settings, "MAX_RETRIES", 1)
    serve(LIES[lie])
    with pytest.raises(RepositoryError) as caught:
        Repository.open("s3://models/deep").resolve("eta@production")
    assert str(caught.value).isprintable()
    assert "test-secret-key" not in str(caught.value)


def test_a_server_that_drips(serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes byte by byte is given up, with the bytes that came and the time that they had."""
    monkeypatch.setattr(bucket, "ANSWER_TIMEOUT_S", 0.2)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 4000)
        for _ in range(4000):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    serve(answer)
    with pytest.raises(RepositoryError, match=r"only \d+ of 4,000 bytes came in 0\.2 s"):
        Repository.open("s3://models/deep").resolve("eta@production")


def test_a_server_that_falls_silent(serve: Callable[[Answer], HostileServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stops in the middle of an answer is given up after a time without a byte."""
    monkeypatch.setattr(settings, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(settings, "MAX_RETRIES", 0)
    done = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 4000)
        handler.wfile.write(b" ")
        handler.wfile.flush()
        done.wait()

    serve(answer)
    try:
        with pytest.raises(RepositoryError, match=r"production\.json"):
            Repository.open("s3://models/deep").resolve("eta@production")
    finally:
        done.set()


def test_a_listing_that_repeats_a_key(serve: Callable[[Answer], HostileServer]) -> None:
    """A version that is listed three times is one version."""
    record = Version(1, "sha256:" + "0" * 64).encode()
    key = "deep/models/eta/versions/1.json"
    entry = f"<Contents><Key>{key}</Key><LastModified>2026-11-30T10:00:00Z</LastModified><Size>90</Size></Contents>"
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry * 3}</ListBucketResult>".encode()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        data = record if handler.path.endswith("1.json") else page
        head(handler, len(data))
        handler.wfile.write(data)

    serve(answer)
    (model,) = Repository.open("s3://models/deep").models()
    assert [version.version for version in model.versions] == [1]


def test_a_redirect_carries_no_credentials(serve: Callable[[Answer], HostileServer]) -> None:
    """The client follows a redirect to another host: it sends no signature there, and what comes is verified."""

    def elsewhere(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 2)
        handler.wfile.write(b"{}")

    other = serve(elsewhere)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 0, 302, Location=other.endpoint.replace("127.0.0.1", "localhost") + "/private")

    serve(answer)
    with pytest.raises(CorruptPackage, match=r"expected sha256:0000.*, got sha256:44136fa"):
        Repository.open("s3://models/deep").resolve("eta@sha256:" + "0" * 64)
    ((path, headers),) = other.requests
    assert path == "/private"
    assert not any(name.lower() in ("authorization", "x-amz-security-token") for name in headers)


# ------------------------------------------------------------------ folders


@pytest.fixture
def pushed(tmp_path: Path, package: Package) -> Path:
    """Return a folder repository with one package, version and alias."""
    root = tmp_path / "models"
    repository = Repository.open(root)
    repository.push(package)
    repository.promote("eta:1", "production")
    return root


@pytest.mark.parametrize("reference", ["eta@production", "eta:1"])
def test_a_sparse_file_takes_no_memory(pushed: Path, package: Package, reference: str) -> None:
    """A record, or a manifest, of three gibibytes is refused by its size."""
    record = "models/eta/aliases/production.json" if "@" in reference else blob_key(package.digest)
    os.truncate(pushed / record, 3 * 2**30)
    error, megabytes = run_reader(str(pushed), reference)
    assert f"{record} in {pushed} is damaged: it has 3,221,225,472 bytes; expected at most" in error
    assert megabytes < 500


def _as_pipe(path: Path) -> None:
    os.mkfifo(path)


def _as_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def _as_folder(path: Path) -> None:
    path.mkdir()


def _as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _as_link(path: Path) -> None:
    (path.parents[1] / "secret").write_text("root:x:0:0:")
    path.symlink_to(path.parents[1] / "secret")


def _as_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("form", [_as_pipe, _as_socket, _as_folder, _as_device, _as_link, _as_itself])
@pytest.mark.parametrize("key", ["alias", "version", "manifest", "file"])
def test_what_is_no_file_is_refused(pushed: Path, package: Package, key: str, form: Callable[[Path], None]) -> None:
    """Anything but a regular file in a file's place is refused at once by its name, and nothing of it is shown."""
    blob = blob_key("sha256:" + package.manifest["files"]["golden.json"]["sha256"])
    path = (
        pushed
        / {
            "alias": "models/eta/aliases/production.json",
            "version": "models/eta/versions/1.json",
            "manifest": blob_key(package.digest),
            "file": blob,
        }[key]
    )
    path.unlink()
    form(path)
    with pytest.raises(FourfoldError) as caught:
        Repository.open(pushed).pull("eta@production").verify()
    assert path.name in str(caught.value)
    assert "root:x" not in str(caught.value)


@pytest.mark.parametrize("part", ["models", "models/eta", "models/eta/versions", "blobs", "blobs/sha256", ".writing"])
def test_a_linked_folder_is_not_followed(pushed: Path, tmp_path: Path, part: str) -> None:
    """No file is read or written through a link below the repository; nothing appears where it leads."""
    elsewhere = tmp_path / "elsewhere"
    (pushed / part).rename(elsewhere)
    before = sorted(path.relative_to(elsewhere) for path in elsewhere.rglob("*"))
    (pushed / part).symlink_to(elsewhere)
    with pytest.raises(RepositoryError, match="symbolic link"):
        Repository.open(pushed).push(make("other"))
    assert sorted(path.relative_to(elsewhere) for path in elsewhere.rglob("*")) == before


def test_a_linked_root_is_the_users_own(pushed: Path, tmp_path: Path, package: Package) -> None:
    """The repository itself may be named by a link: whoever names it has chosen it."""
    (tmp_path / "link").symlink_to(pushed)
    assert Repository.open(tmp_path / "link").pull("eta").digest == package.digest
    assert Repository.open(tmp_path / "link").push(make("other")) == 2


def test_a_lock_that_is_a_link(pushed: Path, tmp_path: Path) -> None:
    """A lock file that leads elsewhere makes nothing there."""
    (pushed / ".lock").unlink()
    (pushed / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RepositoryError, match="the lock file is a symbolic link"):
        Repository.open(pushed).promote("eta:1", "staging")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_of_junk_names(pushed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of any kind are passed over, however deep; beyond the limit the listing is refused with it."""
    deep = pushed / "models/eta/versions"
    for level in range(60):
        deep = deep / f"level{level}"
    deep.mkdir(parents=True)
    names = ["\x1b[2J", "-rf", "..json", "1.json.json", "a" * 255, "1.JSON", " 1.json", "é.json", "+1.json"]
    for name in names:
        (pushed / "models/eta/versions" / name).write_bytes(b"junk")
        (pushed / "models" / name).write_bytes(b"junk")
    (pushed / "models" / os.fsdecode(b"\xff\xfe")).mkdir()
    repository = Repository.open(pushed)
    assert [model.name for model in repository.models()] == ["eta"]
    assert repository.push(make("other")) == 2
    monkeypatch.setattr(folder, "MAX_KEYS", 20)
    with pytest.raises(RepositoryError, match="more than 20 files and folders in models/"):
        repository.models()


def test_a_manifest_cannot_ask_for_more_than_there_is(tmp_path: Path) -> None:
    """A manifest that lists a file of an exbibyte takes no memory for it."""
    raw = json.loads(sample.package().manifest_bytes)
    raw["files"]["model.bin"]["size"] = 2**60
    from fourfold.package import canonical_json
    from fourfold.package.manifest import digest_of

    manifest = canonical_json(raw)
    repository = Repository.open(tmp_path)
    repository.push(sample.package())
    store: Any = repository._store
    store.create(blob_key(digest_of(manifest)), manifest)
    store.create("models/sample/versions/2.json", Version(2, digest_of(manifest)).encode())
    with pytest.raises(CorruptPackage, match="expected at most 17,179,869,184, which FOURFOLD_MAX_FILE_BYTES sets"):
        repository.pull("sample:2").verify()


# ------------------------------------------------------------------ the cache


@pytest.mark.parametrize("part", ["blobs", "blobs/sha256", "file"])
def test_the_cache_is_not_followed_through_a_link(tmp_path: Path, part: str) -> None:
    """A link in the cache is neither read, written through nor emptied through."""
    digest = "sha256:" + "0" * 64
    kept = Cache(tmp_path / "cache")
    kept.write(digest, b"kept")
    elsewhere = tmp_path / "elsewhere"
    path = tmp_path / "cache" / (blob_key(digest) if part == "file" else part)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = {found: found.read_bytes() for found in tmp_path.rglob("elsewhere*/**/*") if found.is_file()}
    assert kept.read(digest, 10) is None
    kept.discard(digest)
    kept.write(digest, b"new")
    assert {found: found.read_bytes() for found in tmp_path.rglob("elsewhere*/**/*") if found.is_file()} == before
    if part == "file":
        assert elsewhere.read_bytes() == b"kept"
        assert not path.is_symlink()
        assert kept.read(digest, 10) == b"new"


def test_every_folder_of_the_cache_is_private(tmp_path: Path) -> None:
    """Each folder that is made for the cache is its owner's alone, its parents too, and so is each file."""
    digest = "sha256:" + "0" * 64
    root = tmp_path / "home" / ".cache" / "fourfold"
    mask = os.umask(0)
    try:
        Cache(root).write(digest, b"1")
    finally:
        os.umask(mask)
    made = [tmp_path / "home", *sorted((tmp_path / "home").rglob("*"))]
    assert len(made) == 6
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_what_is_no_copy_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe, or a file that is too long, in a copy's place is not read, and gives way to the next copy."""
    digest = "sha256:" + "0" * 64
    kept = Cache(tmp_path / "cache")
    kept.write(digest, b"kept")
    path = tmp_path / "cache" / blob_key(digest)
    path.unlink()
    os.mkfifo(path)
    assert kept.read(digest, 10) is None
    kept.write(digest, b"new")
    assert kept.read(digest, 10) == b"new"
    os.truncate(path, 2**40)
    assert kept.read(digest, 10) is None
