"""Write and read the single-file form: a zip of which one package has exactly one (docs/spec/package.md, section 6).

Nothing in it is free: the manifest fixes the members, their order and sizes, and so every byte but the checksums of the
contents, which are verified when a member is read. So a reader computes what must be there and compares, and a package
cannot hide anything beside, between or behind its members. Members are read by position; nothing is ever extracted.
"""

from __future__ import annotations

import os
import struct
import threading
import weakref
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from fourfold.durable.reading import MAX_FILE_VARIABLE, max_file_bytes, open_handle
from fourfold.errors import CorruptPackage, shorten
from fourfold.package.manifest import MANIFEST, MAX_MANIFEST_BYTES

__all__ = ["Archive", "archive_chunks"]

# The largest size or offset that is written without the zip64 extension, as Python's own zipfile has it.
ZIP64_LIMIT = 2**31 - 1
_UINT32_MAX = 2**32 - 1
_VERSION, _VERSION_ZIP64 = 20, 45
_UNIX = 3
_DATE = 1 << 5 | 1  # 1980-01-01, the earliest date that a zip can hold, at 00:00:00
_ATTRIBUTES = 0o644 << 16

# signature, version, flags, method, time, date, CRC, packed size, size, length of the name, length of the extra field
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
# signature, versions made by (two bytes) and needed, flags, method, time, date, CRC, packed size, size, lengths of the
# name, the extra field and the comment, disk, internal and external attributes, offset
_CENTRAL = struct.Struct("<4sBBHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")
_END_ZIP64 = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR_ZIP64 = struct.Struct("<4sLQL")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02"

_SEEK_LOCK = threading.Lock()

#: What the fields of a local header must be, by their index, and what another value means.
_MEANINGS = {
    1: "needs another version of zip",
    2: "is encrypted, has a data descriptor or another flag",
    3: "is compressed; a package stores its members as they are",
    4: "has a time; all members are dated 1980-01-01 00:00:00",
    5: "has a date; all members are dated 1980-01-01 00:00:00",
}


def archive_chunks(contents: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the bytes of a package's file, in order.

    Args:
        contents: its members: the manifest first, then the files in the order of their names.
    """
    directory, offset = [], 0
    for name, data in contents.items():
        checksum = zlib.crc32(data)
        header = _local_header(name, len(data), checksum)
        directory.append(_central_entry(name, len(data), checksum, offset))
        yield header
        yield data
        offset += len(header) + len(data)
    yield _ending(directory, offset)


class Archive:
    """Read a package's file, which stays open until the last reference to this object is gone.

    Whatever happens to the path meanwhile, the members are those of the file that was opened.

    Args:
        path: the file.

    Attributes:
        manifest: the bytes of the manifest. Call `check_members` with what it lists before any other member is read.

    Raises:
        OSError: the file cannot be read, or is no regular file.
        CorruptPackage: it does not begin with a package's manifest.
    """

    def __init__(self, path: Path) -> None:
        self._handle = open_handle(path)
        self._close = weakref.finalize(self, os.close, self._handle)
        self._size = os.fstat(self._handle).st_size
        #: The offset of each member's content, its size and its checksum.
        self._members: dict[str, tuple[int, int, int]] = {}
        size = self._manifest_size()
        self._offset = 0
        self._checksums: list[int] = []
        self._append(MANIFEST, size)
        self.manifest = self.read(MANIFEST)

    def _manifest_size(self) -> int:
        head = self._bytes_at(0, _LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(_LOCAL_SIGNATURE):
            raise CorruptPackage(
                f"expected a package; got {self._size:,} bytes that are no whole zip: it does not begin with the "
                "header of a member"
            )
        size = int(_LOCAL.unpack(head)[8])
        name = self._bytes_at(_LOCAL.size, len(MANIFEST))
        if name != MANIFEST.encode():
            raise CorruptPackage(f"the first member is not {MANIFEST}")
        if size > MAX_MANIFEST_BYTES:
            raise CorruptPackage(
                f"the member {MANIFEST} is {size:,} bytes long; expected at most {MAX_MANIFEST_BYTES:,}"
            )
        return size

    def check_members(self, sizes: Mapping[str, int]) -> None:
        """Check that the file holds these members and nothing else, without reading their contents.

        Args:
            sizes: the size of each file that the manifest lists, in bytes.

        Raises:
            OSError: the file cannot be read, or is longer than any may be.
            CorruptPackage: any other byte than a content's is not what it must be.
        """
        limit = max_file_bytes()
        if self._size > limit:
            raise CorruptPackage(
                f"it has {self._size:,} bytes; expected at most {limit:,}, which {MAX_FILE_VARIABLE} sets"
            )
        for name in sorted(sizes):
            self._append(name, sizes[name])
        directory = [
            _central_entry(name, size, checksum, offset - len(_local_header(name, size, checksum)))
            for name, (offset, size, checksum) in self._members.items()
        ]
        expected = _ending(directory, self._offset)
        got = self._bytes_at(self._offset, len(expected))
        if got != expected:
            raise CorruptPackage(self._ending_fault(expected, got))
        behind = self._size - self._offset - len(expected)
        if behind:
            raise CorruptPackage(f"it has {behind:,} bytes behind its end")

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises:
            CorruptPackage: it is cut off, or has another checksum than its header says.
        """
        offset, size, checksum = self._members[name]
        data = self._bytes_at(offset, size)
        if len(data) != size:
            raise CorruptPackage(f"the member {name} is cut off: expected {size:,} bytes, got {len(data):,}")
        if zlib.crc32(data) != checksum:
            raise CorruptPackage(f"the member {name} has another checksum than its header says")
        return data

    def _append(self, name: str, size: int) -> None:
        """Check the header of the next member, and note where its content lies."""
        length = len(_local_header(name, size, 0))
        got = self._bytes_at(self._offset, length)
        checksum = int.from_bytes(got[14:18], "little")
        if got != _local_header(name, size, checksum):
            raise CorruptPackage(self._member_fault(name, size, got))
        start = self._offset + length
        if start + size > self._size:
            left = max(0, self._size - start)
            raise CorruptPackage(f"the member {name} is cut off: expected {size:,} bytes, got {left:,}")
        self._members[name] = (start, size, checksum)
        self._offset = start + size

    def _bytes_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the file, fewer where it ends before."""
        chunks, end = [], min(offset + length, self._size)
        while offset < end:
            chunk = _read_at(self._handle, min(end - offset, 2**30), offset)
            if not chunk:
                break
            chunks.append(chunk)
            offset += len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _member_fault(self, name: str, size: int, got: bytes) -> str:
        """Return what is wrong with the header of a member."""
        if len(got) < _LOCAL.size:
            return f"it is cut off before the member {name}"
        if not got.startswith(_LOCAL_SIGNATURE):
            is_end = got.startswith((_CENTRAL_SIGNATURE, b"PK\x05\x06"))
            return f"it lacks the member {name}" if is_end else f"it has other bytes where the member {name} must begin"
        fields = _LOCAL.unpack(got[: _LOCAL.size])
        raw_name = self._bytes_at(self._offset + _LOCAL.size, min(fields[9], 300))
        if raw_name != name.encode():
            other = raw_name.decode("utf-8", "backslashreplace")
            if other in self._members:
                return f"the member {shorten(other, 120)} is there twice"
            return (
                f"it has the member {shorten(other, 120)} where its manifest lists {name}: a member that the manifest "
                "does not list, or another order than that of the names"
            )
        expected = _LOCAL.unpack(_local_header(name, size, fields[6])[: _LOCAL.size])
        for index, meaning in _MEANINGS.items():
            if fields[index] != expected[index]:
                return f"the member {name} {meaning}"
        if fields[7:9] != expected[7:9]:
            return f"the member {name} is {fields[8]:,} bytes long; its manifest says {size:,}"
        return f"the member {name} has an extra field"

    def _ending_fault(self, expected: bytes, got: bytes) -> str:
        """Return what is wrong behind the last member."""
        if got.startswith(_LOCAL_SIGNATURE):
            length = int.from_bytes(got[26:28], "little")
            raw_name = self._bytes_at(self._offset + _LOCAL.size, min(length, 300))
            other = shorten(raw_name.decode("utf-8", "backslashreplace"), 120)
            twice = raw_name.decode("utf-8", "replace") in self._members
            return (
                f"the member {other} is there twice"
                if twice
                else f"it has a member that its manifest does not list: {other}"
            )
        if len(got) < len(expected):
            return "it is cut off in its directory"
        at = next(index for index, (one, other) in enumerate(zip(expected, got, strict=True)) if one != other)
        if at >= len(expected) - 2:
            return "it has a comment"
        if at >= len(expected) - _END.size:
            return "its end does not agree with its members"
        return (
            f"its directory does not agree with its members, at byte {self._offset + at:,}: a member has other "
            "attributes (a link, a folder), a comment, an extra field or another header than in front of its content"
        )


def _read_at(handle: int, length: int, offset: int) -> bytes:
    """Return bytes of an open file, whatever other threads read of it at the same time."""
    if hasattr(os, "pread"):
        return os.pread(handle, length, offset)
    with _SEEK_LOCK:  # on Windows
        os.lseek(handle, offset, os.SEEK_SET)
        return os.read(handle, length)


def _local_header(name: str, size: int, checksum: int) -> bytes:
    """Return what stands in front of a member's content."""
    extra, version, shown_size = b"", _VERSION, size
    if size > ZIP64_LIMIT:
        extra, version, shown_size = struct.pack("<HHQQ", 1, 16, size, size), _VERSION_ZIP64, _UINT32_MAX
    raw_name = name.encode("ascii")
    lengths = (len(raw_name), len(extra))
    header = _LOCAL.pack(_LOCAL_SIGNATURE, version, 0, 0, 0, _DATE, checksum, shown_size, shown_size, *lengths)
    return header + raw_name + extra


def _central_entry(name: str, size: int, checksum: int, offset: int) -> bytes:
    """Return a member's entry in the directory."""
    large = [size, size] if size > ZIP64_LIMIT else []
    large += [offset] if offset > ZIP64_LIMIT else []
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    version = _VERSION_ZIP64 if large else _VERSION
    shown_size = _UINT32_MAX if size > ZIP64_LIMIT else size
    shown_offset = _UINT32_MAX if offset > ZIP64_LIMIT else offset
    raw_name = name.encode("ascii")
    fixed = (_CENTRAL_SIGNATURE, version, _UNIX, version, 0, 0, 0, _DATE, checksum, shown_size, shown_size)
    lengths = (len(raw_name), len(extra), 0)
    return _CENTRAL.pack(*fixed, *lengths, 0, 0, _ATTRIBUTES, shown_offset) + raw_name + extra


def _ending(directory: list[bytes], offset: int) -> bytes:
    """Return the directory, which begins at `offset`, and the end."""
    entries = b"".join(directory)
    count, size = len(directory), len(entries)
    large = b""
    if offset > ZIP64_LIMIT:
        versions = (_VERSION_ZIP64, _VERSION_ZIP64)
        large = _END_ZIP64.pack(b"PK\x06\x06", 44, *versions, 0, 0, count, count, size, offset)
        large += _LOCATOR_ZIP64.pack(b"PK\x06\x07", 0, offset + size, 1)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, size, min(offset, _UINT32_MAX), 0)
    return entries + large + end
