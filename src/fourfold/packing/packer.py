"""Pack a trained model, so that every architecture can run it.

The model's own engine answers first. Then every other engine that could run it answers the same rows, and the package
gets the fastest that gives the same answer (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from fourfold.function import without_numeric_warnings
from fourfold.package import Package
from fourfold.packing.engines.benchmark import Shape
from fourfold.packing.engines.invariance import parse_block
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.packing.request import check_request
from fourfold.packing.samples.expected_outputs import EXPECT_RTOL
from fourfold.packing.stages.build import build
from fourfold.packing.stages.compete import compete
from fourfold.packing.stages.measure import measure_engines
from fourfold.packing.stages.prepare import prepare, runtime_of
from fourfold.packing.stages.sample import sample
from fourfold.runtimes.declared import read_declared
from fourfold.runtimes.training_columns import spell_text
from fourfold.signature import Extra, Field
from fourfold.tables import as_array

__all__ = ["pack"]


def pack(
    model: Any,
    *,
    name: str,
    rows: Any,
    inputs: Sequence[Field | Mapping[str, Any]] | Mapping[str, Field | Mapping[str, Any] | str] | None = None,
    nullable: Iterable[str] = (),
    required: Iterable[str] = (),
    text: Iterable[str] = (),
    category: Iterable[str] = (),
    open: Iterable[str] = (),  # noqa: A002 - a word of the signature
    extra: Extra = "forbid",
    runtime: str | None = None,
    engine: str = "auto",
    block: int | Literal["auto", "free"] = "auto",
    accept: str = "tight",
    measure: bool = False,
    shape: Shape = "both",
    provenance: Mapping[str, str] | None = None,
    expect: Any = None,
    expect_rtol: float = EXPECT_RTOL,
    **options: Any,
) -> Package:
    """Pack a model once, to run it anywhere with the same answer.

    Args:
        model: a fitted scikit-learn estimator or pipeline, a LightGBM, XGBoost or CatBoost model, the bytes or path of
            an ONNX file, or a Python function or an object with `predict`.
        name: the model's name: a-z, 0-9, `.`, `_` and `-`.
        rows: a few hundred rows as the model was trained with them: the same container, columns, dtypes and form of
            missing values. The golden rows are made from them, and engines are compared on them.
        inputs: all input fields, or some by name, `{"age": Field("age", "int64")}`; the others are inferred.
        nullable: the names of fields that may be missing. Float fields may where the model answers a missing value.
        required: the names of fields that may not be missing.
        text: the names of fields that are text, such as postcodes that a file's reader took for integers.
        category: the names of fields whose column has a categorical dtype, where rows and model do not tell.
        open: the names of fields that take values which are none of the model's categories.
        extra: whether a key that is no input field is an error (`forbid`) or dropped (`ignore`).
        runtime: the name of the model's own runtime; inferred from the model's type otherwise.
        engine: `auto`, the fastest that gives the same answers; `original`, the model's own; `plan`, that or an error.
        block: the rows of every call of the model's own engine: a number; `free`, any; or `auto`, what it needs.
        accept: the tolerance. `tight`: the same bits, except where the original's last bits depend on a BLAS or a libm;
            there 512 units in the last place (16 for float32), and equal labels. `exact`: the same bits everywhere.
            `ulp:N`, N units, and `rtol:X`, a relative distance, also let the answer for a row move with other rows.
        measure: whether engines are measured, in processes of their own; `figures` holds what they took.
        shape: what the engine is chosen for, where engines are measured: calls with `one` row, with `many`, or `both`.
        provenance: where the model comes from (a commit, a data set), in your own words.
        expect: the answers of the framework that trained the model, for each of `rows`: a table with a column for each
            output to compare, or arrays by the outputs' names; or a table that has the inputs too.
        expect_rtol: how far answers may be from these, relative to the output's size. Other dtypes must be equal.
        **options: the runtime's own options, such as `methods=("predict", "predict_proba")` (docs/runtimes.md).

    Returns:
        The package, in memory. The same model, rows and versions give the same digest, unless an engine is faster.

    Raises:
        PackError: the model cannot be packed as asked, or does not answer as expected; the error says why.
        SignatureError: no signature can be inferred from the rows; `InputError`: they do not fit the inputs given.
    """
    asked: dict[str, Any] = {"measure": measure, "shape": shape, "provenance": provenance, "expect_rtol": expect_rtol}
    check_request(name=name, extra=extra, runtime=runtime, **asked)
    tolerance, blocks = Tolerance.parse(accept), parse_block(block)
    driver = runtime_of(model, runtime, engine)
    declared = read_declared(inputs, nullable, required, text, category, open)
    rows = spell_text(as_array(rows), declared)
    original = prepare(model, name, rows, declared=declared, extra=extra, runtime=driver, options=options)
    with without_numeric_warnings():
        samples = sample(original, rows, expect, expect_rtol, measure=measure)
        result = compete(original, samples, tolerance, blocks, engine, measure=measure)
        result = measure_engines(result) if measure else result
        return build(result, engine, provenance, shape)
