"""The declared inputs and outputs of a package, and the one coercion of what comes in.

`field` holds the words, `rows` coerces plain Python values, and `columns`, its twin, Arrow columns. `columns` imports
pyarrow, so it is not imported here: a package that answers rows needs no Arrow.
"""

from fourfold.signature.field import DTYPES, Field, Signature, fields
from fourfold.signature.rows import Mismatch, RowCoercer

__all__ = ["DTYPES", "Field", "Mismatch", "RowCoercer", "Signature", "fields"]
