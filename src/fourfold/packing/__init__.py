"""Packing: the act of making a package, which no architecture ever needs (docs/packing.md)."""

from fourfold.packing.packer import pack

__all__ = ["pack"]
