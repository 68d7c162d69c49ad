"""Predict with a loaded package: validate the rows, call the engine, validate its answers.

Every architecture receives a ready `Predictor` and only moves tables to it and back. This is the one place that
validates rows, calls the engine and checks its answers, so no architecture can differ from another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

from fourfold.environment import read_number
from fourfold.errors import (
    EngineError,
    GoldenMismatch,
    InputError,
    PackageError,
    ReplayTimeout,
    RowError,
    RowErrors,
    SignatureError,
    shorten,
)
from fourfold.function import Function, concatenate, slice_rows, take_rows, without_numeric_warnings
from fourfold.other_names import OF_PREDICTOR, NamesWhatExists
from fourfold.package.golden import GoldenRows, Replay, compare, read_golden
from fourfold.runtimes.engine import CheckingEngine, DirectEngine, Engine, StoppableEngine, installed_version
from fourfold.signature import Extra, Field, RowCoercer, Signature
from fourfold.signature.label_columns import LabelColumns
from fourfold.signature.probabilities import classes_of, probability_field
from fourfold.time_limit import TimeIsUp, call_within

if TYPE_CHECKING:
    from fourfold.package import Package

__all__ = ["REPLAY_VARIABLE", "Answer", "Predictor", "changed_libraries", "replay_limit"]

#: The environment variable that says for how many seconds a start waits for the answers to the golden rows.
REPLAY_VARIABLE = "FOURFOLD_REPLAY_SECONDS"
#: The most libraries of a manifest that are compared with those that are installed: looking one up takes a while.
MAX_SHOWN_LIBRARIES = 50
#: The seconds that it waits where the variable is not set.
DEFAULT_REPLAY_S = 60.0

#: The most errors of a caller's own table that are built; the others are counted.
MAX_INPUT_ERRORS = 10_000
#: After so many rows that fail alone, with none that succeeds, check that the engine still answers golden rows.
FAILURES_BEFORE_CHECK = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold the answers to the valid rows of a table, and the errors of the others.

    Attributes:
        outputs: the answers, in the order of their rows: a list of dicts for a list of rows, a `pyarrow.RecordBatch` of
            the signature's outputs for an Arrow table.
        kept: for each answer, the index of its row in the input table.
        errors: the errors, ordered by row; all of them, unless `answer` was told how many to build.
    """

    outputs: Any
    kept: Sequence[int]
    errors: RowErrors


_One = Callable[[Any], dict[str, Any] | None]
_Many = Callable[[list[Any]], list[dict[str, Any]] | None]


def _no_fast_path(data: Any) -> None:
    """Return None: this engine has no fast path."""


def _fast_paths(engine: DirectEngine, signature: Signature, extra: Extra) -> tuple[_One, _Many]:
    """Return the fast paths for one row and for many of an engine whose package treats unknown keys in the other way.

    Rows whose keys are all fields are the engine's as they are. Of the others the unknown keys are left out, where they
    are ignored; where they are forbidden, the slow path explains them.
    """
    names = frozenset(field.name for field in signature.inputs)

    def known(row: Any) -> Any:
        if type(row) is not dict or row.keys() <= names:
            return row
        return {key: value for key, value in row.items() if key in names} if extra == "ignore" else None

    def one(row: Any) -> dict[str, Any] | None:
        reduced = known(row)
        return None if reduced is None else engine.one(reduced)

    def many(rows: list[Any]) -> list[dict[str, Any]] | None:
        reduced = [known(row) for row in rows]
        return None if None in reduced else engine.many(reduced)

    return one, many


class Predictor(NamesWhatExists):
    """Answer rows with a loaded package; safe to use from many threads.

    Args:
        package: the package.
        engine: its loaded engine.
        version: its version in the repository that it came from; only shown to people.
        reduce: returns how another process loads it again, as `__reduce__` does; without it, it is not pickled.

    Attributes:
        engine: the engine; to explain answers, not to compute them.
        extra: what becomes of a key or a column that is no field: `forbid` makes it an error, `ignore` drops it. It is
            the package's own, unless `with_extra` or a call says otherwise.
        replay: the result of replaying the golden rows.

    Raises:
        GoldenMismatch: the golden rows do not give the answers that the package recorded.
        ReplayTimeout: they take longer than `$FOURFOLD_REPLAY_SECONDS`, 60 where it is not set.
    """

    _INSTEAD = OF_PREDICTOR

    def __init__(
        self,
        package: Package,
        engine: Engine,
        *,
        version: int | None = None,
        reduce: Callable[[Predictor], tuple[Any, ...]] | None = None,
    ) -> None:
        self.package = package
        self.version = version
        self.engine = engine
        self._reduce = reduce
        # A direct engine computes each row by itself: in blocks it would compute padding for nobody.
        block = None if isinstance(engine, DirectEngine) else package.block
        self._function = Function(package.signature, engine, block)
        self.extra: Extra = package.signature.extra
        self._rows = RowCoercer(package.signature.inputs, self.extra)
        # The fast path: an engine that recognises rows that need no coercion gives the same answer in a tenth of the
        # time. It returns None for all others; the slow path then coerces them or explains their errors.
        self._one: _One = _no_fast_path
        self._many: _Many = _no_fast_path
        if isinstance(engine, DirectEngine):
            self._one, self._many = engine.one, engine.many
        self.replay = self._replay()

    def with_extra(self, extra: Extra) -> Predictor:
        """Return a predictor of the same engine that forbids, or ignores, keys and columns that are no fields.

        Raises:
            SignatureError: `extra` is neither `forbid` nor `ignore`.
        """
        if extra == self.extra:
            return self
        if extra not in ("forbid", "ignore"):
            raise SignatureError(f"expected extra to be 'forbid' or 'ignore'; got {shorten(extra)}")
        other: Predictor = self._other_extra
        return other

    @cached_property
    def _other_extra(self) -> Predictor:
        # Not a copy by `copy`, which asks how to pickle: a pickle loads the package again.
        other: Predictor = object.__new__(type(self))
        other.__dict__ |= {
            key: value for key, value in self.__dict__.items() if key not in ("_other_extra", "_columns")
        }
        other.extra = "ignore" if self.extra == "forbid" else "forbid"
        other._rows = RowCoercer(self.signature.inputs, other.extra)
        if isinstance(self.engine, DirectEngine):
            other._one, other._many = _fast_paths(self.engine, self.signature, other.extra)
        return other

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.package.name

    @property
    def digest(self) -> str:
        """Return the package's digest."""
        return self.package.digest

    @property
    def signature(self) -> Signature:
        """Return the package's inputs and outputs."""
        return self.package.signature

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Return the input fields, in the order of the model's training."""
        return self.signature.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        """Return the output fields."""
        return self.signature.outputs

    @property
    def classes(self) -> tuple[Any, ...]:
        """Return the classes of the columns that `predict_proba` returns, in their order.

        Raises:
            AttributeError: it returns none, or they have no names; as of an estimator that is no classifier.
        """
        try:
            return classes_of(self.outputs, self.name)
        except PackageError as error:
            raise AttributeError(str(error)) from None

    def __repr__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"<Predictor {self.name}{version} {self.digest[:19]}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the package, and what the replay of its golden rows gave here."""
        from fourfold.package.shown import package_html  # only notebooks need it

        replay = self.replay
        here = "the same bits here" if replay.exact else f"here within a relative gap of {replay.largest_gap:.3g}"
        package = self.package
        return package_html(
            package.manifest,
            package.signature,
            package.digest,
            package.figures,
            version=self.version,
            more=[("loaded", f"ready to answer: {replay.rows:,} golden rows, {here}")],
        )

    def __copy__(self) -> Predictor:
        return self  # it never changes, and any number of threads may call it

    def __deepcopy__(self, memo: object) -> Predictor:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return where its package lies, its digest, and the function that loads it again where it is unpickled.

        Raises:
            PicklingError: its package lies nowhere but in this process, or `fourfold.load` did not make the predictor.
        """
        if self._reduce is None:
            raise PicklingError(f"the predictor {self.name} is not pickled: fourfold.load did not make it")
        if self.extra != self.signature.extra:
            return Predictor.with_extra, (self.with_extra(self.signature.extra), self.extra)
        return self._reduce(self)

    def predict(
        self, data: Any, *, absent: Collection[str] = (), arrays: bool = False, extra: Extra | None = None
    ) -> Any:
        """Predict for every row of a table.

        Args:
            data: a pandas or polars frame, an Arrow table or batch, a NumPy array of shape `(rows, inputs)`, or a
                list of dicts, or of other rows that `predict_one` takes.
            absent: the nullable fields whose column may be absent from the table: they are missing in every row.
            arrays: whether an output with labels, such as the probabilities of classes, is one column of arrays in a
                frame too; otherwise a frame has a column for each label, such as `probability_yes`.
            extra: what becomes of keys and columns that are no fields; `None` for the predictor's own `extra`.

        Returns:
            The outputs in the same kind of container, one row for each row; a pandas frame keeps its index.

        Raises:
            InputError: a row does not fit the signature; the error lists row, field, expected and got, of the first
                `MAX_INPUT_ERRORS`.
            TableError: the table lacks a column that is not in `absent`, or has one that it may not have.
            EngineError: the engine failed.
        """
        if extra is not None and extra != self.extra:
            return self.with_extra(extra).predict(data, absent=absent, arrays=arrays)
        if type(data) is list and not absent:
            outputs = self._many(data)
            if outputs is not None:
                return outputs
        from fourfold import tables

        label_columns = None if arrays else self._label_columns
        return tables.write(data, self._answer_all(data, absent), label_columns=label_columns)

    #: `predictor(frame)` is `predictor.predict(frame)`.
    __call__ = predict

    def predict_proba(self, data: Any, *, absent: Collection[str] = (), extra: Extra | None = None) -> Any:
        """Return the probabilities of the classes, as a classifier of scikit-learn does.

        Args:
            data: a table, as `predict` takes it.
            absent: the nullable fields whose column may be absent from the table: they are missing in every row.
            extra: what becomes of columns that are no fields; `None` for the predictor's own `extra`.

        Returns:
            A NumPy array of shape `(rows, classes)`, of the dtype of the output of probabilities, with its bits; the
            classes are `classes`.

        Raises:
            PackageError: the package does not answer a probability for each class; the message says what it answers.
            MissingLibrary: NumPy or pyarrow is not installed.
            InputError, TableError, EngineError: as `predict` raises them.
        """
        if extra is not None and extra != self.extra:
            return self.with_extra(extra).predict_proba(data, absent=absent)
        from fourfold import tables

        field = probability_field(self.outputs, self.name)
        return tables.array_of(self._answer_all(data, absent), field)

    def _answer_all(self, data: Any, absent: Collection[str]) -> Any:
        """Return the answers to all rows of a table, canonical; raise as `predict` does."""
        from fourfold import tables

        table, errors = tables.read(data, self.signature.inputs, self.extra, MAX_INPUT_ERRORS, absent)
        if errors:
            raise InputError(errors)
        return self._function(table)

    @cached_property
    def _label_columns(self) -> LabelColumns:
        return LabelColumns(self.signature.outputs)

    def predict_one(self, row: Any, *, extra: Extra | None = None) -> dict[str, Any]:
        """Predict for one row: a dict in, a dict out.

        Args:
            row: a dict or another mapping; or a row of pandas (a `Series`) or of a database, a named tuple, an instance
                of a dataclass or of a class of attrs, pydantic or msgspec.
            extra: what becomes of keys that are no fields; `None` for the predictor's own `extra`.

        Raises:
            InputError: the row does not fit the signature.
            EngineError: the engine failed.
        """
        if extra is not None and extra != self.extra:
            return self.with_extra(extra).predict_one(row)
        output = self._one(row)
        if output is not None:
            return output
        coerced, errors = self._rows.row(row)
        if coerced is None:
            raise InputError(errors)
        answer: dict[str, Any] = self._function([coerced])[0]
        return answer

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
        """Return the answer to each row, `None` for a row with an error; raise as `answer` does."""
        answers: list[Mapping[str, Any] | None] = [None] * len(rows)
        answer = self.answer(list(rows))
        for index, output in zip(answer.kept, answer.outputs, strict=True):
            answers[index] = output
        return answers

    def answer(self, table: Any, max_errors: int | None = None, *, absent: Collection[str] = ()) -> Answer:
        """Predict for the rows that fit the signature, and return the errors of the others.

        Args:
            table: a list of dicts, or a `pyarrow.RecordBatch` or `Table`.
            max_errors: the most errors that are built; the others are counted. Where some are only counted, no row is
                answered. `None` builds all, at most `MAX_ROW_ERRORS` of each row.
            absent: the nullable fields whose column may be absent from an Arrow table.

        Raises:
            TableError: an Arrow table lacks a column that is not in `absent`, or has one that it may not have.
            EngineError: the engine is broken: it fails on `FAILURES_BEFORE_CHECK` rows, answers none, and fails on a
                golden row too.
        """
        if isinstance(table, list):
            outputs = self._many(table)
            if outputs is not None:
                return Answer(outputs, range(len(outputs)), RowErrors())
            coerced, errors = self._rows(table, max_errors)
            kept: Sequence[int] = [index for index, row in enumerate(coerced) if row is not None]
            valid: Any = [row for row in coerced if row is not None]
        else:
            valid, kept, errors = self._valid_columns(table, max_errors, absent)
        if max_errors is not None and not errors.are_all_built:
            return Answer(self._function.empty(valid), [], errors)
        try:
            return Answer(self._function(valid), kept, errors)
        except EngineError:
            return self._answer_around_failures(valid, kept, errors)

    def _valid_columns(
        self, table: Any, max_errors: int | None, absent: Collection[str]
    ) -> tuple[Any, Sequence[int], RowErrors]:
        """Return the coerced rows that fit the signature, their indices in `table`, and the errors of the others."""
        batch, errors = self._columns(table, max_errors, absent=absent)
        if not errors or (max_errors is not None and not errors.are_all_built):
            return batch, range(batch.num_rows), errors
        invalid = {error.row for error in errors}
        kept = [index for index in range(batch.num_rows) if index not in invalid]
        return take_rows(batch, kept), kept, errors

    @cached_property
    def _columns(self) -> Any:
        # Needs pyarrow, which is installed where a caller has an Arrow table.
        from fourfold.signature.columns import ColumnCoercer

        return ColumnCoercer(self.signature.inputs, self.extra)

    def _answer_around_failures(self, valid: Any, kept: Sequence[int], errors: RowErrors) -> Answer:
        """Answer valid rows where the engine refuses some: halve the table until only the refused rows are left out.

        Args:
            valid: the coerced rows.
            kept: for each, its index in the input table.
            errors: the errors of the other rows.

        Raises:
            EngineError: the engine is broken; see `answer`.
        """
        pieces: list[Any] = []
        answered: list[int] = []
        refused: list[RowError] = []
        stack = [(0, len(valid))]
        while stack:
            start, stop = stack.pop()
            try:
                pieces.append(self._function(slice_rows(valid, start, stop)))
                answered.extend(kept[start:stop])
            except EngineError as error:
                if stop - start > 1:
                    middle = (start + stop) // 2
                    stack += [(middle, stop), (start, middle)]  # the first half is popped first
                    continue
                refused.append(
                    RowError(kept[start], None, "engine", "an answer from the engine", shorten(str(error), 200))
                )
                if len(refused) == FAILURES_BEFORE_CHECK and not answered and not self._answers_golden_rows():
                    raise
        all_errors = RowErrors(
            sorted([*errors, *refused], key=lambda error: error.row),
            total=errors.total + len(refused),
            rows=errors.rows + len(refused),
        )
        return Answer(concatenate(pieces, self._function.empty(valid)), answered, all_errors)

    def _answers_golden_rows(self) -> bool:
        """Return whether the engine still answers a golden row: if so, the rows that it refuses are at fault."""
        try:
            self._function(read_golden(self.package).inputs[:1])
        except EngineError:
            return False
        return True

    def _replay(self) -> Replay:
        """Replay the golden rows: all of them in one call, and the first one alone.

        Raises:
            GoldenMismatch: an answer differs by more than the package's tolerance, or the engine fails.
            ReplayTimeout: the answers take too long.
        """
        golden: GoldenRows = read_golden(self.package)
        names = [field.name for field in self.signature.outputs]
        outputs, alone = self._answer_golden_rows(golden)
        together = compare(golden, outputs, names)
        single = compare(GoldenRows(golden.inputs[:1], golden.outputs[:1]), alone, names)
        worst = max(together, single, key=lambda replay: replay.largest_gap)
        if worst.first is not None and worst.largest_gap > self.package.manifest["golden"]["tolerance"]:
            raise GoldenMismatch(self._mismatch(worst))
        return Replay(together.rows, together.exact and single.exact, worst.largest_gap, worst.first)

    def _answer_golden_rows(self, golden: GoldenRows) -> tuple[Any, Any]:
        """Return the answers to all golden rows in one call, and to the first one alone; raise as `_replay` does."""
        limit_s = replay_limit()
        if isinstance(self.engine, CheckingEngine):
            self.engine.check_golden(golden.inputs)

        def answer() -> tuple[Any, Any]:
            try:
                with without_numeric_warnings():
                    return self._function(golden.inputs), self._function(golden.inputs[:1])
            except (SystemExit, KeyboardInterrupt) as error:  # the engine's own: Ctrl-C reaches the caller's wait
                raise EngineError(f"the engine raised {type(error).__name__}") from error

        stop = self.engine.stop if isinstance(self.engine, StoppableEngine) else None
        try:
            return call_within(limit_s, answer, stop)
        except TimeIsUp:
            raise ReplayTimeout(
                f"the package {self.name} did not answer its {len(golden.inputs)} golden rows within {limit_s:g} s, so "
                f"it was not loaded; where its engine is that slow, set {REPLAY_VARIABLE} to more seconds"
            ) from None
        except EngineError as error:
            raise GoldenMismatch(
                f"the package {self.name} cannot answer its golden rows here: {error}{self._changed_libraries()}"
            ) from error

    def _mismatch(self, replay: Replay) -> str:
        assert replay.first is not None
        row, field, expected, got = replay.first
        return (
            f"the package {self.name} does not give its golden answers here, so it was not loaded: golden row "
            f"{row}, field {shorten(field)}: expected {shorten(expected)}, got {shorten(got)} (relative gap "
            f"{replay.largest_gap:.3g}){self._changed_libraries()}"
        )

    def _changed_libraries(self) -> str:
        changed = changed_libraries(self.package)
        return f"; {changed or 'every library has the version that the package was made with'}"


def replay_limit() -> float:
    """Return how many seconds a start waits for the answers to the golden rows.

    Raises:
        PackageError: the variable is no number of seconds above 0.
    """
    try:
        return read_number(
            REPLAY_VARIABLE, DEFAULT_REPLAY_S, "a number of seconds above 0, or inf", lambda seconds: seconds > 0
        )
    except ValueError as error:
        raise PackageError(str(error)) from None


def changed_libraries(package: Package) -> str:
    """Return a sentence on the libraries whose version differs from that at packing; empty where all are the same."""
    changed = []
    libraries = package.manifest["runtime"]["libraries"]
    for library, packed in itertools.islice(libraries.items(), MAX_SHOWN_LIBRARIES):
        version = installed_version(library) or "not installed"
        if version != packed:
            changed.append(f"{library[:60]} {packed[:60]}, here {version}")
    more = f", and {len(libraries) - MAX_SHOWN_LIBRARIES} more" if len(libraries) > MAX_SHOWN_LIBRARIES else ""
    return f"the package was made with {', '.join(changed)}{more}" if changed else ""
