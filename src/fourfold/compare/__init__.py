"""Certify that the answers of the four architectures are equal (docs/certify.md)."""

from fourfold.compare.certificate import Certificate, DoorReport
from fourfold.compare.certify import ARCHITECTURES, certify

__all__ = ["ARCHITECTURES", "Certificate", "DoorReport", "certify"]
