"""Packages on disk: written whole or not at all, opened verified."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fourfold.errors import CorruptPackage, OutputExists, SinkError, SourceError
from fourfold.package import Package, check_output, open_package, write_package
from tests.package.sample import FILES, manifest, package


@pytest.mark.parametrize("name", ["sample.fourfold", "folder"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    """Both forms give back the package that was written: same digest, same files."""
    path = write_package(package(), tmp_path / "new" / name)
    opened = open_package(path)
    assert opened.digest == package().digest
    assert {file: opened.read(file) for file in opened.names} == FILES
    opened.verify()
    assert sorted(entry.name for entry in path.parent.iterdir()) == [name]


def test_a_package_saves_itself(tmp_path: Path) -> None:
    """`package.save` writes what `write_package` does, returns the path, and replaces nothing without a word."""
    path = package().save(str(tmp_path / "a.fourfold"))
    assert path == tmp_path / "a.fourfold"
    assert path.read_bytes() == write_package(package(), tmp_path / "b.fourfold").read_bytes()
    with pytest.raises(OutputExists):
        package(name="other").save(path)
    package(name="other").save(path, replace=True)
    assert open_package(path).name == "other"
    assert (package().save(tmp_path / "folder") / "manifest.json").is_file()


def test_the_same_package_is_the_same_file(tmp_path: Path) -> None:
    """Neither the date nor the order of writing is part of the bytes."""
    first = write_package(package(), tmp_path / "a.fourfold").read_bytes()
    again = Package.build(manifest(), dict(reversed(FILES.items())))
    assert write_package(again, tmp_path / "b.fourfold").read_bytes() == first


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    """Another package at the path is an error, the same one is not, and `replace` says that it may go."""
    path = write_package(package(), tmp_path / "a.fourfold")
    assert write_package(package(), path) == path
    other = package(name="other")
    with pytest.raises(OutputExists, match="holds something else"):
        write_package(other, path)
    assert open_package(path).name == "sample"
    assert open_package(write_package(other, path, replace=True)).name == "other"
    folder = write_package(package(), tmp_path / "folder")
    with pytest.raises(OutputExists):
        write_package(package(), folder)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.fourfold", "folder"]


def test_every_truncation_of_a_file_is_noticed(tmp_path: Path) -> None:
    """A download that stopped anywhere is no package."""
    whole = write_package(package(), tmp_path / "a.fourfold").read_bytes()
    cut = tmp_path / "cut.fourfold"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(CorruptPackage, match=r"cut\.fourfold"):
            open_package(cut).verify()


def test_a_changed_file_in_a_folder_is_noticed(tmp_path: Path) -> None:
    """A file that was changed, cut, or taken away is named, with what was expected."""
    folder = write_package(package(), tmp_path / "folder")
    (folder / "model.bin").write_bytes(b"\x00\x01modeL")
    with pytest.raises(CorruptPackage, match=r"model\.bin: expected the SHA-256"):
        open_package(folder).verify()
    (folder / "model.bin").write_bytes(b"short")
    with pytest.raises(CorruptPackage, match=r"model\.bin: expected 7 bytes, got 5"):
        open_package(folder).verify()
    (folder / "model.bin").unlink()
    with pytest.raises(CorruptPackage, match=r"lacks the file model\.bin"):
        open_package(folder).verify()


@pytest.mark.parametrize("name", ["model.bin", "manifest.json"])
def test_a_file_in_a_folder_is_read_no_further_than_it_may_be_long(tmp_path: Path, name: str) -> None:
    """A file of a tebibyte, which takes no room where it lies, takes no memory either before it is refused."""
    folder = write_package(package(), tmp_path / "folder")
    os.truncate(folder / name, 2**40)
    with pytest.raises(CorruptPackage, match=r"1,099,511,627,776 bytes; expected at most (7|67,108,864)"):
        open_package(folder).verify()


def test_what_is_not_there_or_no_package_is_said(tmp_path: Path) -> None:
    """A missing path, an empty folder and some other file each have an error of their own."""
    with pytest.raises(SourceError, match="No such file"):
        open_package(tmp_path / "nothing.fourfold")
    with pytest.raises(CorruptPackage, match=r"no manifest\.json"):
        open_package(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CorruptPackage, match="no whole zip"):
        open_package(tmp_path / "text")


def test_a_file_that_is_not_listed_cannot_be_read() -> None:
    """The manifest alone says what a package holds."""
    with pytest.raises(CorruptPackage, match="lists no file"):
        package().read("other.bin")


_FULL = """
import resource, signal, sys
from pathlib import Path
from fourfold.errors import SinkError
from fourfold.package import Package, write_package
from tests.package.sample import FILES, manifest
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_package(Package.build(manifest(), {**FILES, "big.bin": b"x" * 100_000}), Path(sys.argv[1]))
except SinkError as error:
    print(error)
else:
    sys.exit("no error")
"""


@pytest.mark.faults
@pytest.mark.parametrize("name", ["a.fourfold", "folder"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    """What cannot be written whole is not there at all, and the error says where."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    arguments = [sys.executable, "-c", _FULL, str(tmp_path / name)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert f"cannot write the package {tmp_path / name}" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


@pytest.mark.parametrize("name", ["sample.fourfold", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A named pipe in a package's place, or in that of one of its files, is not waited for."""
    path = write_package(package(), tmp_path / name)
    for member in (path,) if name == "sample.fourfold" else (path / "model.bin", path / "manifest.json"):
        member.unlink()
        os.mkfifo(member)
        with pytest.raises((CorruptPackage, SourceError), match="expected a file, got a named pipe"):
            open_package(path).verify()


def test_an_output_is_not_written_through_a_link(tmp_path: Path) -> None:
    """A link in an output's place is replaced or refused; what it points at stays as it is."""
    (tmp_path / "precious").write_text("data")
    link = tmp_path / "a.fourfold"
    link.symlink_to("precious")
    with pytest.raises(OutputExists):
        write_package(package(), link)
    write_package(package(), link, replace=True)
    assert not link.is_symlink()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(SinkError):
        write_package(package(), tmp_path / "dangling")
    assert (tmp_path / "precious").read_text() == "data"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_too_long_by_the_manifest_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest cannot make a reader fill its memory: the limit is a setting, and the error names it."""
    large = Package.build(manifest(), {**FILES, "large.bin": bytes(2000)})
    paths = [write_package(large, tmp_path / name) for name in ("folder", "a.fourfold")]
    monkeypatch.setenv("FOURFOLD_MAX_FILE_BYTES", "1999")
    for path in paths:
        with pytest.raises(CorruptPackage, match=r"expected at most 1,999, which FOURFOLD_MAX_FILE_BYTES sets"):
            open_package(path).verify()


def test_an_open_package_outlives_its_path(tmp_path: Path) -> None:
    """The file that was opened is the one that is read, though another has taken its name."""
    path = write_package(package(), tmp_path / "a.fourfold")
    opened = open_package(path)
    write_package(package(name="other"), path, replace=True)
    opened.verify()
    path.unlink()
    opened.verify()
    assert opened.name == "sample"


def test_a_package_in_a_folder_can_be_copied(tmp_path: Path) -> None:
    """Nothing in a package knows where it is."""
    folder = write_package(package(), tmp_path / "folder")
    shutil.copytree(folder, tmp_path / "copy")
    assert open_package(tmp_path / "copy").digest == package().digest


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path) -> None:
    """A path that cannot be is named."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match="cannot write"):
        write_package(package(), tmp_path / "file" / "a.fourfold")


def test_a_path_is_checked_before_the_work(tmp_path: Path) -> None:
    """Nothing is written by the check, and what it lets pass `write_package` writes."""
    (tmp_path / "there.fourfold").write_text("something")
    (tmp_path / "folder").mkdir()
    check_output(tmp_path / "new" / "deep" / "eta.fourfold")
    check_output(tmp_path / "there.fourfold", replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "there.fourfold"]
    for name, replace in (("there.fourfold", False), ("folder", False), ("folder", True)):
        with pytest.raises(OutputExists):
            check_output(tmp_path / name, replace=replace)
    with pytest.raises(SinkError, match="is no folder"):
        check_output(tmp_path / "there.fourfold" / "eta.fourfold")


def test_a_folder_that_may_not_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest folder that exists decides; root may write everywhere, so the system's answer is given here."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(SinkError, match="may not be written by this user"):
        check_output(tmp_path / "new" / "eta.fourfold")
