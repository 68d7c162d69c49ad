"""Write packages atomically and open them verified: manifest, digest, files, golden rows (docs/spec/package.md)."""

from fourfold.package.files import open_package
from fourfold.package.manifest import FORMAT, Manifest, canonical_json, check_name
from fourfold.package.package import Package
from fourfold.package.writing import SUFFIX, check_output, write_package

__all__ = [
    "FORMAT",
    "SUFFIX",
    "Manifest",
    "Package",
    "canonical_json",
    "check_name",
    "check_output",
    "open_package",
    "write_package",
]
