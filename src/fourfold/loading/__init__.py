"""Loading: from the name of a package to a predictor that is ready."""

from fourfold.loading.loader import TRUST_VARIABLE, find, load, ready

__all__ = ["TRUST_VARIABLE", "find", "load", "ready"]
