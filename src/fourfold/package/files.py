"""Read and write packages on disk, as a folder or as one file.

The file is an uncompressed zip that is never extracted: its members are read by the names that the manifest lists, so a
package cannot choose where its files are written.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fourfold.durable.files import create_file, sync_folder, temporary_path, write_file
from fourfold.durable.reading import read_file
from fourfold.errors import CorruptPackage, OutputExists, SinkError, SourceError
from fourfold.package.archive import Archive, archive_chunks
from fourfold.package.manifest import MANIFEST, MAX_MANIFEST_BYTES
from fourfold.package.package import Package

__all__ = ["SUFFIX", "open_package", "write_package"]

#: The ending of a package in one file.
SUFFIX = ".fourfold"


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
        size = package.manifest["files"][name]["size"]
        return _read_member(path / name, f"the package {path} lacks the file {name}, which its manifest lists", size)

    lacks = f"expected a package; the folder has no {MANIFEST}"
    package = Package(_read_member(path / MANIFEST, lacks, MAX_MANIFEST_BYTES), fetch)
    return package


def _read_member(path: Path, lacks: str, max_bytes: int) -> bytes:
    """Return the bytes of a file in a package's folder; a link is followed, for the digests say what it must hold.

    Raises:
        CorruptPackage: it is not there, with the message `lacks`; it is no file, or longer than it may be.
    """
    try:
        return read_file(path, max_bytes)
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptPackage(lacks) from None
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.EINVAL, errno.EISDIR):
            raise CorruptPackage(f"{path}: {error.strerror}") from None
        raise


def _open_file(path: Path) -> Package:
    archive = Archive(path)
    package = Package(archive.manifest, archive.read)
    archive.check_members({name: entry["size"] for name, entry in package.manifest["files"].items()})
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
        if _holds(path, data):
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
    files = {name: package.read(name) for name in package.names}
    return b"".join(archive_chunks({MANIFEST: package.manifest_bytes, **files}))


def _holds(path: Path, data: bytes) -> bool:
    """Return whether there is a file with exactly these bytes at a path."""
    try:
        return read_file(path, len(data)) == data
    except OSError:
        return False  # it is longer, no file, or cannot be read: something else


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
