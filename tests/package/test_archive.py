"""The single-file form: one package has one file, and nothing hides in it."""

from __future__ import annotations

import io
import os
import random
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fourfold.errors import CorruptPackage, FourfoldError
from fourfold.package import Package, archive, open_package, write_package
from tests.package.sample import FILES, manifest, package

NAMES = ("manifest.json", *sorted(FILES))


def zipped(members: list[tuple[str, bytes]], change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    """Return a zip as Python's own library writes it, of the date and attributes of a package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, data in members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr, info.create_system = 0o644 << 16, 3
            if change is not None and name == "model.bin":
                change(info)
            file.writestr(info, data)
    return buffer.getvalue()


def members_of(whole: Package) -> list[tuple[str, bytes]]:
    """Return the members of a package's file, in their order."""
    return [("manifest.json", whole.manifest_bytes), *((name, whole.read(name)) for name in whole.names)]


def written(path: Path) -> bytes:
    """Return the file of the sample."""
    return write_package(package(), path / "a.fourfold", replace=True).read_bytes()


def test_the_file_is_what_python_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are those of a plain zip, those beyond the limits of the first zips too: any tool can list them."""
    assert written(tmp_path) == zipped(members_of(package()))
    large = Package.build(manifest(), {**FILES, "large.bin": bytes(1500), "z.bin": b"z"})
    for limit in (1000, 2000, 3000):
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
        monkeypatch.setattr(archive, "ZIP64_LIMIT", limit)
        path = write_package(large, tmp_path / f"{limit}.fourfold")
        assert path.read_bytes() == zipped(members_of(large)), limit
        open_package(path).verify()


def test_every_other_byte_is_noticed(tmp_path: Path) -> None:
    """Whichever byte of the file is another, the package is refused, or its digest is another."""
    whole = written(tmp_path)
    path = tmp_path / "changed.fourfold"
    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ (1, 128)[offset % 2]]) + whole[offset + 1 :])
        try:
            opened = open_package(path)
            opened.verify()
        except CorruptPackage:
            continue
        assert opened.digest != package().digest


def test_random_damage_never_escapes(tmp_path: Path) -> None:
    """Bytes that are cut out, put in, or doubled make a refusal: no other error, and no answer as if nothing were."""
    whole, path, chance = written(tmp_path), tmp_path / "changed.fourfold", random.Random(11)
    for _ in range(400):
        start, length = chance.randrange(len(whole)), chance.randrange(1, 40)
        new = chance.choice([b"", chance.randbytes(length), whole[start : start + length] * 2])
        changed = whole[:start] + new + whole[start + length :]
        if changed == whole:
            continue
        path.write_bytes(changed)
        try:
            opened = open_package(path)
            opened.verify()
        except CorruptPackage:
            continue
        assert opened.digest != package().digest


def _encrypt(info: zipfile.ZipInfo) -> None:
    info.flag_bits |= 1


def _compressed(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _with_descriptors(members: list[tuple[str, bytes]]) -> bytes:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("no positions")

    buffer = Pipe()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, data in members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr, info.create_system = 0o644 << 16, 3
            file.writestr(info, data)
    return buffer.getvalue()


def _set(name: str, value: object) -> Callable[[zipfile.ZipInfo], None]:
    return lambda info: setattr(info, name, value)


GOOD = members_of(package())
_LINK = (stat.S_IFLNK | 0o777) << 16


def _lie_in_the_local_header(whole: bytes) -> bytes:
    """Return the zip with another name in front of a member's content than in the directory."""
    return whole.replace(b"model.bin\x00\x01", b"nodel.bin\x00\x01")


#: Files that other readers of zip take for the sample: what is odd, the file, the words of the refusal.
HOSTILE = {
    "a prefix": (b"#!/bin/sh\n" + zipped(GOOD), "no whole zip"),
    "a prefix that every offset counts": (
        zipped(GOOD).replace(b"PK\x03\x04", b"\x00PK\x03\x04", 1),
        "no whole zip",
    ),
    "trailing bytes": (zipped(GOOD) + b"#", "1 bytes behind its end"),
    "a second zip behind": (zipped(GOOD) * 2, "bytes behind its end"),
    "a comment": (zipped(GOOD)[:-2] + b"\x03\x00abc", "a comment"),
    "a member's comment": (zipped(GOOD, _set("comment", b"hello")), "does not agree with its members"),
    "an extra field": (zipped(GOOD, _set("extra", b"\x99\x99\x02\x00hi")), "model.bin has an extra field"),
    "a link's attributes": (zipped(GOOD, _set("external_attr", _LINK)), "a link"),
    "a folder's attributes": (zipped(GOOD, _set("external_attr", 0x10)), "a link, a folder"),
    "another system": (zipped(GOOD, _set("create_system", 0)), "does not agree"),
    "a date": (zipped(GOOD, _set("date_time", (2026, 1, 1, 0, 0, 0))), "model.bin has a date"),
    "a time": (zipped(GOOD, _set("date_time", (1980, 1, 1, 1, 0, 0))), "model.bin has a time"),
    "encryption": (zipped(GOOD).replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01"), "encrypted"),
    "compression": (_compressed(GOOD), "manifest.json is compressed"),
    "data descriptors": (_with_descriptors(GOOD), "descriptor"),
    "a folder": (zipped([*GOOD, ("folder/", b"")]), "does not list: 'folder/'"),
    "a name that leads out": (zipped([*GOOD, ("../../escaped", b"x")]), "does not list"),
    "a member between": (zipped([GOOD[0], ("a.txt", b"x"), *GOOD[1:]]), "does not list"),
    "a member too few": (zipped(GOOD[:-1]), "lacks the member model.bin"),
    "a member too few in the middle": (zipped([*GOOD[:1], *GOOD[2:]]), "manifest lists code/a.py"),
    "another order": (zipped([GOOD[0], *reversed(GOOD[1:])]), "another order"),
    "the manifest last": (zipped([*GOOD[1:], GOOD[0]]), "first member is not manifest.json"),
    "another size": (zipped([*GOOD[:-1], ("model.bin", b"longer than it was")]), "its manifest says 7"),
    "another name in front": (_lie_in_the_local_header(zipped(GOOD)), "nodel.bin"),
    "a hole between": (zipped(GOOD).replace(b"PK\x01\x02", b"\x00PK\x01\x02", 1), "does not agree"),
    "an empty file": (b"", "no whole zip"),
    "an empty zip": (b"PK\x05\x06" + bytes(18), "no whole zip"),
    "a manifest without an end": (
        struct.pack("<4sHHHHHLLLHH", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 2**31 - 1, 2**31 - 1, 13, 0) + b"manifest.json",
        "expected at most 67,108,864",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_zip_that_plays_tricks_is_refused(tmp_path: Path, what: str) -> None:
    """Whatever a zip can hold beside its members is refused with its name, and nothing is written anywhere."""
    data, words = HOSTILE[what]
    path = tmp_path / "a.fourfold"
    path.write_bytes(data)
    with pytest.raises(CorruptPackage) as caught:
        open_package(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_is_there_once(tmp_path: Path) -> None:
    """A second member of a name is refused, wherever it stands."""
    for members in ([*GOOD, ("model.bin", b"x")], [GOOD[0], *GOOD], [*GOOD[:2], GOOD[1], *GOOD[2:]]):
        (tmp_path / "a.fourfold").write_bytes(zipped(members))
        with pytest.raises(CorruptPackage, match="there twice"):
            open_package(tmp_path / "a.fourfold")


def test_a_wrong_checksum_is_noticed(tmp_path: Path) -> None:
    """A checksum that is wrong in both headers makes another file of the same package: refused when it is read."""
    whole = written(tmp_path)
    info = zipfile.ZipFile(io.BytesIO(whole)).getinfo("model.bin")
    changed = whole.replace(info.CRC.to_bytes(4, "little"), b"\x01\x02\x03\x04")
    (tmp_path / "a.fourfold").write_bytes(changed)
    opened = open_package(tmp_path / "a.fourfold")
    with pytest.raises(CorruptPackage, match=r"model\.bin has another checksum"):
        opened.verify()


#: Opens and verifies the package argv[1]; prints the error's name, and the memory that it took, in megabytes.
READER = """
import sys
from fourfold.package import open_package
from fourfold.process_memory import peak_memory_bytes
try:
    open_package(sys.argv[1]).verify()
except Exception as error:
    print(type(error).__name__, error)
print(peak_memory_bytes() >> 20)
"""


@pytest.mark.parametrize("what", ["nothing", "a package", "a claim"])
def test_a_sparse_file_takes_no_memory(tmp_path: Path, what: str) -> None:
    """Six gibibytes that take no room where they lie take none elsewhere before they are refused."""
    path = tmp_path / "a.fourfold"
    if what == "a package":
        written(tmp_path)
    if what == "a claim":  # a manifest that says so: the headers behind the first gigabytes are not there
        claim = package().manifest_bytes.replace(b'"size":7}', b'"size":6000000000}')
        path.write_bytes(zipped([("manifest.json", claim), *GOOD[1:]]))
    path.touch()
    os.truncate(path, 6 * 2**30)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", READER, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    error, megabytes = done.stdout.splitlines()
    assert error.startswith("CorruptPackage")
    assert int(megabytes) < 500


def test_a_limit_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package longer than the setting allows is refused with the setting's name."""
    written(tmp_path)
    monkeypatch.setenv("FOURFOLD_MAX_FILE_BYTES", "100")
    with pytest.raises(FourfoldError, match="expected at most 100, which FOURFOLD_MAX_FILE_BYTES sets"):
        open_package(tmp_path / "a.fourfold")


def test_threads_read_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that read one open package disturb each other neither where reads have positions nor where they seek."""
    contents = {f"file{number}.bin": bytes([number]) * (1000 + number) for number in range(20)}
    path = write_package(Package.build(manifest(), {**FILES, **contents}), tmp_path / "a.fourfold")
    for is_windows in (False, True):
        if is_windows:
            monkeypatch.delattr(os, "pread")
        opened = open_package(path)
        with ThreadPoolExecutor(8) as pool:
            for _ in range(20):
                assert dict(zip(contents, pool.map(opened.read, contents), strict=True)) == contents
