"""Files of strangers: only regular ones are read, and none beyond its limit."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fourfold.durable.reading import (
    MAX_FILE_BYTES,
    MAX_FILE_VARIABLE,
    check_no_links,
    max_file_bytes,
    open_file,
    read_file,
)

#: Reads the file argv[1] with a limit of argv[2] bytes; prints the error and the memory it took, in megabytes.
READER = """
import sys
from fourfold.durable.reading import read_file
from fourfold.process_memory import peak_memory_bytes
try:
    print(len(read_file(sys.argv[1], int(sys.argv[2]))))
except OSError as error:
    print(error.strerror)
print(peak_memory_bytes() >> 20)
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    """A regular file of the most bytes that it may have is read whole, also through a link where that may be."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "file", 5) == b"12345"
    assert read_file(tmp_path / "link") == b"12345"
    with open_file(tmp_path / "file") as file:
        assert file.read() == b"12345"
    with pytest.raises(OSError, match="got a symbolic link") as caught:
        read_file(tmp_path / "link", follow=False)
    assert caught.value.errno == errno.ELOOP


def test_a_longer_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how long the file is, what the limit is, and which setting raises it where one does."""
    (tmp_path / "file").write_bytes(b"123456")
    with pytest.raises(OSError, match=r"it has 6 bytes; expected at most 5: ") as caught:
        read_file(tmp_path / "file", 5)
    assert caught.value.errno == errno.EFBIG
    monkeypatch.setenv(MAX_FILE_VARIABLE, "5")
    with pytest.raises(OSError, match=f"expected at most 5, which {MAX_FILE_VARIABLE} sets"):
        read_file(tmp_path / "file")


def test_a_sparse_file_takes_no_memory(tmp_path: Path) -> None:
    """Two tebibytes that take no room where they lie are refused before they take any elsewhere."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**41)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "file"), "4096"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    )
    reason, megabytes = done.stdout.splitlines()
    assert "2,199,023,255,552 bytes" in reason
    assert int(megabytes) < 500


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A named pipe that nobody writes to, a device without an end, a socket and a folder: none is opened."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    kinds = {tmp_path / "pipe": "a named pipe", tmp_path / "link": "a device"}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path, kind in {**kinds, tmp_path / "socket": "a socket"}.items():
            with pytest.raises(OSError, match=f"expected a file, got {kind}"):
                read_file(path)
            with pytest.raises(OSError, match=f"expected a file, got {kind}"), open_file(path):
                pytest.fail("it was opened")
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        read_file(tmp_path)


def test_what_changes_between_the_look_and_the_opening_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named pipe that takes a file's place at the last moment is neither waited for nor read."""
    path = tmp_path / "file"
    path.write_bytes(b"file")
    original = Path.stat

    def look(looked_at: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = original(looked_at, follow_symlinks=follow_symlinks)
        path.unlink()
        os.mkfifo(path)
        return status

    monkeypatch.setattr(Path, "stat", look)
    with pytest.raises(OSError, match="got a named pipe"):
        read_file(path)


def test_no_handle_stays_open(tmp_path: Path) -> None:
    """A refused file is closed."""
    (tmp_path / "file").write_bytes(b"123456")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(OSError, match="expected at most"):
            read_file(tmp_path / "file", 5)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_links_below_a_root_are_noticed(tmp_path: Path) -> None:
    """A link in any part of a path is named; the root itself may be one, and what does not exist is none."""
    (tmp_path / "real" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root").symlink_to("real")
    check_no_links(tmp_path / "root", tmp_path / "root" / "a" / "b" / "c")
    (tmp_path / "real" / "linked").symlink_to("a")
    with pytest.raises(OSError, match="symbolic link") as caught:
        check_no_links(tmp_path / "root", tmp_path / "root" / "linked" / "b")
    assert caught.value.filename == str(tmp_path / "root" / "linked")


def test_the_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment may say another number of bytes, and nothing else."""
    assert max_file_bytes() == MAX_FILE_BYTES
    monkeypatch.setenv(MAX_FILE_VARIABLE, "12")
    assert max_file_bytes() == 12
    for text in ("many", "-1", "1.5", "9" * 30):
        monkeypatch.setenv(MAX_FILE_VARIABLE, text)
        with pytest.raises(OSError, match=MAX_FILE_VARIABLE):
            max_file_bytes()
