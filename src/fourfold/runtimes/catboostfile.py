"""CatBoost's binary format, checked before CatBoost reads it: it follows what the file says without looking.

The reader is the one that makes plans, so what is checked is what a plan computes. It takes what CatBoost writes of
numbers and categories; models of texts and embeddings have parts of their own, which nobody has checked.
"""

from __future__ import annotations

from fourfold.plan.compile.cbm import MalformedModel, read

__all__ = ["MalformedModel", "check"]


def check(data: bytes) -> None:
    """Check that a model in CatBoost's binary format holds together.

    Raises:
        MalformedModel: it does not, or was not written by CatBoost.
    """
    read(data)
