"""The predictor: validate, predict, validate, and golden rows first."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fourfold.errors import EngineError, GoldenMismatch, InputError, PackageError, ReplayTimeout, SinkError, TableError
from fourfold.package import Package
from fourfold.predictor import FAILURES_BEFORE_CHECK, REPLAY_VARIABLE, Predictor
from tests.support import RowEngine, double, make_package, make_predictor


def _refuses(row: dict[str, Any]) -> dict[str, Any]:
    if row["word"] == "refused":
        raise ValueError("a word that is refused")
    return double(row)


ROWS = [{"x": 1.0, "n": 1, "word": "a"}, {"x": 2.0, "n": None, "word": None}]


def test_the_same_kind_comes_back() -> None:
    """A list gives a list, a pandas frame a pandas frame with its index, and so on, with the same values."""
    predictor = make_predictor()
    expected = [{"y": 3.0, "word": "a"}, {"y": 4.0, "word": None}]
    assert predictor.predict(ROWS) == expected
    table = pa.Table.from_pylist(ROWS)
    assert predictor.predict(table).to_pylist() == expected
    assert predictor.predict(pl.DataFrame(ROWS)).to_dicts() == expected
    frame = predictor.predict(pd.DataFrame(ROWS, index=["first", "second"]).astype({"n": "Int64"}))
    assert list(frame.index) == ["first", "second"]
    assert frame["y"].tolist() == [3.0, 4.0]


def test_one_row_is_a_dict_in_and_a_dict_out() -> None:
    """An error of one row names it row 0."""
    predictor = make_predictor()
    assert predictor.predict_one({"x": 1, "word": "a"}) == {"y": 2.0, "word": "a"}
    with pytest.raises(InputError, match="row 0, field 'x': expected float64, got 'one'"):
        predictor.predict_one({"x": "one"})


def test_predict_names_every_row_that_does_not_fit() -> None:
    """Nothing is predicted where a row is at fault; the errors are there as records and as text."""
    with pytest.raises(InputError) as caught:
        make_predictor().predict([{"x": 1.0}, {"x": "a", "q": 1}, {"n": 1.5}])
    assert [(error.row, error.field, error.code) for error in caught.value.errors] == [
        (1, "x", "type"),
        (1, "q", "unknown"),
        (2, "x", "missing"),
        (2, "n", "precision"),
    ]


@pytest.mark.parametrize("columns", [False, True])
def test_an_answer_leaves_out_what_does_not_fit(columns: bool) -> None:
    """Rows at fault have errors, their neighbours have answers, and `kept` says which is which."""
    rows = [{"x": 1.0, "n": 1.0}, {"x": 2.0, "n": 1.5}, {"x": 3.0, "n": None}]
    answer = make_predictor().answer(pa.Table.from_pylist(rows) if columns else rows, absent=["word"])
    outputs = answer.outputs.to_pylist() if columns else answer.outputs
    assert [row["y"] for row in outputs] == [3.0, 6.0]
    assert list(answer.kept) == [0, 2]
    assert [(error.row, error.code) for error in answer.errors] == [(1, "precision")]


@pytest.mark.parametrize("columns", [False, True])
def test_a_row_that_the_engine_refuses_is_found(columns: bool) -> None:
    """An engine that raises for one row of many does not fail its neighbours, nor change their order."""
    rows = [{"x": float(index), "word": "refused" if index in (3, 10) else "fine"} for index in range(20)]
    answer = make_predictor(_refuses).answer(pa.Table.from_pylist(rows) if columns else rows, absent=["n"])
    outputs = answer.outputs.to_pylist() if columns else answer.outputs
    assert list(answer.kept) == [index for index in range(20) if index not in (3, 10)]
    assert [row["y"] for row in outputs] == [2.0 * index for index in answer.kept]
    codes = [(error.row, error.field, error.code) for error in answer.errors]
    assert codes == [(3, None, "engine"), (10, None, "engine")]
    assert "a word that is refused" in answer.errors[0].got


def test_an_error_of_ours_that_code_raises_fails_its_own_row_only() -> None:
    """Code may raise what callers take for damaged input or a full disk: it is an answer that failed, of one row."""

    def code(row: dict[str, Any]) -> dict[str, Any]:
        if row["word"] == "bad":
            raise SinkError("the disk is full")
        return double(row)

    answer = make_predictor(code).answer([{"x": 1.0}, {"x": 2.0, "word": "bad"}, {"x": 3.0}])
    assert list(answer.kept) == [0, 2]
    assert "SinkError: the disk is full" in answer.errors[0].got


def test_any_number_of_bad_rows_are_rows() -> None:
    """However many rows the engine refuses, they are at fault as long as it answers its golden rows."""
    predictor = make_predictor(_refuses)
    bad = {"x": 1.0, "word": "refused"}
    answer = predictor.answer([bad] * (FAILURES_BEFORE_CHECK + 10) + [{"x": 1.0}])
    assert list(answer.kept) == [FAILURES_BEFORE_CHECK + 10]
    assert len(answer.errors) == FAILURES_BEFORE_CHECK + 10
    with pytest.raises(EngineError, match="refused"):
        predictor.predict([bad])


def test_an_engine_that_broke_is_no_fault_of_the_rows() -> None:
    """An engine that does not answer its golden rows any more fails the call, and no row is blamed."""
    broken: list[bool] = []

    def breaks(rows: list[dict[str, Any]]) -> None:
        if broken:
            raise OSError("the model's file has gone")

    predictor = make_predictor(called=breaks)
    broken.append(True)
    with pytest.raises(EngineError, match="has gone"):
        predictor.answer([{"x": 1.0}] * (FAILURES_BEFORE_CHECK + 1))


def test_no_rows_give_no_rows() -> None:
    """An empty table is answered without the engine."""
    called: list[Any] = []
    predictor = make_predictor(called=called.append)
    called.clear()
    assert predictor.predict([]) == []
    no_rows = pa.table({"x": pa.array([], pa.float64())})
    assert predictor.predict(no_rows, absent=["n", "word"]).num_rows == 0
    with pytest.raises(TableError, match="column 'n': expected int64 or null, got no such column"):
        predictor.predict(no_rows, absent=["word"])
    assert predictor.answer([]).outputs == []
    assert not called


def test_a_changed_engine_is_caught_before_it_answers() -> None:
    """An engine that gives other bits than the golden rows say never becomes a predictor; the message says where."""
    package = make_package(double)

    def changed(row: dict[str, Any]) -> dict[str, Any]:
        return {**double(row), "y": double(row)["y"] + (1e-15 if row["n"] else 0)}

    with pytest.raises(GoldenMismatch, match=r"golden row 0, field 'y': expected 5\.0, got 5\.000000000000001"):
        Predictor(package, RowEngine(changed))
    with pytest.raises(GoldenMismatch, match=r"cannot answer its golden rows here: .* ZeroDivisionError"):
        Predictor(package, RowEngine(lambda row: {"y": 1 / 0}))


@pytest.mark.parametrize("is_alone", [True, False])
def test_golden_rows_are_replayed_together_and_alone(is_alone: bool) -> None:
    """An engine that gives a row other bits alone, or only in company, never becomes a predictor."""
    sizes: list[int] = []

    def depends_on_the_call(row: dict[str, Any]) -> dict[str, Any]:
        return {**double(row), "y": double(row)["y"] + (1e-15 if (sizes[-1] == 1) is is_alone else 0.0)}

    engine = RowEngine(depends_on_the_call, called=lambda rows: sizes.append(len(rows)))
    with pytest.raises(GoldenMismatch, match=r"golden row 0, field 'y': expected 5\.0, got 5\.000000000000001"):
        Predictor(make_package(double), engine)
    assert 1 in sizes


def _altered(package: Package, **changes: Any) -> Package:
    """The package with another manifest."""
    manifest = {key: value for key, value in package.manifest.items() if key != "files"}
    return Package.build({**manifest, **changes}, {name: package.read(name) for name in package.names})


def test_the_libraries_that_changed_are_named() -> None:
    """What was another version when the package was made is the first thing to look at."""
    package = make_package(double)
    libraries = {"numpy": "0.1", "nope": "2"}
    altered = _altered(package, runtime={**package.manifest["runtime"], "libraries": libraries})
    with pytest.raises(GoldenMismatch, match=r"made with nope 2, here not installed, numpy 0\.1, here "):
        Predictor(altered, RowEngine(lambda row: {"y": 0.0, "word": None}))


def test_the_libraries_of_a_manifest_are_named_in_a_line() -> None:
    """A manifest with many libraries, long names or an empty one does not make a long message, and none is an error."""
    package = make_package(double)
    libraries = {"": "1", **{f"{index:03}{'n' * 500}": "v" * 500 for index in range(300)}}
    altered = _altered(package, runtime={**package.manifest["runtime"], "libraries": libraries})
    with pytest.raises(
        GoldenMismatch, match=r"made with  1, here not installed, 000n+ v+, here .*, and 251 more$"
    ) as caught:
        Predictor(altered, RowEngine(lambda row: {"y": 0.0, "word": None}))
    assert len(str(caught.value)) < 10_000


def test_a_tolerance_allows_floats_and_nothing_else() -> None:
    """Where the manifest allows another host a gap, a float may differ within it, and the replay says so."""
    package = make_package(double)
    tolerant = _altered(package, golden={**package.manifest["golden"], "tolerance": 1e-9})

    def nearly(row: dict[str, Any]) -> dict[str, Any]:
        return {**double(row), "y": double(row)["y"] * (1 + 1e-12)}

    replay = Predictor(tolerant, RowEngine(nearly)).replay
    assert not replay.exact
    assert 0 < replay.largest_gap < 1e-9
    with pytest.raises(GoldenMismatch):
        Predictor(tolerant, RowEngine(lambda row: {**double(row), "word": "other"}))
    assert make_predictor().replay.exact


class _SlowEngine(RowEngine):
    """An engine in native code that answers only when it is stopped."""

    def __init__(self) -> None:
        super().__init__(double)
        self.is_stopped = threading.Event()

    def predict(self, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.is_stopped.wait()
        return super().predict(table)

    def stop(self) -> None:
        self.is_stopped.set()


def test_golden_rows_that_take_too_long_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does not answer is stopped; the error names limit and variable, and the process goes on."""
    monkeypatch.setenv(REPLAY_VARIABLE, "0.05")
    engine = _SlowEngine()
    with pytest.raises(ReplayTimeout, match=r"its \d+ golden rows within 0\.05 s, .* set FOURFOLD_REPLAY_SECONDS to"):
        Predictor(make_package(double), engine)
    assert engine.is_stopped.is_set()
    monkeypatch.setenv(REPLAY_VARIABLE, "inf")
    assert Predictor(make_package(double), RowEngine(double)).replay.exact


def test_python_code_that_never_returns_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop in a package's own code does not run on behind a refused package."""
    monkeypatch.setenv(REPLAY_VARIABLE, "0.05")
    threads: list[threading.Thread] = []

    def loops(rows: list[dict[str, Any]]) -> None:
        threads.append(threading.current_thread())
        while True:
            pass

    package = make_package(double)
    with pytest.raises(ReplayTimeout):
        Predictor(package, RowEngine(double, called=loops))
    threads[0].join(60)
    assert not threads[0].is_alive()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_limit_that_is_none_is_refused(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets a start without a limit by a slip of the pen."""
    monkeypatch.setenv(REPLAY_VARIABLE, seconds)
    with pytest.raises(PackageError, match=f"FOURFOLD_REPLAY_SECONDS: expected a number of seconds .* got '{seconds}'"):
        Predictor(make_package(double), RowEngine(double))


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt()])
def test_an_engine_that_exits_does_not_end_the_process(error: BaseException) -> None:
    """A package whose code calls `sys.exit` in the replay is refused."""

    def exits(rows: list[dict[str, Any]]) -> None:
        raise error

    package = make_package(double)
    with pytest.raises(GoldenMismatch, match=type(error).__name__):
        Predictor(package, RowEngine(double, called=exits))


def test_an_interrupt_ends_the_wait() -> None:
    """Ctrl-C while golden rows are replayed is one, and stops the engine."""
    main = threading.get_ident()
    package = make_package(double)

    class Interrupts(_SlowEngine):
        def predict(self, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
            signal.pthread_kill(main, signal.SIGINT)
            return super().predict(table)

    engine = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        Predictor(package, engine)
    assert engine.is_stopped.is_set()


def test_any_number_of_threads_may_ask() -> None:
    """Each thread gets the answers of its own rows."""
    started = threading.Barrier(8)
    predictor = make_predictor()

    def ask(thread: int) -> bool:
        started.wait()
        return all(
            predictor.predict([{"x": float(thread), "n": turn}]) == [{"y": 2.0 * thread + turn, "word": None}]
            for turn in range(200)
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))
