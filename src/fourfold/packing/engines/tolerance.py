"""What a user accepts as the same answer: the words after `--accept`."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.errors import PackError, shorten
from fourfold.packing.engines.comparison import Proof

__all__ = ["TIGHT", "Tolerance"]

#: The distance in units in the last place that `tight` allows where the original's own last bits depend on a BLAS or a
#: libm: 1.1e-13 and 1.9e-6 of a number, or of what an output is usually as large as.
TIGHT = {"float64": 512.0, "float32": 16.0}


@dataclass(frozen=True)
class Tolerance:
    """How far answers may be from the original's.

    Attributes:
        text: `tight`, `exact`, `ulp:N` or `rtol:X`, as the user said it.
        kind: the word before the colon.
        bound: the number after it, or 0.
    """

    text: str
    kind: str
    bound: float = 0.0

    @classmethod
    def of(cls, text: str) -> Tolerance:
        """What a text accepts.

        Raises:
            PackError: it says nothing of the kind.
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
    def tolerance(self) -> float:
        """The relative gap allowed between answers for one row in different company."""
        return {"ulp": self.bound * 2.0**-52, "rtol": self.bound}.get(self.kind, 0.0)

    def must_be_exact(self, *, defined: bool) -> bool:
        """Whether only the same bits will do; `defined` where arithmetic alone decides about the original's."""
        return self.kind == "exact" or (self.kind == "tight" and defined)

    def holds(self, proof: Proof, *, defined: bool) -> bool:
        """Whether an engine of which this was found gives the same answer."""
        if proof.exact:
            return True
        if self.must_be_exact(defined=defined):
            return False
        if self.kind == "tight":
            return all(apart <= TIGHT.get(dtype, 0.0) for dtype, apart in proof.ulps.items())
        return proof.ulp <= self.bound if self.kind == "ulp" else proof.gap <= self.bound
