"""Compare a package's answers with expected outputs: those of the framework that trained the model.

An exporter can silently leave out a layer's mode or swap two axes. Rows and answers from the framework itself reveal
that before anybody relies on the package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fourfold import tables
from fourfold.errors import DecodeError, FourfoldError, InputError, PackError, shorten
from fourfold.function import Function
from fourfold.runtimes.sample import column_names
from fourfold.signature import Field, Signature
from fourfold.signature.bits import same_bits
from fourfold.signature.columns import columns_to_rows
from fourfold.signature.field import FLOATS
from fourfold.signature.label_columns import LabelColumns

__all__ = ["EXPECT_RTOL", "ExpectedOutputs", "check_rtol", "read_expected"]

#: The default relative distance of an answer from the expected one: that of some float32 additions in another order.
EXPECT_RTOL = 1e-5

Row = dict[str, Any]


@dataclass(frozen=True)
class ExpectedOutputs:
    """Hold rows, and the outputs that another framework computed from them.

    Attributes:
        inputs: canonical rows.
        outputs: the fields to compare.
        answers: the canonical values of these fields, for each row.
        rtol: the largest distance of two floats, relative to the largest of the two and the output's usual size.
            Anything but floats must be equal.
    """

    inputs: Sequence[Row]
    outputs: tuple[Field, ...]
    answers: Sequence[Row]
    rtol: float

    def check(self, function: Function) -> dict[str, Any]:
        """Compare a package's function with the expected outputs.

        Returns:
            The manifest's entry `expected`: `rows`, `rtol` and the `largest_gap`.

        Raises:
            PackError: an answer is further off than `rtol`; it describes the first row and gives the number of them.
            EngineError: the engine does not answer a row.
        """
        answers = function(list(self.inputs))
        sizes = {field.name: _usual_size([row[field.name] for row in self.answers]) for field in self.outputs}
        largest, differing, first = 0.0, 0, ""
        for index, (expected, got) in enumerate(zip(self.answers, answers, strict=True)):
            gaps = [_gap(field, expected[field.name], got[field.name], sizes[field.name]) for field in self.outputs]
            largest = max(largest, *gaps)
            wrong = next((field for field, gap in zip(self.outputs, gaps, strict=True) if not gap <= self.rtol), None)
            if wrong is not None:
                differing += 1
                first = first or self._describe(index, wrong, expected[wrong.name], got[wrong.name], sizes[wrong.name])
        if differing:
            raise PackError(
                f"the answers are not the expected ones: {differing} of {len(self.answers)} rows differ, by up to "
                f"{largest:.3g} of the output's size where {self.rtol:g} is accepted; the first: {first}. Export the "
                "model as it predicts (PyTorch: model.eval()), with the weights that gave these outputs, and give the "
                "rows as they went in there; or accept more: expect_rtol=X, --expect-rtol X"
            )
        return {"rows": len(self.answers), "rtol": self.rtol, "largest_gap": largest}

    def _describe(self, row: int, field: Field, expected: Any, got: Any, size: float) -> str:
        """Describe the first element of an output that differs, for the error."""
        if expected is None or got is None:
            return f"row {row}, output {field.name}: expected {shorten(expected)}, got {shorten(got)}"
        scalar = Field(field.name, field.dtype, nullable=field.nullable)
        for index, (expected_element, got_element) in enumerate(zip(_elements(expected), _elements(got), strict=True)):
            if not _gap(scalar, expected_element, got_element, size) <= self.rtol:
                name = f"{field.name}{_subscript(index, field.shape)}" if field.shape else field.name
                return f"row {row}, output {name}: expected {shorten(expected_element)}, got {shorten(got_element)}"
        raise AssertionError(field.name)  # the caller has found a gap in this output


def check_rtol(rtol: object) -> None:
    """Raise `PackError` where no distance of answers from the expected ones is given."""
    if not isinstance(rtol, (int, float)) or isinstance(rtol, bool) or not 0 <= rtol < 1:
        raise PackError(f"expected expect_rtol to be a number from 0 to 1; got {shorten(rtol)}")


def read_expected(expect: Any, rows: Any, signature: Signature, rtol: float) -> ExpectedOutputs:
    """Read the expected outputs that `pack` was given.

    Args:
        expect: a table with a column for each output to compare, or one for each of its labels, as frames and CSV have
            them; or a mapping of arrays by the outputs' names, or the array of the only output. A table with a column
            for each input, too, brings its own rows; otherwise its rows belong to `rows`, one by one.
        rows: the packing rows, in a container.
        signature: the package's signature.
        rtol: the largest relative distance, as in `ExpectedOutputs`.

    Raises:
        PackError: the table has no output, an unknown column, another number of rows, or values that do not fit.
    """
    check_rtol(rtol)
    table = _table(expect, signature)
    names = [str(name) for name in column_names(table) or ()]
    output_names = [field.name for field in signature.outputs]
    input_names = {field.name for field in signature.inputs}
    other_names = [name for name in names if name not in input_names]
    columns = _split_columns(signature, names)
    if len(output_names) == 1 and len(other_names) == 1 and not columns:
        # Exporters give outputs names of their own ("23"), but the only column can be no other than the only output.
        table = _rename_column(table, other_names[0], output_names[0])
        names = [output_names[0] if name == other_names[0] else name for name in names]
    outputs = tuple(field for field in signature.outputs if field.name in names or field in columns)
    if not outputs:
        raise PackError(
            f"the expected outputs have the columns {shorten(names, 200)}; expected one or more of "
            f"{', '.join(output_names)}"
        )
    known = {*input_names, *output_names, *(column.name for split in columns.values() for column in split)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PackError(
            f"the expected outputs have a column {shorten(unknown[0])}, which is no output of the model (it has "
            f"{', '.join(output_names)}): rename it or leave it out"
        )
    answers = _read_outputs(table, outputs, columns)
    has_inputs = input_names <= set(names)
    inputs = _read(table if has_inputs else rows, signature.inputs, "the rows of the expected outputs")
    if len(inputs) != len(answers):
        raise PackError(
            f"expected outputs for {len(inputs)} rows, one for each packing row; got {len(answers)}. Expected outputs "
            "for other rows bring these rows along, in columns named as the inputs"
        )
    return ExpectedOutputs(inputs, outputs, answers, float(rtol))


def _split_columns(signature: Signature, names: Sequence[str]) -> dict[Field, tuple[Field, ...]]:
    """Return the outputs that a table of these columns has as a column for each label, with these columns."""
    return {
        field: columns
        for field, columns in LabelColumns(signature.outputs).pairs
        if field.name not in names and columns and all(column.name in names for column in columns)
    }


def _read_outputs(table: Any, outputs: Sequence[Field], columns: Mapping[Field, tuple[Field, ...]]) -> list[Row]:
    """Return the canonical rows of outputs; those in `columns` are joined from these columns."""
    what = "the expected outputs"
    rows = _read(table, tuple(column for field in outputs for column in columns.get(field, (field,))), what)
    try:
        joined = LabelColumns(tuple(columns)).join(rows)
    except DecodeError as error:
        raise PackError(f"{what} do not fit the signature: {error}") from error
    return [{**row, **arrays} for row, arrays in zip(rows, joined, strict=True)]


def _table(expect: Any, signature: Signature) -> Any:
    """Return the expected outputs as a table whose columns have names; arrays become rows."""
    if tables.kind_of(expect) == "numpy" and len(signature.outputs) == 1:
        expect = {signature.outputs[0].name: expect}
    if not isinstance(expect, Mapping):
        if column_names(expect) is None:
            names = ", ".join(field.name for field in signature.outputs)
            raise PackError(f"expected a table of expected outputs, or arrays named {names}; got {shorten(expect)}")
        return expect
    columns = {str(name): array.tolist() if hasattr(array, "tolist") else list(array) for name, array in expect.items()}
    if len({len(values) for values in columns.values()}) != 1:
        lengths = ", ".join(f"{name}: {len(values)}" for name, values in columns.items()) or "none"
        raise PackError(f"expected arrays of expected outputs of one length; got {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _rename_column(table: Any, name: str, new: str) -> Any:
    """Return the table with one column renamed."""
    kind = tables.kind_of(table)
    if kind == "rows":
        return [{new if key == name else key: value for key, value in row.items()} for row in table]
    if kind == "pandas":
        return table.rename(columns={name: new})
    if kind == "polars":
        return table.rename({name: new})
    import pyarrow as pa

    columns = pa.table(table)
    return columns.rename_columns([new if column == name else column for column in columns.column_names])


def _read(table: Any, fields: tuple[Field, ...], what: str) -> list[Row]:
    """Return a table's canonical rows of some fields; `what` names the table in errors."""
    try:
        canonical, errors = tables.read(table, fields, "ignore")
    except FourfoldError as error:
        raise PackError(f"{what} cannot be read: {error}") from error
    if errors:
        raise PackError(f"{what} do not fit the signature: {InputError(errors)}")
    return canonical if isinstance(canonical, list) else columns_to_rows(fields, canonical)


def _usual_size(values: Sequence[Any]) -> float:
    """Return how large an output usually is: the median of each row's largest magnitude, without rows of zeros."""
    sizes: list[float] = []
    for value in values:
        finite = [abs(number) for number in _elements(value) if isinstance(number, float) and math.isfinite(number)]
        if any(finite):
            sizes.append(max(finite))
    return median(sizes) if sizes else 0.0


def _gap(field: Field, expected: Any, got: Any, size: float) -> float:
    """Return the largest relative distance of two values' elements; infinite where anything but finite floats differs.

    Args:
        field: the output.
        expected: the expected value.
        got: the package's value.
        size: the output's usual size; distances of smaller numbers are relative to it.
    """
    if (expected is None) != (got is None):
        return math.inf
    largest = 0.0
    for a, b in zip(_elements(expected), _elements(got), strict=True):
        # An exporter that gives 0.0 for -0.0 has changed no number.
        if same_bits(a, b) or (field.dtype in FLOATS and a == b):
            continue
        if field.dtype not in FLOATS or not (math.isfinite(a) and math.isfinite(b)):
            return math.inf
        largest = max(largest, abs(a - b) / max(abs(a), abs(b), size))
    return largest


def _elements(value: Any) -> Iterator[Any]:
    """Yield the elements of a tensor, or a scalar itself."""
    if isinstance(value, list):
        for item in value:
            yield from _elements(item)
    else:
        yield value


def _subscript(index: int, shape: tuple[int, ...]) -> str:
    """Return the subscripts of a tensor's element, such as `[1][0]`, from its index among all elements."""
    subscripts: list[int] = []
    for size in reversed(shape):
        index, subscript = divmod(index, size)
        subscripts.append(subscript)
    return "".join(f"[{subscript}]" for subscript in reversed(subscripts))
