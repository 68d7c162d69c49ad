from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sklearn  # noqa: F401 - its OpenMP and its BLAS are what is limited
from threadpoolctl import ThreadpoolController

from fourfold.runtimes.threads import ThreadGuard, thread_guard

LIBRARIES = ThreadpoolController().lib_controllers


def counts() -> list[int]:
    """The threads of every native library, as this thread sees them."""
    return [each.get_num_threads() for each in LIBRARIES]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Every library has two threads before, whatever the machine, and what it had after."""
    before = counts()
    for each in LIBRARIES:
        each.set_num_threads(2)
    yield
    for each, count in zip(LIBRARIES, before, strict=True):
        each.set_num_threads(count)


def test_libraries_are_here() -> None:
    """There is a BLAS and an OpenMP to limit: the other tests say something."""
    assert {each.user_api for each in LIBRARIES} == {"blas", "openmp"}
    assert set(counts()) == {2}


def test_inside_there_is_one() -> None:
    """Inside, nested or not, every library has one thread; outside, what it had, after an error too."""
    guard = thread_guard()
    with guard():
        with guard():
            assert set(counts()) == {1}
        assert set(counts()) == {1}
    assert set(counts()) == {2}
    with pytest.raises(KeyError), guard():
        raise KeyError
    assert set(counts()) == {2}


def test_calls_overlap() -> None:
    """While calls of several threads overlap each has one thread of everything, and the last one out restores it."""
    guard = thread_guard()
    meet = threading.Barrier(4)

    def call(index: int) -> list[list[int]]:
        for each in LIBRARIES:
            if each.user_api == "openmp":
                each.set_num_threads(2)
        meet.wait()
        with guard():
            meet.wait()
            seen = [counts()]
            if index:
                meet.wait()
                seen.append(counts())
        if not index:
            meet.wait()
        meet.wait()
        return [*seen, counts()]

    with ThreadPoolExecutor(4) as pool:
        for seen in pool.map(call, range(4)):
            assert [set(each) for each in seen[:-1]] == [{1}] * (len(seen) - 1)
            assert set(seen[-1]) == {2}
    assert set(counts()) == {2}


def test_a_library_that_comes_later_is_limited() -> None:
    """A library that is loaded while a call is inside is limited from then on, and restored with the others."""
    guard = ThreadGuard()
    guard.refresh([])
    with guard():
        assert set(counts()) == {2}
        guard.refresh(LIBRARIES)
        blas = [each.get_num_threads() for each in LIBRARIES if each.user_api == "blas"]
        assert set(blas) == {1}
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: guard().__enter__() or True).result()
    guard._leave()
    assert set(counts()) == {2}


def test_what_is_computed_inside() -> None:
    """A BLAS gives the bits of one thread inside, whatever it gives outside."""
    left, right = np.random.default_rng(0).normal(size=(2, 300, 300))
    guard = thread_guard()
    with guard():
        expected = left @ right
    for each in LIBRARIES:
        each.set_num_threads(1)
    assert (left @ right).tobytes() == expected.tobytes()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forgets_the_calls_of_its_parent() -> None:
    """A child that is forked while another thread is inside starts with no call inside, and can make its own."""
    guard = thread_guard()
    inside, leave = threading.Event(), threading.Event()

    def call() -> None:
        with guard():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=call)
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        blas = [each for each in LIBRARIES if each.user_api == "blas"]
        alone = {each.get_num_threads() for each in blas} == {2} and guard._inside == 0
        with guard():
            alone = alone and {each.get_num_threads() for each in blas} == {1}
        os._exit(0 if alone and {each.get_num_threads() for each in blas} == {2} else 1)
    _, status = os.waitpid(child, 0)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert set(counts()) == {2}
