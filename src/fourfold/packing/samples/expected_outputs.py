"""Expected outputs: what the framework that trained a model answered to rows, held against what the package answers.

An exporter can leave out a layer's mode or swap two axes, and say nothing. Rows and answers from the framework itself
show it, before anybody relies on the package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fourfold import tables
from fourfold.errors import FourfoldError, InputError, PackError, shorten
from fourfold.function import Function
from fourfold.runtimes.sample import names_of
from fourfold.signature import Field, Signature
from fourfold.signature.bits import same_bits
from fourfold.signature.columns import columns_to_rows
from fourfold.signature.field import FLOATS

__all__ = ["EXPECT_RTOL", "Expected", "expected_of"]

#: The share of an output's size by which a package's answer may be off: some float32 additions in another order.
EXPECT_RTOL = 1e-5

Row = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """Rows, and what was answered to them elsewhere.

    Attributes:
        inputs: canonical rows.
        outputs: the fields that are compared.
        answers: for each row, the canonical values of these fields.
        rtol: the largest distance of two floats, as a share of the larger one, or of what the output is usually as
            large as where both are smaller. Anything else must be equal.
    """

    inputs: Sequence[Row]
    outputs: tuple[Field, ...]
    answers: Sequence[Row]
    rtol: float

    def check(self, function: Function) -> dict[str, Any]:
        """Hold a package's function against the expected answers.

        Returns:
            What a manifest says of it: `rows`, `rtol` and the `largest_gap`.

        Raises:
            PackError: an answer is further off than `rtol`; it names the first row and how many there are.
            EngineError: the engine does not answer a row.
        """
        got = function(list(self.inputs))
        usual = {field.name: _usual([row[field.name] for row in self.answers]) for field in self.outputs}
        largest, differing, first = 0.0, 0, ""
        for place, (wanted, answer) in enumerate(zip(self.answers, got, strict=True)):
            gaps = [_gap(field, wanted[field.name], answer[field.name], usual[field.name]) for field in self.outputs]
            largest = max(largest, *gaps)
            worst = next((field for field, gap in zip(self.outputs, gaps, strict=True) if not gap <= self.rtol), None)
            if worst is not None:
                differing += 1
                first = first or self._described(place, worst, wanted, answer, usual[worst.name])
        if differing:
            raise PackError(
                f"the answers are not the expected ones: {differing} of {len(self.answers)} rows differ, by up to "
                f"{largest:.3g} of the output's size where {self.rtol:g} is accepted; the first: {first}. Export the "
                "model as it predicts (PyTorch: model.eval()), with the weights that gave these outputs, and give the "
                "rows as they went in there; or accept more: expect_rtol=X, --expect-rtol X"
            )
        return {"rows": len(self.answers), "rtol": self.rtol, "largest_gap": largest}

    def _described(self, place: int, field: Field, wanted: Row, answer: Row, usual: float) -> str:
        """The first value that differs, and where it stands."""
        if wanted[field.name] is None or answer[field.name] is None:
            one, other = wanted[field.name], answer[field.name]
            return f"row {place}, output {field.name}: expected {shorten(one)}, got {shorten(other)}"
        pairs = zip(_flat(wanted[field.name]), _flat(answer[field.name]), strict=True)
        scalar = Field(field.name, field.dtype, nullable=field.nullable)
        for index, (one, other) in enumerate(pairs):
            if not _gap(scalar, one, other, usual) <= self.rtol:
                name = f"{field.name}{_place(index, field.shape)}" if field.shape else field.name
                return f"row {place}, output {name}: expected {shorten(one)}, got {shorten(other)}"
        raise AssertionError(field.name)  # the caller has found a gap in it


def expected_of(expect: Any, rows: Any, signature: Signature, rtol: float) -> Expected:
    """The expected answers of a table.

    Args:
        expect: a table with a column for each output that is compared, or arrays by the outputs' names, or the array
            of the only output. Where it has a column for each input too, its own rows are asked about; otherwise its
            rows belong to `rows`, one by one.
        rows: the packing rows, in a container.
        signature: the package's.
        rtol: as in `Expected`.

    Raises:
        PackError: it has no output, or a column that is neither, or another number of rows, or values that do not fit.
    """
    if not isinstance(rtol, (int, float)) or isinstance(rtol, bool) or not 0 <= rtol < 1:
        raise PackError(f"expected expect_rtol to be a number from 0 to 1; got {shorten(rtol)}")
    table = _table(expect, signature)
    names = [str(name) for name in names_of(table) or ()]
    known = [field.name for field in signature.outputs]
    inputs = {field.name for field in signature.inputs}
    others = [name for name in names if name not in inputs]
    if len(known) == 1 and len(others) == 1:
        # An exporter calls the only output as it likes ("23"): the only column can be no other.
        table, names = _renamed(table, others[0], known[0]), [known[0] if name == others[0] else name for name in names]
    outputs = tuple(field for field in signature.outputs if field.name in names)
    if not outputs:
        raise PackError(
            f"the expected outputs have the columns {shorten(names, 200)}; expected one or more of {', '.join(known)}"
        )
    strange = [name for name in names if name not in inputs and name not in known]
    if strange:
        raise PackError(
            f"the expected outputs have a column {shorten(strange[0])}, which is no output of the model (it has "
            f"{', '.join(known)}): rename it or leave it out"
        )
    answers = _read(table, outputs, "the expected outputs")
    asked = _read(table if inputs <= set(names) else rows, signature.inputs, "the rows of the expected outputs")
    if len(asked) != len(answers):
        raise PackError(
            f"expected outputs for {len(asked)} rows, one for each packing row; got {len(answers)}. Expected outputs "
            "for other rows bring these rows along, in columns named as the inputs"
        )
    return Expected(asked, outputs, answers, float(rtol))


def _table(expect: Any, signature: Signature) -> Any:
    """The expected outputs as a table with names; arrays as rows."""
    if tables.kind_of(expect) == "numpy" and len(signature.outputs) == 1:
        expect = {signature.outputs[0].name: expect}
    if not isinstance(expect, Mapping):
        if names_of(expect) is None:
            known = ", ".join(field.name for field in signature.outputs)
            raise PackError(f"expected a table of expected outputs, or arrays named {known}; got {shorten(expect)}")
        return expect
    columns = {str(name): each.tolist() if hasattr(each, "tolist") else list(each) for name, each in expect.items()}
    if len({len(each) for each in columns.values()}) != 1:
        lengths = ", ".join(f"{name}: {len(each)}" for name, each in columns.items()) or "none"
        raise PackError(f"expected arrays of expected outputs of one length; got {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _renamed(table: Any, name: str, new: str) -> Any:
    """A table with a column called otherwise."""
    kind = tables.kind_of(table)
    if kind == "rows":
        return [{new if key == name else key: value for key, value in row.items()} for row in table]
    if kind == "pandas":
        return table.rename(columns={name: new})
    if kind == "polars":
        return table.rename({name: new})
    import pyarrow as pa

    columns = pa.table(table)
    return columns.rename_columns([new if each == name else each for each in columns.column_names])


def _read(table: Any, fields: tuple[Field, ...], what: str) -> list[Row]:
    """A table's canonical rows of some fields."""
    try:
        found, errors = tables.read(table, fields, "ignore")
    except FourfoldError as error:
        raise PackError(f"{what} cannot be read: {error}") from error
    if errors:
        raise PackError(f"{what} do not fit the signature: {InputError(errors)}")
    return found if isinstance(found, list) else columns_to_rows(fields, found)


def _usual(values: Sequence[Any]) -> float:
    """How large an output usually is: the median of its rows that are not zero, each by its largest element."""
    sizes: list[float] = []
    for value in values:
        finite = [abs(each) for each in _flat(value) if isinstance(each, float) and math.isfinite(each)]
        if any(finite):
            sizes.append(max(finite))
    return median(sizes) if sizes else 0.0


def _gap(field: Field, wanted: Any, got: Any, usual: float) -> float:
    """How far two values of a field are apart, as a share; infinite where anything but finite floats differs."""
    if (wanted is None) != (got is None):
        return math.inf
    worst = 0.0
    for one, other in zip(_flat(wanted), _flat(got), strict=True):
        # An exporter that gives 0.0 for -0.0 has changed no number.
        if same_bits(one, other) or (field.dtype in FLOATS and one == other):
            continue
        if field.dtype not in FLOATS or not (math.isfinite(one) and math.isfinite(other)):
            return math.inf
        worst = max(worst, abs(one - other) / max(abs(one), abs(other), usual))
    return worst


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _place(index: int, shape: tuple[int, ...]) -> str:
    """The place of an element in a tensor, from its place among all elements."""
    places: list[int] = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.append(place)
    return "".join(f"[{place}]" for place in reversed(places))
