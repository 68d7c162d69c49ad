"""Locks: taken, refused, waited for and never for ever, between real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fourfold.durable.locks import LOCK_TIMEOUT_VARIABLE, hold_lock, lock_timeout_s, take_lock, unlock_and_remove

#: Takes the lock of the file argv[1] if it is free, says so, and holds it until its input ends.
LOCKING_PROCESS = """
import sys
from pathlib import Path
from fourfold.durable.locks import take_lock
print("free" if take_lock(Path(sys.argv[1])) is not None else "taken", flush=True)
sys.stdin.read()
"""

#: Holds the lock of the file argv[1] as somebody who may only read it, says so, and waits for the end of its input.
READING_HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def start(program: str, *arguments: object, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a program in a Python process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True)


def lock_state(path: Path) -> str:
    """Ask a second process whether it can take a lock: `free` or `taken`."""
    with start(LOCKING_PROCESS, path) as process:
        return process.communicate()[0].strip()


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
    waiting = threading.Thread(target=lambda: taken.append(take_lock(path, timeout_s=30)))
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


def test_a_wait_ends_and_names_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may read the file can hold its lock: the wait ends, and says who has it, how long, and what to do."""
    path = tmp_path / "lock"
    path.touch()
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, "0.05")
    with start(READING_HOLDER, path, stdin=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TimeoutError) as caught, hold_lock(path):
            pytest.fail("two processes hold one lock")
        holder.communicate()
    assert f"process {holder.pid} has held the lock {path} for 0.05 s" in str(caught.value.strerror)
    assert LOCK_TIMEOUT_VARIABLE in str(caught.value.strerror)
    with hold_lock(path):
        assert lock_state(path) == "taken"


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_time_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting is a number of seconds, of a day at most."""
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, text)
    with pytest.raises(OSError, match=LOCK_TIMEOUT_VARIABLE):
        lock_timeout_s()


@pytest.mark.parametrize(("folder_mode", "mode"), [(0o755, 0o600), (0o775, 0o660), (0o777, 0o666), (0o700, 0o600)])
def test_only_writers_can_open_a_lock_file(tmp_path: Path, folder_mode: int, mode: int) -> None:
    """Whoever may write to the folder may open its lock file, and nobody else; an old file is put right."""
    tmp_path.chmod(folder_mode)
    (tmp_path / "old").touch(0o644)
    for name in ("new", "old"):
        with hold_lock(tmp_path / name):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_a_lock_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """A link is not followed, a named pipe not waited for, and nothing is made elsewhere."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link") as caught, hold_lock(tmp_path / "link"):
        pytest.fail("a link was followed")
    assert caught.value.errno == errno.ELOOP
    assert not (tmp_path / "elsewhere").exists()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="got a named pipe"), hold_lock(tmp_path / "pipe"):
        pytest.fail("a pipe was locked")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError), hold_lock(tmp_path / "folder"):
        pytest.fail("a folder was locked")


def test_a_file_that_is_removed_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever removes the lock file each time that it is opened cannot make a writer wait for ever."""
    path = tmp_path / "lock"
    original = fcntl.flock

    def remove_and_lock(handle: int, operation: int) -> None:
        path.unlink(missing_ok=True)
        original(handle, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    assert take_lock(path, timeout_s=0.05) is None
