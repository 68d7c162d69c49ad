"""The harness names what ends a child, tells whether it does so alone, and goes on."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from tests.fuzz.harness import Finding, Target, prepared, tried

ALWAYS, AFTER_OTHERS, RAISES = 3, 5, 6
tried_before: list[int] = []


def _attempt(number: int) -> None:
    if number == ALWAYS or (number == AFTER_OTHERS and tried_before):
        os.write(2, b"terminate called\nafter something\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if number == RAISES:
        raise ValueError("none of ours")
    tried_before.append(number)


TARGET = Target(
    name="numbers",
    bases=lambda: {"zero": 0, "seven": 7},
    mutate=lambda _, generator: generator.randrange(7),
    attempt=_attempt,
    data=lambda number: b"%d" % number,
)


def _drawn(seed: int, number: int) -> int:
    return random.Random(f"numbers {seed} {number}").randrange(7)


def test_a_crash_is_named_and_tried_alone(tmp_path: Path) -> None:
    """Every mutant is tried once; a crash says what was written last and whether a new process dies of it too."""
    report = tried(TARGET, prepared(TARGET), seed=0, mutants=60, seconds=60, keep=tmp_path)
    assert sum(counts.total() for counts in report.counts.values()) == 60
    crashes = [finding for finding in report.findings if finding.outcome == "crashed"]
    assert {number for number in range(60) if _drawn(0, number) == ALWAYS} <= {crash.number for crash in crashes}
    for crash in crashes:
        assert crash.detail.startswith("SIGKILL after "), crash
        assert "its last words: terminate called after something" in crash.detail
        alone = "crashed" if _drawn(0, crash.number) == ALWAYS else "answered"
        assert crash.detail.endswith(f"alone, in a new process: {alone}")
    assert any(_drawn(0, crash.number) == AFTER_OTHERS for crash in crashes)
    raised = [finding for finding in report.findings if finding.outcome == "raised"]
    assert [finding.number for finding in raised] == [n for n in range(60) if _drawn(0, n) == RAISES]


def test_what_does_harm_is_kept(tmp_path: Path) -> None:
    """The changed file, the good one and the finding's words are kept side by side."""
    report = tried(TARGET, prepared(TARGET), seed=0, mutants=30, seconds=60, keep=tmp_path)
    finding: Finding
    for finding in report.findings:
        name = f"{finding.outcome}-numbers-0-{finding.number}"
        assert (tmp_path / name).read_bytes() == b"%d" % _drawn(0, finding.number)
        assert (tmp_path / f"{name}.good").read_bytes() == (b"7" if finding.kind == "seven" else b"0")
        assert finding.detail in (tmp_path / f"{name}.txt").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 3 * len(report.findings) > 0
