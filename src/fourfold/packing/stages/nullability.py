"""Find out which fields may be missing: ask the model with a missing value in each, and keep what is declared.

A float field is asked where its container holds a missing float in one way (NaN, null). An answer without NaN means
that the model takes it. Others stay as they are declared, or as the rows show them: a text that is missing may be
answered by accident, as the word "None" or "nan", and so may a number by a Python function (a comparison with NaN is
false) and by ONNX (a tree sends NaN to a side).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fourfold import tables
from fourfold.errors import EngineError, FourfoldError, PackError, shorten
from fourfold.function import Function
from fourfold.runtimes.declared import Declared
from fourfold.runtimes.engine import Engine, Prepared
from fourfold.signature import Field, Signature
from fourfold.signature.field import FLOATS

__all__ = ["AskedFields", "ask_nullable"]

#: The runtimes whose models say by an answer that they take a missing value.
ASKED_RUNTIMES = ("sklearn", "lightgbm", "xgboost", "catboost")
#: The most cells of a call; a table of as many rows as fields grows with the square of their number.
MAX_CELLS = 4_000_000
#: The most columns that calls build, one call after the other: a call costs some microseconds a column. What is not
#: known after them stays as the rows show it.
MAX_COLUMNS = 100_000
#: The rows of which the first that fits is asked with.
MAX_TRIED_ROWS = 16


class AskedFields:
    """Hold the input fields with what the model says of missing values, and why.

    Attributes:
        inputs: the fields.
        reasons: why a field may be missing, or may not, by its name.
        engine: the engine that answered, for a signature in which more fields may be missing; `None` if none was asked.
    """

    def __init__(self, inputs: tuple[Field, ...], reasons: dict[str, str], engine: Engine | None) -> None:
        self.inputs = inputs
        self.reasons = reasons
        self.engine = engine


def ask_nullable(prepared: Prepared, declared: Declared, rows: Any, load: Callable[[Signature], Engine]) -> AskedFields:
    """Ask the original engine with a missing value in each field of which nothing is declared.

    Args:
        prepared: the model.
        declared: what the caller declares.
        rows: the packing rows, in the container in which they came.
        load: returns the model's own engine for a signature.

    Raises:
        PackError: a field is named nullable, and the model refuses a missing value in it.
    """
    reasons = {field.name: _reason(field, declared) for field in prepared.inputs}
    holds_floats = _float_columns(prepared.settings.get("form", {}))
    asked = [field.name for field in prepared.inputs if _is_asked(field, declared, holds_floats)]
    unsure = [field.name for field in prepared.inputs if declared.says_nullable(field.name) and not field.shape]
    if prepared.runtime not in ASKED_RUNTIMES or not (asked or unsure):
        return AskedFields(prepared.inputs, reasons, None)
    wide = tuple(replace(field, nullable=True) if field.name in asked else field for field in prepared.inputs)
    signature = Signature(wide, prepared.outputs)
    engine = load(signature)
    row = _first_row(rows, wide)
    if row is None:  # the sample stage says what does not fit
        return AskedFields(prepared.inputs, reasons, None)
    answers = _Question(signature, engine, row).ask([*asked, *unsure])
    inputs = []
    for field in prepared.inputs:
        answer = answers.get(field.name)
        if field.name in unsure:
            if answer == "refused":
                if field.name in declared.nullable:
                    name = shorten(field.name)
                    raise PackError(f"nullable names {name}, and the model refuses a missing value there")
                reasons[field.name] = "declared; the model refuses a missing value"
        elif answer is not None:
            field, reasons[field.name] = _decide(field, answer)  # noqa: PLW2901
        inputs.append(field)
    return AskedFields(tuple(inputs), reasons, engine)


def _decide(field: Field, answer: str) -> tuple[Field, str]:
    """Return a field that the model was asked about, and why it may be missing or may not."""
    match answer:
        case "answered":
            return replace(field, nullable=True), "the model answers a missing value"
        case "refused":
            return replace(field, nullable=False), "the model refuses a missing value"
        case "nan":
            return field, f"the model answers NaN to a missing value, and {_shown(field)}"
    return field, f"{_shown(field)}; the model was not asked"


def _reason(field: Field, declared: Declared) -> str:
    return _shown(field) if declared.says_nullable(field.name) is None else "declared"


def _shown(field: Field) -> str:
    return "some rows lack it" if field.nullable else "no row lacks it"


def _is_asked(field: Field, declared: Declared, holds_floats: Callable[[str], bool]) -> bool:
    """Return whether the model is asked about a field: a float that nothing is declared of, in a column of floats."""
    if field.dtype not in FLOATS or field.shape or field.categories is not None:
        return False
    return declared.says_nullable(field.name) is None and holds_floats(field.name)


def _float_columns(form: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return the function that says of a name whether a container's column of this name holds floats.

    Where the column holds Python objects, a missing value is ambiguous.
    """
    match form.get("container"):
        case "numpy":
            return lambda _: str(form["dtype"]).startswith("float")
        case "pandas":
            columns = {str(column["label"]): column for column in form["columns"]}
            return lambda name: (
                str(columns[name]["dtype"]).lower().startswith("float")
                or columns[name].get("type") in ("float", "double", *FLOATS)
            )
        case "polars" | "arrow":
            return lambda _: True
    return lambda _: False


def _first_row(rows: Any, fields: tuple[Field, ...]) -> Any:
    """Return a record batch of the first row that fits the fields, `None` where none does."""
    from fourfold.signature.columns import rows_to_columns

    count = min(tables.length(rows), MAX_TRIED_ROWS)
    try:
        table, errors = tables.read(tables.take(rows, range(count)), fields, "ignore")
    except FourfoldError:
        return None
    unfit = {error.row for error in errors}
    first = next((index for index in range(count) if index not in unfit), None)
    if first is None:
        return None
    return rows_to_columns(fields, [table[first]]) if isinstance(table, list) else table.slice(first, 1)


class _Question:
    """Ask an engine about a row with a missing value in one field after the other."""

    def __init__(self, signature: Signature, engine: Engine, row: Any) -> None:
        self._function = Function(signature, engine, None)
        self._outputs = signature.outputs
        self._row = row
        self._columns = 0

    def ask(self, names: Sequence[str]) -> dict[str, str]:
        """Return of each field `answered`, `refused`, or `nan` where the answer has one; none when no call is left."""
        has_nan = self._nan_rows(self._row)
        if has_nan is None or has_nan[0]:
            return {}  # the row itself has no answer, or one that says nothing
        step = max(1, MAX_CELLS // max(1, self._row.num_columns))
        stack = [list(names[start : start + step]) for start in range(0, len(names), step)][::-1]
        answers: dict[str, str] = {}
        while stack and self._columns < MAX_COLUMNS:
            asked = stack.pop()
            nan_rows = self._nan_rows(self._without(asked))
            if nan_rows is not None:
                answers |= {name: "nan" if is_nan else "answered" for name, is_nan in zip(asked, nan_rows, strict=True)}
            elif len(asked) == 1:
                answers[asked[0]] = "refused"
            else:
                middle = len(asked) // 2
                stack += [asked[middle:], asked[:middle]]
        return answers

    def _without(self, names: Sequence[str]) -> Any:
        """Return the row as many times as there are names, each time with that field missing."""
        import pyarrow as pa

        repeated = self._row.take(pa.array([0] * len(names), pa.int64()))
        position = {name: index for index, name in enumerate(names)}
        columns = []
        for name, column in zip(repeated.schema.names, repeated.columns, strict=True):
            if name in position:
                index = position[name]
                missing = pa.nulls(1, column.type)
                column = pa.concat_arrays([column[:index], missing, column[index + 1 :]])  # noqa: PLW2901
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, names=repeated.schema.names)

    def _nan_rows(self, batch: Any) -> list[bool] | None:
        """Return which answers have a NaN, `None` where the engine refuses the call."""
        from fourfold.signature.columns import columns_to_rows

        self._columns += batch.num_columns
        try:
            answers = columns_to_rows(self._outputs, self._function(batch))
        except EngineError:
            return None
        return [any(map(_has_nan, row.values())) for row in answers]


def _has_nan(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_nan, value))
    return isinstance(value, float) and value != value
