"""Read a package: its manifest, and the files that it lists, which every read verifies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fourfold.durable.reading import MAX_FILE_VARIABLE, max_file_bytes
from fourfold.errors import CorruptPackage, shorten
from fourfold.other_names import OF_PACKAGE, NamesWhatExists
from fourfold.package.manifest import Manifest, canonical_json, file_entry
from fourfold.package.writing import write_package
from fourfold.signature import Field, Signature

__all__ = ["Package"]

#: The most files that an error lists.
MAX_NAMES_SHOWN = 10


class Package(NamesWhatExists):
    """Give access to a manifest and the files that it lists.

    Args:
        manifest_bytes: the manifest, in canonical JSON.
        fetch: returns the bytes of a file by its name; `read` verifies them.

    Attributes:
        manifest_bytes: the manifest, in canonical JSON.
        figures: what `pack` measured of each engine, by the engine's name. They belong to the host that measured, are
            no part of the package's identity, and stay behind when it is written or pushed; empty where it was opened.
        path: the absolute path where it was opened or saved last, or `None`.
        repository: the folder or URL of the repository where it was found or pushed last, or `None`.

    Raises:
        CorruptPackage: the manifest is invalid.
    """

    _INSTEAD = OF_PACKAGE

    def __init__(self, manifest_bytes: bytes, fetch: Callable[[str], bytes]) -> None:
        self.manifest_bytes = manifest_bytes
        self._manifest = Manifest(manifest_bytes)
        self._fetch = fetch
        self.figures: Mapping[str, Mapping[str, float]] = {}
        self.path: str | None = None
        self.repository: str | None = None

    @classmethod
    def build(cls, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Package:
        """Build a package from its files, and a manifest to which their list is added.

        Raises:
            CorruptPackage: the manifest is invalid, or a file has a name that cannot stand in a folder of every system.
        """
        entries = {name: file_entry(data) for name, data in files.items()}
        return cls(canonical_json({**manifest, "files": entries}), dict(files).__getitem__)

    def __copy__(self) -> Package:
        return self  # it never changes

    def __deepcopy__(self, memo: object) -> Package:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the bytes of the package, from which another process opens it: all of them, verified."""
        files = {name: self.read(name) for name in self.names}
        return _restore, (self.manifest_bytes, files), {"path": self.path, "repository": self.repository}

    def __repr__(self) -> str:
        return f"<Package {self.name} {self.digest[:19]}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the fields, the table of the engines, and how exact the package is."""
        from fourfold.package.shown import package_html  # only notebooks need it

        return package_html(self.manifest, self.signature, self.digest, self.figures)

    @property
    def digest(self) -> str:
        """Return the package's unique name: `sha256:` and the 64 hexadecimal digits of its manifest's hash."""
        return self._manifest.digest

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self._manifest.name

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Return the manifest as JSON values; treat it as read-only."""
        return self._manifest.data

    @property
    def signature(self) -> Signature:
        """Return the package's inputs and outputs."""
        return self._manifest.signature

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Return the input fields, in the order of the model's training."""
        return self.signature.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Return the output fields."""
        return self.signature.outputs

    @property
    def block(self) -> int | None:
        """Return the rows of every engine call, or `None` where the answers do not depend on their number."""
        return self._manifest.block

    @property
    def names(self) -> list[str]:
        """Return the names of the package's files, sorted, without the manifest."""
        return sorted(self._manifest.files)

    @property
    def size(self) -> int:
        """Return the size of the manifest and all files, in bytes."""
        return len(self.manifest_bytes) + sum(int(entry["size"]) for entry in self._manifest.files.values())

    def read(self, name: str) -> bytes:
        """Return the bytes of one file, after verifying them.

        Raises:
            CorruptPackage: the manifest lists no such file, the file is missing, or its size or digest is wrong.
        """
        entry = self._manifest.files.get(name)
        if entry is None:
            raise CorruptPackage(
                f"the package {self.name} lists no file {shorten(name)}; it has {_list_names(self.names)}"
            )
        limit = max_file_bytes()
        if entry["size"] > limit:
            raise CorruptPackage(
                f"the file {name} has {entry['size']:,} bytes; expected at most {limit:,}, which {MAX_FILE_VARIABLE} "
                "sets"
            )
        data = self._fetch(name)
        if len(data) != entry["size"]:
            raise CorruptPackage(f"the file {name}: expected {entry['size']} bytes, got {len(data)}")
        got = hashlib.sha256(data).hexdigest()
        if got != entry["sha256"]:
            raise CorruptPackage(f"the file {name}: expected the SHA-256 {entry['sha256']}, got {got}")
        return data

    def save(self, path: str | os.PathLike[str], *, replace: bool = False) -> Path:
        """Write the package atomically: as one file where the path ends with `.fourfold`, as a folder otherwise.

        Args:
            path: the file or folder to write; missing parents are made.
            replace: whether to replace an existing file; a folder is never replaced.

        Returns:
            The path.

        Raises:
            OutputExists: the path exists. A file that holds the same package is no error and stays as it is.
            SinkError: the package cannot be written (disk full, no permission); nothing is left behind.
            CorruptPackage: a file of the package is damaged.
        """
        written = write_package(self, path, replace=replace)
        self.path = str(written.absolute())
        return written

    def verify(self) -> None:
        """Read every file once, and so verify it.

        Raises:
            CorruptPackage: a file is missing, or its size or digest is wrong.
        """
        for name in self.names:
            self.read(name)


def _restore(manifest_bytes: bytes, files: dict[str, bytes]) -> Package:
    return Package(manifest_bytes, files.__getitem__)


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES_SHOWN:,} more" if len(names) > MAX_NAMES_SHOWN else ""
    return ", ".join(names[:MAX_NAMES_SHOWN]) + more
