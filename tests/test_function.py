"""The function: an engine in blocks."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import EngineError, InputError, RowError, SourceError, TooLarge
from fourfold.function import MAX_CALL_ROWS, Function, as_rows, slice_rows
from fourfold.signature import Field, Signature
from fourfold.signature.columns import columns_to_rows, rows_to_columns

SIGNATURE = Signature((Field("x", "int64"),), (Field("y", "int64"),))


class _Columns:
    """Doubles x, and remembers how many rows each call had."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, table: Any) -> Any:
        self.sizes.append(table.num_rows)
        return pa.RecordBatch.from_pydict({"y": [value * 2 for value in table.column("x").to_pylist()]})


class _Rows(_Columns):
    takes: Literal["rows", "columns"] = "rows"

    def predict(self, table: Any) -> Any:
        self.sizes.append(len(table))
        return [{"y": row["x"] * 2} for row in table]


def _as_rows(table: Any) -> list[dict[str, Any]]:
    return table if isinstance(table, list) else columns_to_rows(SIGNATURE.outputs, table)


@given(
    st.sampled_from([_Columns, _Rows]),
    st.sampled_from([None, 1, 3, 8]),
    st.lists(st.integers(-(2**60), 2**60), max_size=30),
    st.booleans(),
)
def test_every_row_gets_its_answer_whatever_the_block(
    engine: Any, block: int | None, xs: list[int], rows: bool
) -> None:
    """Blocks, padding and the form of the table change neither the answers nor their number and order."""
    counting = engine()
    inputs = [{"x": x} for x in xs]
    table = inputs if rows else rows_to_columns(SIGNATURE.inputs, inputs)
    outputs = Function(SIGNATURE, counting, block)(table)
    assert isinstance(outputs, list) is rows
    assert _as_rows(outputs) == [{"y": x * 2} for x in xs]
    if block is None:
        assert counting.sizes == ([len(xs)] if xs else [])
    else:
        assert set(counting.sizes) <= {block}
        assert len(counting.sizes) == -(-len(xs) // block)


@pytest.mark.parametrize("engine", [_Columns, _Rows])
def test_rows_are_converted_once_for_many_calls(engine: Any) -> None:
    """What an engine takes is made of a whole table before its parts are asked about, and answers stay the same."""
    function = Function(SIGNATURE, engine(), None)
    rows = [{"x": 1}, {"x": 2}, {"x": 3}]
    for table in (rows, rows_to_columns(SIGNATURE.inputs, rows)):
        taken = function.as_taken(table)
        assert isinstance(taken, list) is (engine is _Rows)
        assert as_rows(SIGNATURE.outputs, function(slice_rows(taken, 1, 3))) == [{"y": 4}, {"y": 6}]


def test_a_call_that_is_free_is_still_bounded() -> None:
    """However large the table, an engine never sees more rows at once than bound the memory of a call."""
    engine = _Columns()
    table = pa.RecordBatch.from_pydict({"x": pa.array(range(MAX_CALL_ROWS + 1), pa.int64())})
    assert Function(SIGNATURE, engine, None)(table).num_rows == MAX_CALL_ROWS + 1
    assert engine.sizes == [MAX_CALL_ROWS, 1]


class _Answers:
    takes: Literal["rows", "columns"] = "rows"

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def predict(self, table: Any) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


class _Mute(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise SystemExit(0)


class _NoLength:
    def __len__(self) -> int:
        raise SystemExit(0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "answered 0 rows for 1"),
        ([{"y": 1}, {"y": 2}], "answered 2 rows for 1"),
        ([{"y": 1.5}], "does not fit the signature's outputs: row 0, field 'y': expected int64, got 1.5"),
        ([{"z": 1}], "field 'y': expected int64, got nothing"),
        (ValueError("Input X contains NaN"), "ValueError: Input X contains NaN"),
        (KeyError("x"), "KeyError"),
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (StopIteration(), "StopIteration"),
        (MemoryError(), "MemoryError"),
        (_Mute(), "_Mute: its message cannot be read"),
        (_NoLength(), "SystemExit"),
        (InputError([RowError(0, "x", "type", "int64", "'a'")]), "InputError: row 0, field 'x'"),
        (TooLarge("the rows take more than 1 GiB"), "TooLarge"),
        (SourceError("cannot read the rows"), "SourceError"),
        (ValueError("\x1b[2J" * 1000), r"ValueError: (\\x1b\[2J){60,}\\*.{0,4}…$"),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_engine(answer: Any, message: str) -> None:
    """What an engine gives is held against the signature: a wrong answer never leaves the function."""
    with pytest.raises(EngineError, match=message):
        Function(SIGNATURE, _Answers(answer), None)([{"x": 1}])


class _Interrupted:
    """Meets Ctrl-C while it answers, and may make another error of it."""

    takes: Literal["rows", "columns"] = "rows"

    def __init__(self, *, anew: bool) -> None:
        self._anew = anew

    def predict(self, table: Any) -> Any:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if self._anew:
                raise KeyboardInterrupt from None
            raise


@pytest.mark.parametrize("anew", [False, True])
def test_ctrl_c_is_the_users_and_not_the_engines(anew: bool) -> None:
    """The user's Ctrl-C ends the call; a `KeyboardInterrupt` that the engine raises is an error of the engine."""
    with pytest.raises(KeyboardInterrupt):
        Function(SIGNATURE, _Interrupted(anew=anew), None)([{"x": 1}])
    call = Function(SIGNATURE, _Answers(KeyboardInterrupt()), None)
    with pytest.raises(EngineError, match="KeyboardInterrupt"):
        call([{"x": 1}])
    errors: list[BaseException] = []

    def predict() -> None:
        try:
            call([{"x": 1}])
        except BaseException as error:  # noqa: BLE001  # what came is what is tested
            errors.append(error)

    thread = threading.Thread(target=predict)
    thread.start()
    thread.join()
    assert [type(error) for error in errors] == [EngineError]


def test_an_answer_in_columns_is_held_against_the_signature_too() -> None:
    """Another dtype is another answer."""

    class Floats(_Columns):
        def predict(self, table: Any) -> Any:
            return pa.RecordBatch.from_pydict({"y": [1.5] * table.num_rows})

    with pytest.raises(EngineError, match=r"expected int64, got 1\.5"):
        Function(SIGNATURE, Floats(), None)(pa.RecordBatch.from_pydict({"x": [1]}))
