"""Load packages: from a reference or a path to a ready predictor, as far as the host trusts them."""

from fourfold.loading.granted import LocatedPackage, make_predictor
from fourfold.loading.loader import find, load, open  # noqa: A004 - fourfold.open
from fourfold.loading.trust import POLICY_VARIABLE, TRUST_VARIABLE, packed_digests, remember_packed

__all__ = [
    "POLICY_VARIABLE",
    "TRUST_VARIABLE",
    "LocatedPackage",
    "find",
    "load",
    "make_predictor",
    "open",
    "packed_digests",
    "remember_packed",
]
