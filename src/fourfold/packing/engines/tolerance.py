"""Define how far an engine's answers may be from the original's: the option `accept` of `pack`."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.errors import PackError, shorten
from fourfold.packing.engines.comparison import Comparison

__all__ = ["TIGHT_ULPS", "Tolerance"]

#: The distance in units in the last place that `tight` allows where the original's own last bits depend on a BLAS or a
#: libm: 1.1e-13 and 1.9e-6, relative to the value or to the output's scale.
TIGHT_ULPS = {"float64": 512.0, "float32": 16.0}
#: A unit in the last place of a float32, in those of a float64.
FLOAT32_ULP = 2.0**29


@dataclass(frozen=True)
class Tolerance:
    """Hold how far answers may be from the original's.

    Attributes:
        text: `tight`, `exact`, `ulp:N` or `rtol:X`, as the user wrote it.
        kind: the word before the colon.
        bound: the number after the colon, or 0.
    """

    text: str
    kind: str
    bound: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """Read a tolerance from the user's text.

        Raises:
            PackError: the text is none of the four forms.
        """
        kind, _, number = text.partition(":") if isinstance(text, str) else ("", "", "")
        if text in ("tight", "exact"):
            return cls(text, text)
        try:
            bound = float(number)
        except ValueError:
            bound = -1.0
        if (kind == "ulp" and 0 < bound < 2**53) or (kind == "rtol" and 0 < bound < 1):
            return cls(text, kind, bound)
        raise PackError(
            f"expected accept to be 'tight', 'exact', 'ulp:N' or 'rtol:X' with X between 0 and 1; got {shorten(text)}"
        )

    @property
    def max_gap(self) -> float:
        """Return the relative gap allowed between an engine's own answers to one row among different rows."""
        return {"ulp": self.bound * 2.0**-52, "rtol": self.bound}.get(self.kind, 0.0)

    def requires_same_bits(self, *, defined: bool) -> bool:
        """Return whether only the same bits will do; `defined` where arithmetic alone decides the original's bits."""
        return self.kind == "exact" or (self.kind == "tight" and defined)

    def accepts(self, comparison: Comparison, *, defined: bool, in_float32: bool = False) -> bool:
        """Return whether an engine gives the same answers as the original.

        Args:
            comparison: the answers of both.
            defined: as in `requires_same_bits`.
            in_float32: whether a float64 is compared as the float32 numbers that it rests on.
        """
        if comparison.exact:
            return True
        if self.requires_same_bits(defined=defined):
            return False
        if self.kind == "tight":
            limits = TIGHT_ULPS | ({"float64": TIGHT_ULPS["float32"] * FLOAT32_ULP} if in_float32 else {})
            return all(distance <= limits.get(dtype, 0.0) for dtype, distance in comparison.ulps.items())
        return comparison.ulp <= self.bound if self.kind == "ulp" else comparison.gap <= self.bound
