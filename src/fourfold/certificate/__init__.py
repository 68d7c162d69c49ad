"""Certify that the answers of the four architectures are equal (docs/certify.md)."""

from fourfold.certificate.certificate import Certificate, DoorReport
from fourfold.certificate.certify import ARCHITECTURES, certify

__all__ = ["ARCHITECTURES", "Certificate", "DoorReport", "certify"]
