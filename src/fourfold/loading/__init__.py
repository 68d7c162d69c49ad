"""Load packages: from a reference or a path to a ready predictor."""

from fourfold.loading.loader import TRUST_VARIABLE, find, load, make_predictor

__all__ = ["TRUST_VARIABLE", "find", "load", "make_predictor"]
