"""Golden rows: inputs with their exact outputs, which every start replays before it says that it is ready.

They are stored as JSON, which Python reads without NumPy or Arrow, and which carries every float exactly: its shortest
decimal form that reads back as the same bits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fourfold.errors import CorruptPackage, shorten
from fourfold.package.package import Package
from fourfold.signature import RowCoercer, Signature
from fourfold.signature.bits import Difference, relative_gap, same_bits

__all__ = ["GOLDEN_FILE", "Golden", "Replay", "compare", "decode_golden", "encode_golden", "golden_of"]

GOLDEN_FILE = "golden.json"


@dataclass(frozen=True)
class Golden:
    """Canonical input rows, and for each the canonical output row that the packing host computed."""

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes:
        rows: how many golden rows were replayed.
        exact: whether every output had the same bits.
        largest_gap: the largest relative gap between two outputs, 0.0 where exact, `inf` where they cannot be compared.
        first: the first difference, or `None`.
    """

    rows: int
    exact: bool
    largest_gap: float
    first: Difference | None


def encode_golden(golden: Golden, signature: Signature) -> bytes:
    """The golden file of a package."""
    from fourfold.codecs import json_rows  # a process that answers with a plan never writes JSON

    inputs = json_rows.encode(golden.inputs, signature.inputs)
    outputs = json_rows.encode(golden.outputs, signature.outputs)
    return b'{"inputs":' + inputs + b',"outputs":' + outputs + b"}"


def decode_golden(data: bytes, signature: Signature) -> Golden:
    """The golden rows of a golden file.

    Raises:
        CorruptPackage: it holds something else, or rows that do not fit the signature.
    """
    try:
        sides = json.loads(data)
        inputs, outputs = sides["inputs"], sides["outputs"]
        paired = len(inputs) == len(outputs)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptPackage(f"{GOLDEN_FILE}: expected inputs and outputs; {shorten(str(error))}") from error
    if not paired:
        raise CorruptPackage(f"{GOLDEN_FILE}: {len(inputs)} inputs do not pair with {len(outputs)} outputs")
    return Golden(_coerce(inputs, signature.inputs), _coerce(outputs, signature.outputs))


def _coerce(rows: Sequence[Mapping[str, object]], fields: Any) -> list[dict[str, Any]]:
    coerced, errors = RowCoercer(fields)(rows)
    if errors:
        raise CorruptPackage(f"{GOLDEN_FILE}: {errors[0]}")
    return [row for row in coerced if row is not None]


def golden_of(package: Package) -> Golden:
    """The golden rows that a package carries.

    Raises:
        CorruptPackage: they are none, or not as many as the manifest says: a replay of nothing would prove nothing.
    """
    entry = package.manifest["golden"]
    golden = decode_golden(package.read(entry["file"]), package.signature)
    if not 0 < len(golden.inputs) == entry["rows"]:
        raise CorruptPackage(f"{GOLDEN_FILE}: expected {max(1, entry['rows'])} golden rows, got {len(golden.inputs)}")
    return golden


def compare(golden: Golden, outputs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Replay:
    """Hold outputs, as many as there are golden rows, against the golden ones."""
    largest, first = 0.0, None
    for row, (expected, got) in enumerate(zip(golden.outputs, outputs, strict=True)):
        for name in names:
            if not same_bits(expected[name], got[name]):
                largest = max(largest, relative_gap(expected[name], got[name]))
                first = first or Difference(row, name, expected[name], got[name])
    return Replay(len(golden.outputs), first is None, largest if math.isfinite(largest) else math.inf, first)
