from __future__ import annotations

import pytest

from fourfold.stream.dead_letter_limit import MIN_EVENTS_FOR_SHARE, DeadLetterLimit


def allowed(bound: DeadLetterLimit, events: str) -> int:
    """How many of the events, `.` answered and `x` dead, come before the one that is too many."""
    for index, event in enumerate(events):
        if event == ".":
            bound.count_answered(1)
        elif not bound.count_dead_if_allowed():
            return index
    return len(events)


def test_no_bound() -> None:
    """Without a bound any number may die, and all are counted."""
    bound = DeadLetterLimit(None)
    assert allowed(bound, "x" * 5000) == 5000
    assert (bound.tally.events, bound.tally.dead) == (5000, 5000)


@pytest.mark.parametrize(("most", "expected"), [(0, 2), (1, 4), (3, 7)])
def test_number(most: int, expected: int) -> None:
    """So many may die; the next one is too many and is not counted."""
    bound = DeadLetterLimit(most)
    assert allowed(bound, "..x.x.x"[: expected + 1] + "xx") == expected
    assert bound.tally.dead == most


def test_share_waits() -> None:
    """A share says nothing before there were some events."""
    assert allowed(DeadLetterLimit(0.5), "x" * 1000) == MIN_EVENTS_FOR_SHARE - 1


def test_share_of_all() -> None:
    """A share of 1.0 lets every event die, and one of 0.0 none once there were some events."""
    assert allowed(DeadLetterLimit(1.0), "x" * 10_000) == 10_000
    assert allowed(DeadLetterLimit(0.0), "." * MIN_EVENTS_FOR_SHARE + "x") == MIN_EVENTS_FOR_SHARE


def test_share_holds_in_the_long_run() -> None:
    """A share that stays below the bound never stops a run."""
    assert allowed(DeadLetterLimit(0.11), ("." * 9 + "x") * 10_000) == 100_000


def test_share_sees_recent_events() -> None:
    """After any number of good events, some hundreds of bad ones stop the run: the share is that of the latest."""
    bound = DeadLetterLimit(0.25)
    bound.count_answered(10_000_000)
    assert 200 < allowed(bound, "x" * 2000) < 400
