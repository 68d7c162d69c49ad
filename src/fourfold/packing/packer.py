"""`pack`: from a model that somebody has trained to a package that every architecture runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fourfold import __version__, runtimes, tables
from fourfold.errors import EngineError, InputError, PackError, cut
from fourfold.function import Function, without_numeric_warnings
from fourfold.package import FORMAT, Package, check_name
from fourfold.package.golden import GOLDEN_FILE, Golden, encode_golden
from fourfold.packing.boundaries import boundary_rows
from fourfold.packing.hurtful import hurtful_rows, spread
from fourfold.packing.invariance import Finding, find_block
from fourfold.predictor import Predictor
from fourfold.runtimes.engine import Prepared
from fourfold.signature import Field, Signature, fields

__all__ = ["GOLDEN_TOLERANCE", "pack"]

#: The packing rows that the invariance test and the golden rows are made from; more add time and find no more.
SAMPLE = 256
#: The packing rows, next to those chosen to hurt, that become golden rows.
GOLDEN = 24
#: The relative gap that golden rows may have on another host where the engine rests on BLAS, whose last bits belong to
#: the processor (docs/decisions/0004). Where the answers do not depend on the block, none is allowed.
GOLDEN_TOLERANCE = 1e-9


def pack(
    model: Any,
    *,
    name: str,
    rows: Any,
    inputs: Sequence[Field | Mapping[str, Any]] | None = None,
    extra: Literal["forbid", "ignore"] = "forbid",
    runtime: str | None = None,
    block: int | Literal["auto", "free"] = "auto",
    accept: str = "exact",
    provenance: Mapping[str, str] | None = None,
    **options: Any,
) -> Package:
    """Pack a model once, to run it anywhere with the same answer.

    Args:
        model: a fitted scikit-learn estimator or pipeline, a LightGBM or XGBoost model, the bytes or path of an ONNX
            file, or a Python function or an object with `predict`.
        name: the model's name: a-z, 0-9, `.`, `_` and `-`.
        rows: rows as the model was trained with them: the same container, columns, dtypes and form of missing values.
            A few hundred do; they give the signature, the golden rows and the invariance test.
        inputs: the input fields; inferred from `rows` otherwise.
        extra: whether a key that is no input field is an error (`forbid`) or dropped (`ignore`).
        runtime: the name of the runtime; found from the model's type otherwise.
        block: `auto` tests what the engine needs; a number fixes the rows of every engine call and `free` leaves them
            open, and the test then only checks that.
        accept: `exact`, or `rtol:X` to pack a model whose answer for a row depends on the other rows by a relative gap
            of at most X, whatever the block; the certificate will name the differences.
        provenance: where the model comes from (a commit, a data set), as you want to find it again.
        **options: what the runtime takes, such as `methods=("predict", "predict_proba")` (docs/runtimes.md).

    Returns:
        The package, in memory. The same model, rows and versions give the same digest.

    Raises:
        PackError: the model cannot be packed as asked; it says why.
        SignatureError: no signature can be inferred from the rows.
        InputError: the rows do not fit the inputs given.
    """
    tolerance = _accepted(accept)
    blocks = _blocks(block)
    try:
        check_name(name)
    except ValueError as error:
        raise PackError(str(error)) from None
    prepared = _prepare(model, rows, inputs, runtime, options)
    signature = Signature(prepared.inputs, prepared.outputs, extra)
    # The model came from the caller's own hands, so its code runs here already.
    engine = runtimes.load(prepared.runtime, prepared.settings, prepared.files.__getitem__, signature, trust=True)

    def function(size: int | None) -> Function:
        return Function(signature, engine, size)

    table, sample = _sample(rows, signature)
    with without_numeric_warnings():
        hurtful = _accepted_rows(function(None), hurtful_rows(signature, sample))
        # These are no golden rows: on a boundary another processor may well be on the other side.
        boundaries = _accepted_rows(function(None), boundary_rows(function(None), sample))
        findings = find_block(function, _with_rows(table, [*hurtful, *boundaries], signature), blocks)
        chosen = _choose(findings, tolerance, name)
        inputs_of_golden = [sample[index] for index in spread(len(sample), GOLDEN)] + hurtful
        golden = Golden(inputs_of_golden, function(chosen.block)(inputs_of_golden))
    package = Package.build(
        _manifest(name, signature, prepared, findings, chosen, golden, accept, provenance),
        {**prepared.files, GOLDEN_FILE: encode_golden(golden, signature)},
    )
    Predictor(package, engine)  # replays the golden rows as they were written: what cannot be replayed is not packed
    return package


def _prepare(
    model: Any,
    rows: Any,
    inputs: Sequence[Field | Mapping[str, Any]] | None,
    runtime: str | None,
    options: Mapping[str, Any],
) -> Prepared:
    """The model, made ready for a package by its runtime."""
    if runtime is not None and runtime not in runtimes.NAMES:
        raise PackError(f"expected a runtime of {', '.join(runtimes.NAMES)}; got {cut(runtime)}")
    module = runtimes.claim(model) if runtime is None else runtimes.runtime(runtime)
    try:
        return module.prepare(model, rows, inputs=None if inputs is None else fields(inputs), **options)
    except TypeError as error:
        unknown = [name for name in options if f"'{name}'" in str(error)]
        if not unknown:
            raise
        raise PackError(f"the {module.NAME} runtime takes no {unknown[0]}; see docs/runtimes.md") from error


def _accepted(accept: str) -> float:
    if accept == "exact":
        return 0.0
    kind, _, bound = accept.partition(":") if isinstance(accept, str) else ("", "", "")
    try:
        tolerance = float(bound)
    except ValueError:
        tolerance = -1.0
    if kind != "rtol" or not 0 < tolerance < 1:
        raise PackError(f"expected accept to be 'exact' or 'rtol:X' with X between 0 and 1; got {cut(accept)}")
    return tolerance


def _blocks(block: int | Literal["auto", "free"]) -> Sequence[int | None]:
    if block == "auto":
        from fourfold.packing.invariance import BLOCKS

        return (None, *BLOCKS)
    if block == "free":
        return (None,)
    if not isinstance(block, int) or isinstance(block, bool) or not 1 <= block <= 65_536:
        raise PackError(f"expected block to be 'auto', 'free' or a number of rows from 1 to 65536; got {cut(block)}")
    return (block,)


def _sample(rows: Any, signature: Signature) -> tuple[Any, list[dict[str, Any]]]:
    """The packing rows used, canonical: as they came (columns or rows), and as rows."""
    rows = _named(rows, signature)
    few = tables.take(rows, spread(tables.length(rows), SAMPLE))
    table, errors = tables.read(few, signature.inputs, "ignore")
    if errors:
        raise InputError(errors)
    if isinstance(table, list):
        return table, table
    from fourfold.signature.columns import columns_to_rows

    return table, columns_to_rows(signature.inputs, table)


def _named(rows: Any, signature: Signature) -> Any:
    """The rows as a table: a text model is trained on a list, Series or array of texts, which have no column's name."""
    values = rows.tolist() if getattr(rows, "ndim", 2) == 1 else rows
    if not isinstance(values, (list, tuple)) or any(isinstance(value, Mapping) for value in values):
        return rows
    return [{signature.inputs[0].name: value} for value in values]


def _accepted_rows(function: Function, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that the engine answers: an infinity where a scaler stands, say, is refused, and rightly."""
    out = []
    for row in rows:
        try:
            function([row])
        except EngineError:
            continue
        out.append(row)
    return out


def _with_rows(table: Any, rows: list[dict[str, Any]], signature: Signature) -> Any:
    if isinstance(table, list):
        return table + rows
    import pyarrow as pa

    from fourfold.signature.columns import rows_to_columns

    more = rows_to_columns(signature.inputs, rows)
    return pa.concat_batches([table, pa.RecordBatch.from_arrays(more.columns, schema=table.schema)])


def _choose(findings: list[Finding], tolerance: float, name: str) -> Finding:
    if findings[-1].invariant:
        return findings[-1]
    best = min(findings, key=lambda finding: finding.largest_gap)
    if best.largest_gap <= tolerance:
        return best
    tried = "; ".join(
        f"{'free' if finding.block is None else f'blocks of {finding.block}'}: {finding.differing} of {finding.rows} "
        f"rows differ, first {finding.variation}, by up to {finding.largest_gap:.3g}"
        for finding in findings
    )
    raise PackError(
        f"the answers of {name} for a row depend on the rows that come along with it, whatever the block ({tried}). "
        f"A package is a function of one row. If the gap is noise that you accept, pack with accept='rtol:X'"
    )


def _manifest(
    name: str,
    signature: Signature,
    prepared: Prepared,
    findings: list[Finding],
    chosen: Finding,
    golden: Golden,
    accept: str,
    provenance: Mapping[str, str] | None,
) -> dict[str, Any]:
    return {
        "fourfold": FORMAT,
        "name": name,
        "signature": signature.to_json(),
        "runtime": {
            "name": prepared.runtime,
            "settings": prepared.settings,
            "requires": prepared.requires,
            "libraries": prepared.libraries,
        },
        "exactness": {
            "exact": chosen.invariant,
            "block": chosen.block,
            "rows": chosen.rows,
            "tested": [finding.to_json() for finding in findings],
            "accepted": accept,
        },
        "golden": {
            "file": GOLDEN_FILE,
            "rows": len(golden.inputs),
            "tolerance": 0 if chosen.invariant and chosen.block is None else max(GOLDEN_TOLERANCE, _accepted(accept)),
        },
        "provenance": {
            "fourfold": __version__,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            **{str(key): str(value) for key, value in (provenance or {}).items()},
        },
    }
