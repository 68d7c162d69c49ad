"""The predictor: a loaded package, and the one place of validate → predict → validate.

Every architecture gets a ready `Predictor` and does nothing but move tables to it and back. Validation, the block of
rows that an engine call holds, and the checks of what the engine answers live here: no architecture has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fourfold.errors import EngineError, GoldenMismatch, InputError, RowError, shorten
from fourfold.function import Function, join, part, take, without_numeric_warnings
from fourfold.package.golden import Golden, Replay, compare, golden_of
from fourfold.runtimes.engine import Engine, installed
from fourfold.signature import RowCoercer, Signature

if TYPE_CHECKING:
    from fourfold.package import Package

__all__ = ["Answer", "Predictor", "changed_libraries"]

#: So many rows may fail one by one, with none that works, before the engine is asked whether it is broken.
HOPELESS = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a table in which some rows may be at fault.

    Attributes:
        outputs: the outputs of the rows that fit, in their order: a list of dicts where rows came in, a
            `pyarrow.RecordBatch` of the signature's outputs where an Arrow table came in.
        kept: for each output, the index of its row in the table that came in.
        errors: every error found, by row.
    """

    outputs: Any
    kept: Sequence[int]
    errors: Sequence[RowError]


def _never(data: Any) -> None:
    """What an engine that answers canonical tables only says of all others."""


class Predictor:
    """A loaded package. Safe to call from any number of threads.

    Args:
        package: the package.
        engine: its engine, loaded.
        version: the version that the package has in the repository it came from, for people.

    Raises:
        GoldenMismatch: the package's golden rows do not give their answers here.
    """

    def __init__(self, package: Package, engine: Engine, *, version: int | None = None) -> None:
        self.package = package
        self.version = version
        #: The engine, for whoever explains its answers; answers come from this predictor.
        self.engine = engine
        self._function = Function(package.signature, engine, package.block)
        self._rows = RowCoercer(package.signature.inputs, package.signature.extra)
        # Rows that need no coercion are answered at once by an engine that can tell: the same answer, in a tenth of
        # the time. What it leaves goes the long way, which explains what is wrong.
        self._one: Callable[[Any], dict[str, Any] | None] = getattr(engine, "one", _never)
        self._many: Callable[[list[Any]], list[dict[str, Any]] | None] = getattr(engine, "many", _never)
        self.replay = self._replay()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.package.name

    @property
    def digest(self) -> str:
        """The package's digest."""
        return self.package.digest

    @property
    def signature(self) -> Signature:
        """What goes in and what comes out."""
        return self.package.signature

    def __repr__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"<Predictor {self.name}{version} {self.digest[:19]}>"

    def predict(self, data: Any) -> Any:
        """Predict for every row of a table.

        Args:
            data: a pandas or polars frame, an Arrow table or batch, a NumPy array of shape `(rows, inputs)`, or a
                list of dicts.

        Returns:
            The outputs in the kind that came in, a row for a row; a pandas frame keeps its index.

        Raises:
            InputError: a row does not fit the signature; it names every row, field, expected and got.
            EngineError: the engine failed.
        """
        if type(data) is list:
            plain = self._many(data)
            if plain is not None:
                return plain
        from fourfold import tables

        table, errors = tables.read(data, self.signature.inputs, self.signature.extra)
        if errors:
            raise InputError(errors)
        return tables.write(data, self._function(table))

    def predict_one(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Predict for one row: a dict in, a dict out.

        Raises:
            InputError: the row does not fit the signature.
            EngineError: the engine failed.
        """
        plain = self._one(row)
        if plain is not None:
            return plain
        coerced, errors = self._rows.row(row)
        if coerced is None:
            raise InputError(errors)
        out: dict[str, Any] = self._function([coerced])[0]
        return out

    def answers(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
        """The answer to each row, `None` to one that does not fit or has none; raises as `answer` does."""
        out: list[Mapping[str, Any] | None] = [None] * len(rows)
        found = self.answer(list(rows))
        for place, row in zip(found.kept, found.outputs, strict=True):
            out[place] = row
        return out

    def answer(self, table: Any) -> Answer:
        """Predict for the rows that fit, and say what is wrong with the others.

        Args:
            table: a list of dicts, or a `pyarrow.RecordBatch` or `Table`.

        Raises:
            EngineError: the engine fails on one row after the other, its golden rows among them.
        """
        if isinstance(table, list):
            plain = self._many(table)
            if plain is not None:
                return Answer(plain, range(len(plain)), [])
            coerced, errors = self._rows(table)
            kept: Sequence[int] = [index for index, row in enumerate(coerced) if row is not None]
            good: Any = [row for row in coerced if row is not None]
        else:
            good, kept, errors = self._good_columns(table)
        try:
            return Answer(self._function(good), kept, errors)
        except EngineError:
            return self._one_bad_apple(good, kept, errors)

    def _good_columns(self, table: Any) -> tuple[Any, Sequence[int], list[RowError]]:
        batch, errors = self._columns(table)
        if not errors:
            return batch, range(batch.num_rows), errors
        bad = {error.row for error in errors}
        kept = [index for index in range(batch.num_rows) if index not in bad]
        return take(batch, kept), kept, errors

    @cached_property
    def _columns(self) -> Any:
        from fourfold.signature.columns import ColumnCoercer  # pyarrow: whoever brings an Arrow table has it

        return ColumnCoercer(self.signature.inputs, self.signature.extra)

    def _one_bad_apple(self, good: Any, kept: Sequence[int], errors: Sequence[RowError]) -> Answer:
        """The answer where the engine refuses some rows: found by halving, so their neighbours are answered."""
        pieces: list[Any] = []
        answered: list[int] = []
        refused: list[RowError] = []
        stack = [(0, len(good))]
        while stack:
            start, stop = stack.pop()
            try:
                pieces.append(self._function(part(good, start, stop)))
                answered.extend(kept[start:stop])
            except EngineError as error:
                if stop - start > 1:
                    middle = (start + stop) // 2
                    stack += [(middle, stop), (start, middle)]  # the first half is taken off first
                    continue
                refused.append(
                    RowError(kept[start], None, "engine", "an answer from the engine", shorten(str(error), 200))
                )
                if len(refused) == HOPELESS and not answered and not self._answers_golden_rows():
                    raise
        both = sorted([*errors, *refused], key=lambda error: error.row)
        return Answer(join(pieces, self._function.empty(good)), answered, both)

    def _answers_golden_rows(self) -> bool:
        """Whether the engine still answers what it answered at the start: then it is the rows that are at fault."""
        try:
            self._function(golden_of(self.package).inputs[:1])
        except EngineError:
            return False
        return True

    def _replay(self) -> Replay:
        """Replay the golden rows: all at once, and the first one alone."""
        golden: Golden = golden_of(self.package)
        names = [field.name for field in self.signature.outputs]
        try:
            with without_numeric_warnings():
                outputs = self._function(golden.inputs)
                alone = self._function(golden.inputs[:1])
        except EngineError as error:
            raise GoldenMismatch(
                f"the package {self.name} cannot answer its golden rows here: {error}{self._changed_libraries()}"
            ) from error
        found = compare(golden, outputs, names)
        single = compare(Golden(golden.inputs[:1], golden.outputs[:1]), alone, names)
        worst = max(found, single, key=lambda replay: replay.largest_gap)
        if worst.first is not None and worst.largest_gap > self.package.manifest["golden"]["tolerance"]:
            raise GoldenMismatch(self._mismatch(worst))
        return Replay(found.rows, found.exact and single.exact, worst.largest_gap, worst.first)

    def _mismatch(self, replay: Replay) -> str:
        assert replay.first is not None
        row, field, expected, got = replay.first
        return (
            f"the package {self.name} does not give its golden answers here, so it must not answer anybody: golden row "
            f"{row}, field {shorten(field)}: expected {shorten(expected)}, got {shorten(got)} (relative gap "
            f"{replay.largest_gap:.3g}){self._changed_libraries()}"
        )

    def _changed_libraries(self) -> str:
        changed = changed_libraries(self.package)
        return f"; {changed or 'every library has the version that the package was made with'}"


def changed_libraries(package: Package) -> str:
    """The libraries of which another version is here than the package was made with, in words; empty where none is."""
    changed = []
    for library, packed in package.manifest["runtime"]["libraries"].items():
        here = installed(library) or "not installed"
        if here != packed:
            changed.append(f"{library} {packed}, here {here}")
    return f"the package was made with {', '.join(changed)}" if changed else ""
