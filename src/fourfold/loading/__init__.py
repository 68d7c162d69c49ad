"""Load packages: from a reference or a path to a ready predictor."""

from fourfold.loading.loader import TRUST_VARIABLE, find, load, ready

__all__ = ["TRUST_VARIABLE", "find", "load", "ready"]
