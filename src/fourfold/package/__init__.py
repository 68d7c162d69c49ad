"""Packages: manifest, digest, golden rows; written whole, opened verified (docs/spec/package.md)."""

from fourfold.package.files import SUFFIX, open_package, write_package
from fourfold.package.manifest import FORMAT, Manifest, canonical, check_name
from fourfold.package.package import Package

__all__ = ["FORMAT", "SUFFIX", "Manifest", "Package", "canonical", "check_name", "open_package", "write_package"]
