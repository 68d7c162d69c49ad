"""Write packages atomically and open them verified: manifest, digest, files, golden rows (docs/spec/package.md)."""

from fourfold.package.files import SUFFIX, open_package, write_package
from fourfold.package.manifest import FORMAT, Manifest, canonical_json, check_name
from fourfold.package.package import Package

__all__ = ["FORMAT", "SUFFIX", "Manifest", "Package", "canonical_json", "check_name", "open_package", "write_package"]
