"""Write packages to disk, as a folder or as one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from fourfold.durable.files import create_file, sync_folder, temporary_path, write_file
from fourfold.durable.reading import read_file
from fourfold.errors import OutputExists, SinkError
from fourfold.package.archive import archive_chunks
from fourfold.package.manifest import MANIFEST

__all__ = ["SUFFIX", "check_output", "write_package"]

#: The ending of a package in one file.
SUFFIX = ".fourfold"


class _Files(Protocol):
    """Represent what is written of a package, which imports this module."""

    manifest_bytes: bytes

    @property
    def names(self) -> list[str]:
        """Return the names of the files."""
        ...

    def read(self, name: str) -> bytes:
        """Return the verified bytes of a file."""
        ...


def write_package(package: _Files, path: str | os.PathLike[str], *, replace: bool = False) -> Path:
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


def check_output(path: str | os.PathLike[str], *, replace: bool = False) -> None:
    """Check that a package can be written to a path, before the work of making it; nothing is written.

    Args:
        path: the file or folder, as in `write_package`.
        replace: whether to replace an existing file.

    Raises:
        OutputExists: the path exists, and may not be replaced.
        SinkError: its folder cannot be written, or made.
    """
    path = Path(path)
    is_file = path.suffix == SUFFIX
    if path.is_dir():
        raise OutputExists(f"{path} exists and is a folder, which is never replaced: remove it, or name another path")
    if os.path.lexists(path) and not (replace and is_file):
        way = ", or say that it may be replaced (replace=True, --replace)" if is_file else ""
        raise OutputExists(f"{path} exists: remove it{way}")
    parent = next((folder for folder in path.absolute().parents if os.path.lexists(folder)), Path("/"))
    if not parent.is_dir():
        raise SinkError(f"cannot write the package {path}: {parent} is no folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write the package {path}: the folder {parent} may not be written by this user")


def _write_file(package: _Files, path: Path, *, replace: bool) -> Path:
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


def _archive(package: _Files) -> bytes:
    files = {name: package.read(name) for name in package.names}
    return b"".join(archive_chunks({MANIFEST: package.manifest_bytes, **files}))


def _holds(path: Path, data: bytes) -> bool:
    """Return whether there is a file with exactly these bytes at a path."""
    try:
        return read_file(path, len(data)) == data
    except OSError:
        return False  # it is longer, no file, or cannot be read: something else


def _write_folder(package: _Files, path: Path) -> Path:
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
