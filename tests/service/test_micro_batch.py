from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import EngineError, RowErrors, TableError
from fourfold.predictor import Answer
from fourfold.protocols import Refused
from fourfold.service.micro_batch import MicroBatcher, answer_together
from tests.support import make_predictor

Row = dict[str, Any]


class Gate:
    """An engine's call that waits until it may go on, and remembers the rows of every call."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, rows: list[Row]) -> None:
        self.calls.append([row["x"] for row in rows])
        self.entered.release()
        assert self.open.wait(30)


def run(test: Callable[[MicroBatcher, Gate], Awaitable[None]], *, max_rows: int = 100, queue_rows: int = 100) -> Gate:
    """Run a test in an event loop, with a batcher whose engine waits at the gate."""
    gate = Gate()
    gate.open.set()
    predictor = make_predictor(called=gate)
    gate.calls.clear()
    gate.entered = threading.Semaphore(0)
    gate.open.clear()

    async def main() -> None:
        batcher = MicroBatcher(predictor.answer, max_rows=max_rows, max_queued_rows=queue_rows)
        try:
            await test(batcher, gate)
        finally:
            gate.open.set()
            batcher.close()

    asyncio.run(main())
    return gate


async def entered(gate: Gate) -> None:
    """Wait until the engine is at work, without holding up the loop."""
    assert await asyncio.to_thread(gate.entered.acquire, timeout=30)


def rows(*values: float) -> list[Row]:
    return [{"x": value} for value in values]


def outputs(answer: Answer) -> list[float]:
    return [row["y"] for row in answer.outputs]


def test_what_arrives_in_one_turn_of_the_loop_shares_a_call() -> None:
    """Requests that are there when the engine is idle go together, and each gets its own answers."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        gate.open.set()
        answers = await asyncio.gather(*[batcher.submit(rows(value, value + 0.5)) for value in range(5)])
        assert [outputs(answer) for answer in answers] == [[2.0 * value, 2.0 * value + 1] for value in range(5)]

    assert [len(call) for call in run(test).calls] == [10]


def test_what_arrives_while_the_engine_works_is_the_next_call() -> None:
    """Nothing waits for company; what queues behind a call shares the next one."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        later = [batcher.submit(rows(value)) for value in range(1, 5)]
        gate.open.set()
        assert [outputs(answer) for answer in await asyncio.gather(first, *later)] == [[0], [2], [4], [6], [8]]

    assert run(test).calls == [[0], [1, 2, 3, 4]]


def test_a_micro_batch_has_a_limit_and_keeps_the_order() -> None:
    """Requests are merged up to the limit, none is torn or overtaken, and one that is larger goes alone."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        later = [batcher.submit(rows(*values)) for values in ([1, 2], [3, 4], [5], [6, 7, 8, 9, 10, 11, 12], [13])]
        gate.open.set()
        await asyncio.gather(first, *later)

    assert run(test, max_rows=4).calls == [[0], [1, 2, 3, 4], [5], [6, 7, 8, 9, 10, 11, 12], [13]]


def test_arrow_tables_go_alone_and_in_order() -> None:
    """An Arrow table is answered by itself, and one that lacks a column fails itself only."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        table = pa.table({"x": [3.0, 4.0], "n": pa.nulls(2), "word": pa.nulls(2)})
        lacking = batcher.submit(table.drop_columns(["n"]))
        later = [batcher.submit(each) for each in (rows(1), rows(2), table, table, rows(5))]
        gate.open.set()
        answers = await asyncio.gather(first, *later)
        assert answers[3].outputs.column("y").to_pylist() == [6.0, 8.0]
        with pytest.raises(TableError):
            await lacking

    assert run(test).calls == [[0], [1, 2], [3, 4], [3, 4], [5]]


def test_clients_that_are_gone_are_dropped() -> None:
    """A request that is cancelled while it waits never reaches the engine; its neighbours do."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        later = [batcher.submit(rows(value)) for value in (1, 2, 3)]
        later[1].cancel()
        gate.open.set()
        assert [outputs(await each) for each in (first, later[0], later[2])] == [[0], [2], [6]]

    assert run(test).calls == [[0], [1, 3]]


def test_a_client_that_leaves_during_its_call_harms_nobody() -> None:
    """Cancelling what the engine works on leaves the batcher sound."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        first.cancel()
        later = batcher.submit(rows(1))
        gate.open.set()
        assert outputs(await later) == [2]

    assert run(test).calls == [[0], [1]]


def test_the_queue_is_bounded() -> None:
    """Beyond the limit a request is refused with a 503 and when to try again; later there is room once more."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        second = batcher.submit(rows(1, 2))
        with pytest.raises(Refused) as refused:
            batcher.submit(rows(3, 4))
        assert (refused.value.status, refused.value.headers) == (503, {"retry-after": "1"})
        third = batcher.submit(rows(5))
        gate.open.set()
        await asyncio.gather(first, second, third)
        assert outputs(await batcher.submit(rows(6, 7))) == [12, 14]

    run(test, queue_rows=3)


def test_one_large_request_is_taken_where_nothing_waits() -> None:
    """The bound of the queue is no bound of a request."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        gate.open.set()
        assert len((await batcher.submit(rows(*range(50)))).outputs) == 50

    run(test, queue_rows=3)


def test_requests_without_rows_take_a_place() -> None:
    """Empty tables fill the queue as well, and are answered with empty ones."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        empty = [batcher.submit([]) for _ in range(3)]
        with pytest.raises(Refused):
            batcher.submit([])
        gate.open.set()
        await first
        assert [(await each).outputs for each in empty] == [[], [], []]

    run(test, queue_rows=3)


def test_closing_drops_what_waits() -> None:
    """A batcher that is closed cancels what has not reached the engine."""

    async def test(batcher: MicroBatcher, gate: Gate) -> None:
        first = batcher.submit(rows(0))
        await entered(gate)
        second = batcher.submit(rows(1))
        batcher.close()
        gate.open.set()
        assert outputs(await first) == [0]
        assert second.cancelled()

    assert run(test).calls == [[0]]


def tetchy(row: Row) -> Row:
    """The engine of the tests below: it has no answer for 13."""
    if row["x"] == 13:
        raise ValueError("thirteen is too much")
    return {"y": row["x"] * 2, "word": None}


VALUES = st.lists(st.lists(st.sampled_from([1.0, 2.0, 13.0, "x", None]), max_size=4), min_size=1, max_size=6)


@given(VALUES)
def test_neighbours_change_nothing(tables: list[list[Any]]) -> None:
    """Whatever shares a call with it, a request gets what it would get alone: outputs, row errors and their numbers."""
    lists = [[{"x": value} for value in table] for table in tables]
    answer = TETCHY.answer
    assert answer_together(answer, lists) == [answer_together(answer, [each])[0] for each in lists]


TETCHY = make_predictor(tetchy)


def test_any_number_of_bad_rows_are_one_requests_affair() -> None:
    """However many rows of one request the engine refuses, its neighbours have the answers that they have alone."""
    hopeless = rows(*[13.0] * 200)
    first, second, third = answer_together(TETCHY.answer, [rows(1), hopeless, rows(2)])
    assert (first, third) == (TETCHY.answer(rows(1)), TETCHY.answer(rows(2)))
    assert second == TETCHY.answer(hopeless)
    assert answer_together(TETCHY.answer, [hopeless, rows(2)]) == [second, third]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, MemoryError])
def test_whatever_a_call_raises_fails_its_own_request(error: type[BaseException]) -> None:
    """Requests that share a call with one that raises get their answers, that one an error, and the thread lives on."""

    def answer(table: list[Row]) -> Answer:
        if any(row["x"] == 13 for row in table):
            raise error("thirteen")
        return Answer([{"y": row["x"] * 2} for row in table], range(len(table)), RowErrors())

    async def main() -> None:
        batcher = MicroBatcher(answer, max_rows=100, max_queued_rows=100)
        for _ in range(3):
            futures = [batcher.submit(rows(value)) for value in (1, 13, 2)]
            first, second, third = await asyncio.gather(*futures, return_exceptions=True)
            assert isinstance(first, Answer)
            assert isinstance(third, Answer)
            assert (outputs(first), outputs(third)) == ([2], [4])
            assert isinstance(second, MemoryError if error is MemoryError else EngineError)
        batcher.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_thread_that_cannot_start_fails_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, requests fail at once instead of waiting for ever; later ones are answered."""

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        batcher = MicroBatcher(TETCHY.answer, max_rows=100, max_queued_rows=100)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError, match="new thread"):
                await batcher.submit(rows(1))
        assert outputs(await batcher.submit(rows(2))) == [4]
        batcher.close()

    asyncio.run(asyncio.wait_for(main(), 30))
