"""Files that survive a crash: killed and refused for real."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fourfold.durable.files import (
    create_file,
    make_folder,
    make_private_folder,
    sync_file,
    sync_folder,
    temporary_file,
    temporary_path,
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


def test_private_folders_are_private_all_the_way(tmp_path: Path) -> None:
    """Every folder that is made is its owner's alone, the parents too; those that were there stay as they are."""
    (tmp_path / "there").mkdir(mode=0o755)
    mask = os.umask(0)
    try:
        make_private_folder(tmp_path / "there" / "a" / "b")
        make_private_folder(tmp_path / "there" / "a" / "b")
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("there", "there/a", "there/a/b")]
    assert modes == [0o755, 0o700, 0o700]
