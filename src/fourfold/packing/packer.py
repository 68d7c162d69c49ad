"""`pack`: from a model that somebody has trained to a package that every architecture runs.

The model's own engine answers first. Then every other engine that could run it answers the same rows, and the package
gets the fastest that gives the same answer (docs/decisions/0007).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fourfold import __version__, runtimes, tables
from fourfold.errors import InputError, PackError, shorten
from fourfold.function import Function, without_numeric_warnings
from fourfold.package import FORMAT, Package, check_name
from fourfold.package.golden import GOLDEN_FILE, GoldenRows, encode_golden
from fourfold.packing.engines.benchmark import measure as measured
from fourfold.packing.engines.candidate import Candidate
from fourfold.packing.engines.candidates import candidates, original
from fourfold.packing.engines.comparison import answers_of
from fourfold.packing.engines.invariance import BLOCKS, Finding, best, blocks_of, find_block
from fourfold.packing.engines.tolerance import Tolerance
from fourfold.packing.engines.tournament import Entry, Rows, chosen, hold
from fourfold.packing.samples.decision_boundaries import boundary_rows
from fourfold.packing.samples.edge_cases import edge_cases, spread
from fourfold.packing.samples.expected_outputs import EXPECT_RTOL, Expected, expected_of
from fourfold.predictor import Predictor
from fourfold.runtimes.engine import Prepared
from fourfold.signature import Field, Signature, fields

__all__ = ["GOLDEN_TOLERANCE", "pack"]

#: The packing rows that the invariance test and the golden rows are made from; more add time and find no more.
SAMPLE = 256
#: The packing rows that engines are measured on.
MEASURED = 4096
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
    engine: str = "auto",
    block: int | Literal["auto", "free"] = "auto",
    accept: str = "tight",
    measure: bool = False,
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
        rows: rows as the model was trained with them: the same container, columns, dtypes and form of missing values.
            A few hundred do; they give the signature, the golden rows, the invariance test and the proof of engines.
        inputs: the input fields; inferred from `rows` otherwise.
        extra: whether a key that is no input field is an error (`forbid`) or dropped (`ignore`).
        runtime: the name of the model's own runtime; found from the model's type otherwise.
        engine: `auto` takes the fastest engine that gives the same answer; `original` the model's own; the name of any
            other (`plan`) takes that one or fails.
        block: `auto` tests what the model's own engine needs; a number fixes the rows of every call of it and `free`
            leaves them open, and the test then only checks that.
        accept: what the same answer is. `tight`: the same bits, except where the original's last bits depend on a BLAS
            or a libm; there 512 units in the last place (16 of a float32), and labels equal. `exact`: the same bits
            everywhere. `ulp:N` or `rtol:X`: N units in the last place, or a share of X; then a model whose answer for
            a row depends on the other rows by no more is packed, too.
        measure: whether engines are measured, each in a process of its own (seconds); the package gets the figures,
            so that its digest is another at every packing. Otherwise the one that is expected to be faster is taken.
        provenance: where the model comes from (a commit, a data set), as you want to find it again.
        expect: what the framework that trained the model answered: a table with a column for each output that shall be
            compared, or arrays by the outputs' names, a row for each of `rows`; or a table that has the inputs too.
        expect_rtol: how far answers may be from these, as a share of the output's size; what is no float is equal.
        **options: what the runtime takes, such as `methods=("predict", "predict_proba")` (docs/runtimes.md).

    Returns:
        The package, in memory. The same model, rows and versions give the same digest, unless `measure` is set.

    Raises:
        PackError: the model cannot be packed as asked, or does not answer as expected; it says why.
        SignatureError: no signature can be inferred from the rows.
        InputError: the rows do not fit the inputs given.
    """
    accepted = Tolerance.of(accept)
    blocks = blocks_of(block)
    try:
        check_name(name)
    except ValueError as error:
        raise PackError(str(error)) from None
    prepared = _prepare(model, rows, inputs, runtime, options)
    signature = Signature(prepared.inputs, prepared.outputs, extra)
    expected = None if expect is None else expected_of(expect, _named(rows, signature), signature, expect_rtol)
    with without_numeric_warnings():
        work = _Packing(name, signature, accepted, provenance, expected, *_sample(rows, signature))
        work.compete(model, prepared, blocks, everything=measure or engine not in ("auto", "original", "plan"))
        if measure:
            work.measure(_readable(rows, signature))
        return work.packed(engine)


@dataclass
class _Packing:
    """One packing: what is asked for, and what is found.

    Attributes:
        name, signature, accept, provenance, expected: as asked for.
        table: the packing rows used, canonical, as they came: columns or rows.
        sample: the same as rows.
        edge_cases: rows made to hurt.
        findings: what the invariance test found about the model's own engine.
        entries: what the tournament found, the model's own engine last.
    """

    name: str
    signature: Signature
    accept: Tolerance
    provenance: Mapping[str, str] | None
    expected: Expected | None
    table: Any
    sample: list[dict[str, Any]]
    edge_cases: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def compete(self, model: Any, prepared: Prepared, blocks: Sequence[int | None], *, everything: bool) -> None:
        """Test the model's own engine, and hold all others against it."""
        own, engine = original(prepared, self.signature)
        free = Function(self.signature, engine, None)
        if self.expected is not None:
            self.expected.check(free)  # the package's engine is asked too; this one says it before the long work
        self.edge_cases = edge_cases(self.signature, self.sample)
        # These are no golden rows: on a boundary another processor may well be on the other side.
        boundaries = boundary_rows(free, self.sample)
        tested = _with_rows(self.table, _accepted_rows(free, [*self.edge_cases, *boundaries]), self.signature)
        self.findings = find_block(lambda size: Function(self.signature, engine, size), tested, blocks)
        reference = Function(self.signature, engine, best(self.findings).block)
        rows = Rows(self.sample, self.edge_cases, boundaries)
        others = [self._settled(each) for each in candidates(model, prepared, self.signature, everything=everything)]
        self.entries = [*hold(self.signature, reference, others, rows, self.accept), Entry(own, "original")]

    def _settled(self, candidate: Candidate) -> Candidate:
        """A candidate with the block that it needs. A plan computes every row by itself and needs none."""
        engine = candidate.engine
        if engine is None or candidate.name == "plan":
            return candidate
        free = Function(self.signature, engine, None)
        rows = _accepted_rows(free, [*self.sample, *self.edge_cases])
        if not rows:  # it answers nobody, which the proof will say
            return candidate
        findings = find_block(lambda size: Function(self.signature, engine, size), rows, (None, *BLOCKS))
        return replace(candidate, findings=tuple(findings))

    def measure(self, rows: list[dict[str, Any]]) -> None:
        """Measure every engine that could be chosen, on canonical rows."""
        for place, entry in enumerate(self.entries):
            if entry.takes_part and (entry.verdict != "original" or self._is_function()):
                assert entry.candidate.prepared is not None
                size = sum(map(len, entry.candidate.prepared.files.values()))
                self.entries[place] = replace(entry, figures=measured(self.build(entry), size, rows))

    def packed(self, engine: str) -> Package:
        """The package of the engine that is chosen."""
        entry = chosen(self.entries, engine, self.check_invariant)
        package = self.build(entry)
        assert entry.candidate.engine is not None
        # Replays the golden rows as they were written: what cannot be replayed is not packed.
        Predictor(package, entry.candidate.engine)
        return package

    def build(self, entry: Entry) -> Package:
        """The package with one engine of those that took part."""
        prepared, engine = entry.candidate.prepared, entry.candidate.engine
        assert prepared is not None
        assert engine is not None
        findings = list(entry.candidate.findings) or self.findings
        if entry.candidate.name == "plan":
            # Of an engine that computes every row by itself this is a check and no search.
            tested = Function(self.signature, engine, None)
            findings = find_block(lambda _: tested, [*self.sample, *_accepted_rows(tested, self.edge_cases)], (None,))
        found = best(findings)
        function = Function(self.signature, engine, found.block)
        inputs = [self.sample[index] for index in spread(len(self.sample), GOLDEN)]
        inputs += _accepted_rows(function, self.edge_cases)
        golden = GoldenRows(inputs, function(inputs))
        tolerance = 0 if found.invariant and found.block is None else max(GOLDEN_TOLERANCE, self.accept.tolerance)
        manifest = {
            "fourfold": FORMAT,
            "name": self.name,
            "signature": self.signature.to_json(),
            "runtime": {
                "name": prepared.runtime,
                "settings": prepared.settings,
                "requires": prepared.requires,
                "libraries": prepared.libraries,
            },
            "exactness": {
                "exact": found.invariant,
                "block": found.block,
                "rows": found.rows,
                "tested": [finding.to_json() for finding in findings],
                "accepted": self.accept.text,
                **({} if self.expected is None else {"expected": self.expected.check(function)}),
            },
            "engines": [each.to_json(chosen=each.candidate is entry.candidate) for each in self.entries],
            "golden": {"file": GOLDEN_FILE, "rows": len(golden.inputs), "tolerance": tolerance},
            "provenance": {
                "fourfold": __version__,
                "python": f"{sys.version_info.major}.{sys.version_info.minor}",
                **{str(key): str(value) for key, value in (self.provenance or {}).items()},
            },
        }
        return Package.build(manifest, {**prepared.files, GOLDEN_FILE: encode_golden(golden, self.signature)})

    def _is_function(self) -> bool:
        """Whether the model's own engine gives a row the same answer in any company, as far as is accepted."""
        return self.findings[-1].invariant or best(self.findings).largest_gap <= self.accept.tolerance

    def check_invariant(self) -> None:
        """Raise `PackError` where it does not."""
        if self._is_function():
            return
        tried = "; ".join(
            f"{'free' if finding.block is None else f'blocks of {finding.block}'}: {finding.differing} of "
            f"{finding.rows} rows differ, first {finding.variation}, by up to {finding.largest_gap:.3g}"
            for finding in self.findings
        )
        raise PackError(
            f"the answers of {self.name} for a row depend on the rows that come along with it, whatever the block "
            f"({tried}). A package is a function of one row. If the gap is noise that you accept, pack with "
            "accept='rtol:X'"
        )


def _prepare(
    model: Any,
    rows: Any,
    inputs: Sequence[Field | Mapping[str, Any]] | None,
    runtime: str | None,
    options: Mapping[str, Any],
) -> Prepared:
    """The model, made ready for a package by its runtime."""
    if runtime is not None and runtime not in runtimes.TAKERS:
        raise PackError(f"expected a runtime of {', '.join(runtimes.TAKERS)}; got {shorten(runtime)}")
    module = runtimes.claim(model) if runtime is None else runtimes.runtime(runtime)
    try:
        return module.prepare(model, rows, inputs=None if inputs is None else fields(inputs), **options)
    except TypeError as error:
        unknown = [name for name in options if f"'{name}'" in str(error)]
        if not unknown:
            raise
        raise PackError(f"the {module.NAME} runtime takes no {unknown[0]}; see docs/runtimes.md") from error


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


def _readable(rows: Any, signature: Signature) -> list[dict[str, Any]]:
    """Packing rows as canonical rows, but for those that are none: only rows of the sample must be in order."""
    rows = _named(rows, signature)
    few = tables.take(rows, spread(tables.length(rows), MEASURED))
    table, errors = tables.read(few, signature.inputs, "ignore")
    bad = {error.row for error in errors}
    if isinstance(table, list):
        return [row for row in table if row is not None]
    from fourfold.signature.columns import columns_to_rows

    made = columns_to_rows(signature.inputs, table)
    return [row for place, row in enumerate(made) if place not in bad]


def _named(rows: Any, signature: Signature) -> Any:
    """The rows as a table: a text model is trained on a list, Series or array of texts, which have no column's name."""
    values = rows.tolist() if getattr(rows, "ndim", 2) == 1 else rows
    if not isinstance(values, (list, tuple)) or any(isinstance(value, Mapping) for value in values):
        return rows
    return [{signature.inputs[0].name: value} for value in values]


def _accepted_rows(function: Function, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that the engine answers: an infinity where a scaler stands, say, is refused, and rightly."""
    answers = answers_of(function, rows)
    return [row for row, answer in zip(rows, answers, strict=True) if answer is not None]


def _with_rows(table: Any, rows: list[dict[str, Any]], signature: Signature) -> Any:
    if isinstance(table, list):
        return table + rows
    import pyarrow as pa

    from fourfold.signature.columns import rows_to_columns

    more = rows_to_columns(signature.inputs, rows)
    return pa.concat_batches([table, pa.RecordBatch.from_arrays(more.columns, schema=table.schema)])
