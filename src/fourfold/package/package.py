"""A package: a manifest and the files that it lists, read by name and verified at every read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from fourfold.errors import CorruptPackage, shorten
from fourfold.package.manifest import Manifest, canonical, file_entry
from fourfold.signature import Signature

__all__ = ["Package"]


class Package:
    """A manifest and the way to the files that it lists.

    Args:
        manifest_bytes: the manifest, in canonical JSON.
        fetch: gives the bytes of a file of the package; what it gives is verified before anybody sees it.

    Raises:
        CorruptPackage: the manifest is none.
    """

    def __init__(self, manifest_bytes: bytes, fetch: Callable[[str], bytes]) -> None:
        self.manifest_bytes = manifest_bytes
        self._manifest = Manifest(manifest_bytes)
        self._fetch = fetch

    @classmethod
    def build(cls, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Package:
        """A package from a manifest that does not list its files yet, and those files."""
        entries = {name: file_entry(data) for name, data in files.items()}
        return cls(canonical({**manifest, "files": entries}), dict(files).__getitem__)

    def __repr__(self) -> str:
        return f"<Package {self.name} {self.digest[:19]}>"

    @property
    def digest(self) -> str:
        """The package's name that nothing else has: `sha256:` and the 64 hexadecimal digits of its manifest."""
        return self._manifest.digest

    @property
    def name(self) -> str:
        """The model's name."""
        return self._manifest.name

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest as JSON values."""
        return self._manifest.data

    @property
    def signature(self) -> Signature:
        """What the package's function takes and gives."""
        return self._manifest.signature

    @property
    def block(self) -> int | None:
        """The rows of every engine call, or `None` where the answers do not depend on them."""
        return self._manifest.block

    @property
    def names(self) -> list[str]:
        """The names of the package's files, sorted, without the manifest."""
        return sorted(self._manifest.files)

    @property
    def size(self) -> int:
        """The bytes of the manifest and all files."""
        return len(self.manifest_bytes) + sum(int(entry["size"]) for entry in self._manifest.files.values())

    def read(self, name: str) -> bytes:
        """The verified bytes of one file.

        Raises:
            CorruptPackage: the manifest lists no such file, the file is missing or cut short, or its digest is another.
        """
        entry = self._manifest.files.get(name)
        if entry is None:
            raise CorruptPackage(
                f"the package {self.name} lists no file {shorten(name)}; it has {', '.join(self.names)}"
            )
        data = self._fetch(name)
        if len(data) != entry["size"]:
            raise CorruptPackage(f"the file {name}: expected {entry['size']} bytes, got {len(data)}")
        got = hashlib.sha256(data).hexdigest()
        if got != entry["sha256"]:
            raise CorruptPackage(f"the file {name}: expected the SHA-256 {entry['sha256']}, got {got}")
        return data

    def verify(self) -> None:
        """Read every file once.

        Raises:
            CorruptPackage: one of them is not what the manifest lists.
        """
        for name in self.names:
            self.read(name)
