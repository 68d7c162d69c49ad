from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fourfold.errors import NotFound, RepositoryError
from fourfold.repository import Repository
from fourfold.repository.folder import FolderStore
from tests.repository import writers
from tests.repository.writers import make

SPAWN = multiprocessing.get_context("spawn")


def test_layout(tmp_path: Path) -> None:
    """The folder holds exactly what the documented layout says, readable to whom the umask allows."""
    package = make()
    repository = Repository.open(tmp_path / "a" / "b")
    repository.push(package)
    repository.promote("eta", "production")
    files = {path.relative_to(tmp_path / "a/b").as_posix() for path in (tmp_path / "a/b").rglob("*") if path.is_file()}
    digests = [package.digest[7:], *(entry["sha256"] for entry in package.manifest["files"].values())]
    assert files == {
        ".lock",
        "probe.json",
        "models/eta/versions/1.json",
        "models/eta/aliases/production.json",
        "models/eta/moves/production.json",
        *(f"blobs/sha256/{digest}" for digest in digests),
    }
    record = tmp_path / "a/b/models/eta/versions/1.json"
    assert record.read_text() == f'{{"digest":"{package.digest}","version":1}}'
    alias = json.loads((tmp_path / "a/b/models/eta/aliases/production.json").read_text())
    assert alias == {"digest": package.digest, "version": 1, "token": alias["token"]}
    mask = os.umask(0)
    os.umask(mask)
    assert record.stat().st_mode & 0o777 == 0o666 & ~mask


def test_nothing_there(tmp_path: Path) -> None:
    """Reading makes nothing, and says that the folder is missing, or none."""
    with pytest.raises(NotFound, match=r"no repository at .*nowhere: no such folder"):
        Repository.open(tmp_path / "nowhere").resolve("eta")
    with pytest.raises(NotFound, match="no such folder"):
        Repository.open(tmp_path / "nowhere").models()
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFound, match="it is not a folder"):
        Repository.open(tmp_path / "file").resolve("eta")
    with pytest.raises(RepositoryError, match=r"cannot write probe.json in .*file"):
        Repository.open(tmp_path / "file").push(make())


def test_leftovers_do_not_matter(tmp_path: Path) -> None:
    """What a killed writer leaves behind is read by nobody."""
    repository = Repository.open(tmp_path)
    repository.push(make("a"))
    (tmp_path / ".writing" / "1-dead").write_bytes(b'{"digest":')
    assert repository.push(make("b")) == 2
    assert [model.name for model in repository.models()] == ["eta"]


def test_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links cannot decide who was first, and says so."""

    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(RepositoryError, match="its file system has no hard links"):
        Repository.open(tmp_path).push(make())
    assert list((tmp_path / ".writing").iterdir()) == []


@pytest.mark.faults
def test_a_full_disk(tmp_path: Path) -> None:
    """A write that the system cuts short leaves nothing under its key, and the next push completes the package."""
    script = (
        "import resource, signal, sys\n"
        "from fourfold.errors import RepositoryError\n"
        "from tests.repository.writers import make\n"
        "from fourfold.repository import Repository\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    Repository.open(sys.argv[1]).push(make('a' * 10_000))\n"
        "except RepositoryError as error:\n"
        "    sys.exit(str(error))\n"
    )

    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "repository")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    repository = Repository.open(tmp_path / "repository")
    assert list(repository._store.keys("blobs/")) == []
    assert list((tmp_path / "repository/.writing").iterdir()) == []
    assert repository.push(make("a" * 10_000)) == 1


def test_processes_claim_versions(tmp_path: Path) -> None:
    """Of eight processes that push and promote at once, each package gets one version, none is lost or doubled, and the
    alias always names a whole version.
    """
    count, per = 8, 12
    pipes = [SPAWN.Pipe() for _ in range(count)]
    processes = [
        SPAWN.Process(target=writers.push_many, args=(tmp_path, who, per, there))
        for who, (_, there) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for here, _ in pipes:
        here.send("go")
    reader = Repository.open(tmp_path)
    while not all(here.poll() for here, _ in pipes):
        try:
            now = reader.resolve("eta@production")
        except NotFound:
            continue
        assert reader.resolve(f"eta:{now.version}").digest == now.digest
    results = [here.recv() for here, _ in pipes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    shared = {result[0] for result in results}
    own = [version for result in results for version in result[1]]
    assert len(shared) == 1
    assert sorted([*shared, *own]) == list(range(1, count * per + 2))
    versions = {version.version: version.digest for version in Repository.open(tmp_path).model("eta").versions}
    for who, result in enumerate(results):
        for index, version in enumerate(result[1]):
            assert versions[version] == make(f"{who}-{index}").digest
    assert sum(result[2] + result[3] for result in results) == count * per


def test_processes_move_one_alias(tmp_path: Path) -> None:
    """Of eight processes that each move an alias one on, no move is lost: it ends as far on as there were moves."""
    count, steps = 8, 12
    repository = Repository.open(tmp_path)
    for content in range(count * steps + 1):
        repository.push(make(str(content)))
    repository.promote("eta:1", "counter")
    pipes = [SPAWN.Pipe() for _ in range(count)]
    processes = [SPAWN.Process(target=writers.count_up, args=(tmp_path, steps, there)) for _, there in pipes]
    for process in processes:
        process.start()
    for here, _ in pipes:
        here.send("go")
    for here, _ in pipes:
        here.recv()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert repository.resolve("eta@counter").version == count * steps + 1


@pytest.mark.faults
def test_killed_writers(tmp_path: Path) -> None:
    """Writers that are killed at any moment leave no record torn, no version without its package, and no lock."""
    repository = Repository.open(tmp_path)
    repository.push(make("first"))
    repository.promote("eta", "production")
    for who in range(8):
        here, there = SPAWN.Pipe()
        process = SPAWN.Process(target=writers.write_for_ever, args=(tmp_path, who, there))
        process.start()
        here.recv()
        newest = repository.resolve("eta").version or 0
        # Not after a time but after some work: the moment within it differs from round to round.
        while (repository.resolve("eta").version or 0) < newest + 1 + who:
            now = Repository.open(tmp_path).resolve("eta@production")
            assert repository.resolve(f"eta:{now.version}").digest == now.digest
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        model = Repository.open(tmp_path).model("eta")
        assert [version.version for version in model.versions] == list(range(1, len(model.versions) + 1))
        for record in (*model.versions[-3:], model.aliases["production"]):
            Repository.open(tmp_path).pull(f"eta:{record.version}").verify()
    version = repository.push(make("last"))
    assert repository.promote(f"eta:{version}", "production").version == version


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    """The lock of compare-and-swap holds between the threads of one store too."""
    store = FolderStore(tmp_path)
    store.create("count", b"0")
    start = threading.Barrier(6)

    def work(_: int) -> None:
        start.wait()
        done = 0
        while done < 10:
            content = store.get("count", 10_000)
            assert content is not None
            try:
                store.replace("count", str(int(content[0]) + 1).encode(), content[1])
                done += 1
            except RepositoryError:
                continue

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    content = store.get("count", 10_000)
    assert content is not None
    assert content[0] == b"60"


def test_a_lock_that_a_reader_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may only read cannot open the lock; and whoever holds it stops a promotion with a message, not for ever."""
    repository = Repository.open(tmp_path / "a")
    repository.push(make())
    repository.promote("eta:1", "production")
    assert (tmp_path / "a/.lock").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("FOURFOLD_LOCK_TIMEOUT_S", "0.1")
    handle = os.open(tmp_path / "a/.lock", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(RepositoryError, match=rf"process {os.getpid()} has held the lock .*/\.lock for 0\.1 s"):
        Repository.open(tmp_path / "a").promote("eta:1", "staging")
    os.close(handle)
    assert Repository.open(tmp_path / "a").promote("eta:1", "staging").version == 1
    assert list((tmp_path / "a/.writing").iterdir()) == []
