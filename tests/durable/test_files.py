"""Files that survive a crash, and locks: killed, refused and locked for real."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fourfold.durable.files import (
    create_file,
    hold_lock,
    make_folder,
    sync_file,
    sync_folder,
    take_lock,
    temporary_file,
    temporary_path,
    unlock_and_remove,
    write_file,
)

NEW = b"new" * 100_000

#: Writes the file argv[1]; killed at the start of the n-th call of a function of `os`: argv[3] is `function:n`.
KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from fourfold.durable.files import write_file
path, (function, left) = Path(sys.argv[1]), sys.argv[3].split(":")
left, original = int(left), getattr(os, function)
def killing(*arguments):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
setattr(os, function, killing)
write_file(path, b"new" * 100_000, path.with_name("temporary"), replace=sys.argv[2] == "replace")
"""

#: Takes the lock of the file argv[1] if it is free, says so, and holds it until its input ends.
LOCKING_PROCESS = """
import sys
from pathlib import Path
from fourfold.durable.files import take_lock
print("free" if take_lock(Path(sys.argv[1])) is not None else "taken", flush=True)
sys.stdin.read()
"""

#: Creates the file argv[1] where no file may be longer than 2,000 bytes.
WRITER_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from fourfold.durable.files import create_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    create_file(Path(sys.argv[1]), b"x" * 10_000)
except OSError as error:
    print(error.strerror)
"""


def start(program: str, *arguments: object, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a program in a Python process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True)


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return [path.name for path in folder.iterdir()]


def lock_state(path: Path) -> str:
    """Ask a second process whether it can take a lock: `free` or `taken`."""
    with start(LOCKING_PROCESS, path) as process:
        return process.communicate()[0].strip()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("call", "is_written"), [("fsync:1", False), ("replace:1", False), ("fsync:2", True), ("unlink:1", True)]
)
def test_killed_while_replacing(tmp_path: Path, call: str, is_written: bool) -> None:
    """A writer killed at any step leaves the old file or the new one, complete."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with start(KILLED_WRITER, path, "replace", call) as process:
        assert process.wait() == -signal.SIGKILL
    assert path.read_bytes() == (NEW if is_written else b"old")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("call", "is_written"), [("fsync:1", False), ("link:1", False), ("unlink:1", True), ("fsync:2", True)]
)
def test_killed_while_creating(tmp_path: Path, call: str, is_written: bool) -> None:
    """A writer killed at any step leaves no file or the complete one."""
    path = tmp_path / "file"
    with start(KILLED_WRITER, path, "create", call) as process:
        assert process.wait() == -signal.SIGKILL
    assert (path.read_bytes() if path.exists() else None) == (NEW if is_written else None)


@pytest.mark.parametrize("replace", [False, True])
def test_bytes_are_synced_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool) -> None:
    """The file is synced before it gets its name, and its folder afterwards."""
    steps = []
    fsync, link, rename = os.fsync, os.link, os.replace

    def record_fsync(handle: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        fsync(handle)

    def record(call: Callable[..., None]) -> Callable[..., None]:
        def recording(*paths: Path) -> None:
            steps.append("name")
            call(*paths)

        return recording

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "link", record(link))
    monkeypatch.setattr(os, "replace", record(rename))
    write_file(tmp_path / "file", b"data", tmp_path / "temporary", replace=replace)
    assert steps == ["sync file", "name", "sync folder"]


def test_written_as_the_umask_says(tmp_path: Path) -> None:
    """A file holds its bytes, has the permissions that the umask allows, and leaves no temporary file."""
    mask = os.umask(0o027)
    try:
        write_file(tmp_path / "file", b"data", temporary_path(tmp_path / "file"), replace=False)
    finally:
        os.umask(mask)
    assert (tmp_path / "file").read_bytes() == b"data"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["file"]


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    """Without `replace` an existing file is an error and stays; an existing temporary file is never written."""
    path = tmp_path / "file"
    write_file(path, b"old", tmp_path / "temporary", replace=False)
    with pytest.raises(FileExistsError):
        write_file(path, b"new", tmp_path / "temporary", replace=False)
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["file"])
    (tmp_path / "temporary").write_bytes(b"another's")
    with pytest.raises(FileExistsError):
        write_file(path, b"new", tmp_path / "temporary", replace=True)
    assert (path.read_bytes(), (tmp_path / "temporary").read_bytes()) == (b"old", b"another's")
    with pytest.raises(FileExistsError):
        create_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_failing_sync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that do not reach the disk never get a name; a device that cannot sync says so."""
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        sync_file(Path(os.devnull))
    (tmp_path / "file").write_bytes(b"old")

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_file(tmp_path / "file", b"new", tmp_path / "temporary", replace=True)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_folder(tmp_path)
    assert ((tmp_path / "file").read_bytes(), names(tmp_path)) == (b"old", ["file"])


@pytest.mark.faults
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A file that the system cuts short is removed."""
    with start(WRITER_ON_A_FULL_DISK, tmp_path / "file") as process:
        assert process.communicate()[0] == os.strerror(errno.EFBIG) + "\n"
    assert names(tmp_path) == []


def test_a_temporary_file_is_removed(tmp_path: Path) -> None:
    """A temporary file is there for the block only, also where the block fails."""
    path = tmp_path / "temporary"
    with temporary_file(path, b"data"):
        assert path.read_bytes() == b"data"
    assert not path.exists()
    with pytest.raises(ValueError, match="stop"), temporary_file(path, b"data"):
        raise ValueError("stop")
    assert not path.exists()


def test_folders_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing parents are made too, and each folder that got a new name is synced; existing ones are left alone."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_a_second_process_cannot_take_a_lock(tmp_path: Path) -> None:
    """A lock excludes other processes until it is freed, and its file is then gone."""
    path = tmp_path / "lock"
    handle = take_lock(path)
    assert handle is not None
    assert lock_state(path) == "taken"
    assert take_lock(path) is None
    unlock_and_remove(handle, path)
    assert not path.exists()
    assert lock_state(path) == "free"


@pytest.mark.faults
def test_a_killed_holder_frees_its_lock(tmp_path: Path) -> None:
    """The lock of a process that is killed is free."""
    path = tmp_path / "lock"
    with start(LOCKING_PROCESS, path, stdin=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "free\n"
        assert take_lock(path) is None
        holder.kill()
        assert holder.wait() == -signal.SIGKILL
    assert lock_state(path) == "free"


def test_a_removed_lock_file_excludes_nobody(tmp_path: Path) -> None:
    """Whoever waited for a lock whose file was removed gets the lock of a new file."""
    path = tmp_path / "lock"
    first = take_lock(path)
    assert first is not None
    taken: list[int | None] = []
    waiting = threading.Thread(target=lambda: taken.append(take_lock(path, wait=True)))
    waiting.start()
    unlock_and_remove(first, path)
    waiting.join()
    assert taken[0] is not None
    assert os.path.samestat(os.fstat(taken[0]), path.stat())
    assert lock_state(path) == "taken"
    os.close(taken[0])


def test_threads_wait_for_each_other(tmp_path: Path) -> None:
    """Of threads that lock one file, one at a time is in the block."""
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with hold_lock(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)
    assert (tmp_path / "lock").exists()
