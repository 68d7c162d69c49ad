"""Read and write packages on disk, as a folder or as one file.

The file is an uncompressed zip that is never extracted: its members are read by the names that the manifest lists, so a
package cannot choose where its files are written.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from fourfold.durable.files import create_file, sync_folder, temporary_path, write_file
from fourfold.errors import CorruptPackage, OutputExists, SinkError, SourceError, shorten
from fourfold.package.manifest import MANIFEST, MAX_MANIFEST_BYTES
from fourfold.package.package import Package

__all__ = ["SUFFIX", "open_package", "write_package"]

#: The ending of a package in one file.
SUFFIX = ".fourfold"

# The earliest date that a zip can hold. All members have it, so that equal packages give equal files.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def open_package(path: str | os.PathLike[str]) -> Package:
    """Open a package, in a folder or in one file.

    Raises:
        SourceError: the path cannot be read.
        CorruptPackage: there is no package at the path, or a damaged one.
    """
    path = Path(path)
    try:
        package = _open_folder(path) if path.is_dir() else _open_file(path)
    except OSError as error:
        raise SourceError(f"cannot read the package {path}: {error.strerror or error}") from error
    except CorruptPackage as error:
        raise CorruptPackage(f"{path}: {error}") from error
    return package


def _open_folder(path: Path) -> Package:
    def fetch(name: str) -> bytes:
        member = path / name
        if not member.is_file():
            raise CorruptPackage(f"the package {path} lacks the file {name}, which its manifest lists")
        return _read_at_most(member, package.manifest["files"][name]["size"])

    manifest = path / MANIFEST
    if not manifest.is_file():
        raise CorruptPackage(f"expected a package; the folder has no {MANIFEST}")
    package = Package(_read_at_most(manifest, MAX_MANIFEST_BYTES), fetch)
    return package


def _read_at_most(path: Path, size: int) -> bytes:
    """Return a file's bytes, at most `size + 1` of them, so that the caller notices a longer file."""
    with path.open("rb") as file:
        # Bounded by the file's real size: `read` allocates the whole size in advance.
        return file.read(min(size, os.fstat(file.fileno()).st_size) + 1)


def _open_file(path: Path) -> Package:
    # Read the whole file now: if it changes later, the bytes that are loaded are still those that were verified.
    data = path.read_bytes()
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise CorruptPackage(f"expected a package; got {len(data)} bytes that are no whole zip ({error})") from error
    if len(set(names)) != len(names):
        raise CorruptPackage("a member is there twice")

    def fetch(name: str, limit: int | None = None) -> bytes:
        try:
            info = archive.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED:
                raise CorruptPackage(f"the member {name} is compressed; a package stores its members as they are")
            if limit is not None and info.file_size > limit:
                raise CorruptPackage(f"the member {name} is {info.file_size} bytes long; expected at most {limit}")
            return archive.read(info)
        except KeyError:
            raise CorruptPackage(f"it lacks the member {name}") from None
        except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OverflowError, RuntimeError) as error:
            raise CorruptPackage(f"the member {name} cannot be read: {shorten(str(error), 120)}") from error

    package = Package(fetch(MANIFEST, MAX_MANIFEST_BYTES), fetch)
    unlisted = sorted(set(names) - {MANIFEST, *package.names})
    if unlisted:
        raise CorruptPackage(f"it has a member that its manifest does not list: {shorten(unlisted[0])}")
    return package


def write_package(package: Package, path: str | os.PathLike[str], *, replace: bool = False) -> Path:
    """Write a package atomically: as one file where the path ends with `.fourfold`, as a folder otherwise.

    Args:
        package: the package; each file is verified before it is written.
        path: the file or folder to write; missing parents are made.
        replace: whether to replace an existing file; a folder is never replaced.

    Returns:
        The path.

    Raises:
        OutputExists: the path exists. A file that holds the same package is no error and stays as it is.
        SinkError: the package cannot be written (disk full, no permission); nothing is left behind.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _write_file(package, path, replace=replace) if path.suffix == SUFFIX else _write_folder(package, path)
    except OSError as error:
        raise SinkError(f"cannot write the package {path}: {error.strerror or error}") from error


def _write_file(package: Package, path: Path, *, replace: bool) -> Path:
    data = _archive(package)
    if path.exists() and not replace:
        if path.is_file() and path.read_bytes() == data:
            return path
        raise OutputExists(
            f"{path} exists and holds something else; remove it, or say that it may be replaced (replace=True, "
            f"--replace)"
        )
    try:
        write_file(path, data, temporary_path(path), replace=replace)
    except FileExistsError:
        raise OutputExists(f"{path} came into being while the package was written; nothing was replaced") from None
    return path


def _archive(package: Package) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in (MANIFEST, *package.names):
            info = zipfile.ZipInfo(name, date_time=_ZIP_DATE)
            info.external_attr = 0o644 << 16
            info.create_system = 3  # Unix, on every system: equal packages give equal files
            archive.writestr(info, package.manifest_bytes if name == MANIFEST else package.read(name))
    return buffer.getvalue()


def _write_folder(package: Package, path: Path) -> Path:
    if path.exists():
        raise OutputExists(f"{path} exists; a package in a folder is only written where nothing is")
    import shutil  # only this function needs it

    temporary = temporary_path(path)
    temporary.mkdir()
    try:
        for name in (*package.names, MANIFEST):
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            create_file(target, package.manifest_bytes if name == MANIFEST else package.read(name))
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)
    return path
