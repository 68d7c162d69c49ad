"""Files that cannot be read or written."""

from __future__ import annotations

import errno
import io
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fourfold.codecs import FORMATS, by_name, by_suffix
from fourfold.codecs.files import Sink, TableWriter, open_source
from fourfold.errors import SinkError, SourceError
from tests.codecs.tables import small

EVERY = pytest.mark.parametrize("name", sorted(FORMATS))


@EVERY
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    """A file that is missing, a folder, or lies below a file, is a `SourceError` with the path and the reason."""
    (tmp_path / "file").write_bytes(b"")
    codec = by_name(name)
    for path, reason in (
        ("missing", "No such file"),
        (".", "directory"),
        ("file/below", "Not a directory"),
        ("\0", "null"),
    ):
        with pytest.raises(SourceError, match=f"cannot be read: .*{reason}"):
            list(codec.read(tmp_path / path, small()[0]))
        if name not in ("json", "json-lines"):  # those have no header to read
            with pytest.raises(SourceError, match="cannot be read"):
                codec.names(tmp_path / path)


def test_reading_that_fails_midway(tmp_path: Path) -> None:
    """A file that fails while it is read is a `SourceError` too."""
    (tmp_path / "t").write_bytes(b"")
    with pytest.raises(SourceError, match="t cannot be read: Input/output error"), open_source(tmp_path / "t"):
        raise OSError(errno.EIO, "Input/output error")


@EVERY
def test_files_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    """A folder that is missing, or a folder in the file's place, is a `SinkError` with the path and the reason."""
    codec = by_name(name)
    for path in ("missing/t", "."):
        with pytest.raises(SinkError, match="cannot be written"):
            codec.Writer(tmp_path / path, small()[0])


@EVERY
@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_disk_that_takes_no_more(name: str, rows: int, tmp_path: Path) -> None:
    """A disk that is full is a `SinkError`, whenever the system notices, and nothing else follows from it."""
    fields, batch = small(rows)
    codec = by_name(name)
    with (
        _no_room(),
        pytest.raises(SinkError, match="t cannot be written: File too large"),
        codec.Writer(tmp_path / "t", fields) as writer,
    ):
        writer.write(batch)


@contextmanager
def _no_room(most: int = 8) -> Iterator[None]:
    """No file can be made longer than `most` bytes: a full disk, on a system that only has this limit to offer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@EVERY
def test_an_aborted_file_is_no_table(name: str, tmp_path: Path) -> None:
    """A writer whose block raises closes its file without the format's end, and the error stays what it was."""
    fields, batch = small()
    codec = by_name(name)
    path = tmp_path / "t"
    with pytest.raises(ZeroDivisionError):
        _fail(codec.Writer(path, fields), batch)
    path.unlink()
    with codec.Writer(path, fields) as writer:
        writer.write(batch)
        writer.close()
        writer.close()
    whole = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        _fail(codec.Writer(path, fields), batch)
    if name not in ("csv", "json-lines"):  # formats without an end
        assert path.read_bytes() != whole


def _fail(writer: TableWriter, batch: object) -> None:
    with writer:
        writer.write(batch)
        raise ZeroDivisionError


@EVERY
def test_a_table_that_does_not_fit_leaves_no_whole_file(name: str, tmp_path: Path) -> None:
    """A table that lacks a column is a `SinkError`, also on a writer that has written before."""
    fields, batch = small()
    writer = by_name(name).Writer(tmp_path / "t", fields)
    writer.write(batch)
    with pytest.raises(SinkError, match="no column 's'"):
        writer.write(batch.select(["n", "x"]))
    writer.abort()
    writer.abort()


def test_a_raw_file_that_takes_a_part() -> None:
    """A file that takes less than it was given is given the rest."""

    class Slow(io.RawIOBase):
        taken = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.taken += bytes(data)[:3]  # type: ignore[call-overload]
            return min(3, len(bytes(data)))  # type: ignore[call-overload]

    slow = Slow()
    sink = Sink(slow)  # type: ignore[arg-type]
    assert sink.write(b"0123456789") == 10
    assert slow.taken == b"0123456789"
    assert sink.tell() == 10


def test_a_closed_file_is_a_sink_error() -> None:
    """A file that somebody closed is a `SinkError`."""
    file = io.BytesIO()
    sink = Sink(file)
    file.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(b"x")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "arrow", "arrows", "parquet"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, suffix: str) -> None:
    """Rows are not read from a named pipe, on which nobody may ever write, nor from a device without an end."""
    pipe, device = tmp_path / f"pipe.{suffix}", tmp_path / f"device.{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path, kind in ((pipe, "a named pipe"), (device, "a device")):
        with pytest.raises(SourceError, match=f"{path} cannot be read: expected a file, got {kind}"):
            list(by_suffix(path).read(path, None, 10))
