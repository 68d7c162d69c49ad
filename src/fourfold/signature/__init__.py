"""Declare the inputs and outputs of a package, and coerce values to them.

`field` declares fields and signatures, `rows` coerces plain Python values, and `columns` coerces Arrow columns by the
same rules. `columns` imports pyarrow, so it is not imported here: a package that answers rows needs no Arrow.
"""

from fourfold.signature.field import DTYPES, Extra, Field, Signature, fields
from fourfold.signature.rows import Mismatch, RowCoercer

__all__ = ["DTYPES", "Extra", "Field", "Mismatch", "RowCoercer", "Signature", "fields"]
