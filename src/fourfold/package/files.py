"""Read packages on disk, from a folder or from one file.

The file is an uncompressed zip that is never extracted: its members are read by the names that the manifest lists, so a
package cannot choose where its files are written.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fourfold.durable.reading import read_file
from fourfold.errors import CorruptPackage, SourceError
from fourfold.package.archive import Archive
from fourfold.package.manifest import MANIFEST, MAX_MANIFEST_BYTES
from fourfold.package.package import Package

__all__ = ["open_package"]


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
    package.path = str(path.absolute())
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
