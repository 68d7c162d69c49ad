"""Store golden rows, inputs with their exact outputs, and compare answers with them; every start replays them.

The file is JSON: Python reads it without NumPy or Arrow, and it keeps every float exactly, as the shortest decimal that
reads back as the same bits.
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

__all__ = ["GOLDEN_FILE", "GoldenRows", "Replay", "compare", "decode_golden", "encode_golden", "read_golden"]

GOLDEN_FILE = "golden.json"
#: Two bytes of JSON make an object of a hundred in memory. A row of inputs is one, and so is a row of a tensor.
MAX_PARTS = 2_000_000


@dataclass(frozen=True)
class GoldenRows:
    """Hold canonical input rows, and for each the canonical output row that was computed when it was packed."""

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


@dataclass(frozen=True)
class Replay:
    """Hold the result of comparing answers with golden rows.

    Attributes:
        rows: the number of golden rows.
        exact: whether every output has the same bits.
        largest_gap: the largest relative gap between two outputs: 0.0 where exact, `inf` where they cannot be compared.
        first: the first difference, or `None`.
    """

    rows: int
    exact: bool
    largest_gap: float
    first: Difference | None


def encode_golden(golden: GoldenRows, signature: Signature) -> bytes:
    """Return the bytes of a package's golden file."""
    from fourfold.codecs import json_rows  # needed to pack only: answering rows with a plan needs no codec

    inputs = json_rows.encode(golden.inputs, signature.inputs)
    outputs = json_rows.encode(golden.outputs, signature.outputs)
    return b'{"inputs":' + inputs + b',"outputs":' + outputs + b"}"


def decode_golden(data: bytes, signature: Signature) -> GoldenRows:
    """Read the golden rows from the bytes of a golden file.

    Raises:
        CorruptPackage: the bytes are no golden file, or the rows do not fit the signature.
    """
    parts = data.count(b"[") + data.count(b"{")
    if parts > MAX_PARTS:
        raise CorruptPackage(f"{GOLDEN_FILE} has {parts:,} lists and objects; expected at most {MAX_PARTS:,}")
    try:
        tables = json.loads(data)
        inputs, outputs = tables["inputs"], tables["outputs"]
        are_paired = len(inputs) == len(outputs)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptPackage(f"{GOLDEN_FILE}: expected inputs and outputs; {shorten(str(error))}") from error
    if not are_paired:
        raise CorruptPackage(f"{GOLDEN_FILE}: {len(inputs)} inputs do not pair with {len(outputs)} outputs")
    values = len(inputs) * (len(signature.inputs) + len(signature.outputs))
    if values > len(data):  # every row has every field: its name and a value, several bytes
        raise CorruptPackage(f"{GOLDEN_FILE}: {len(inputs)} rows of {values} values do not fit into {len(data)} bytes")
    return GoldenRows(_coerce(inputs, signature.inputs), _coerce(outputs, signature.outputs))


def _coerce(rows: Sequence[Mapping[str, object]], fields: Any) -> list[dict[str, Any]]:
    coercer = RowCoercer(fields)
    coerced_rows = []
    for index, row in enumerate(rows):
        if isinstance(row, dict) and len(row) > len(coercer.fields):
            raise CorruptPackage(f"{GOLDEN_FILE}: row {index} has {len(row)} keys for {len(coercer.fields)} fields")
        coerced, errors = coercer.row(row, index)
        if coerced is None:  # the first error is enough: a record of each could take a hundred times the file's memory
            raise CorruptPackage(f"{GOLDEN_FILE}: {errors[0]}")
        coerced_rows.append(coerced)
    return coerced_rows


def read_golden(package: Package) -> GoldenRows:
    """Read the golden rows of a package.

    Raises:
        CorruptPackage: there are none, which would prove nothing, or not as many as the manifest says.
    """
    entry = package.manifest["golden"]
    golden = decode_golden(package.read(entry["file"]), package.signature)
    if not 0 < len(golden.inputs) == entry["rows"]:
        raise CorruptPackage(f"{GOLDEN_FILE}: expected {max(1, entry['rows'])} golden rows, got {len(golden.inputs)}")
    return golden


def compare(golden: GoldenRows, outputs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Replay:
    """Compare outputs, one for each golden row, with the golden outputs; `names` lists the output fields."""
    largest_gap, first = 0.0, None
    for row, (expected, got) in enumerate(zip(golden.outputs, outputs, strict=True)):
        for name in names:
            if not same_bits(expected[name], got[name]):
                largest_gap = max(largest_gap, relative_gap(expected[name], got[name]))
                first = first or Difference(row, name, expected[name], got[name])
    return Replay(len(golden.outputs), first is None, largest_gap if math.isfinite(largest_gap) else math.inf, first)
