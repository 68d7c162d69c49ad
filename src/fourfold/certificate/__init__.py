"""Certify that the four architectures give equal answers (docs/certify.md)."""

from fourfold.errors import naming_missing_library

with naming_missing_library("certifying", extra="arrow,service"):
    from fourfold.certificate.certificate import Certificate, DoorReport
    from fourfold.certificate.certify import ARCHITECTURES, certify

__all__ = ["ARCHITECTURES", "Certificate", "DoorReport", "certify"]
