"""Try changed model files in processes of their own, so that a crash or a hang is found and has a file to its name.

A module of this folder changes files of one format. It has one `Target`, which the table in `__main__` names.

The process that runs this only imports libraries. The good files are made in one child, since libraries for threads do
not survive a fork; mutants are tried in another, which writes the number of a mutant before it tries it. If that child
dies or takes too long, the number is of the mutant that did it, and the next child goes on after it. That mutant is
tried once more in a child that has tried nothing before: one that is harmless there needed what the others left behind,
such as memory that a library did not give back.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import resource
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fourfold.errors import EngineError, FourfoldError
from fourfold.process_memory import peak_memory_bytes

__all__ = [
    "OUTCOMES",
    "Finding",
    "Report",
    "Target",
    "attempt",
    "mutant",
    "prepared",
    "print_findings",
    "table",
    "tried",
]

#: What may come of a mutant. The first three are right, the others are findings:
#:   refused   an error of ours before anything answers
#:   answered  the model is loaded and answers
#:   failed    the model is loaded and answers with an `EngineError`
#:   raised    an error that is none of ours
#:   greedy    it takes more than `MAX_GROWTH_MB`
#:   crashed   the process dies
#:   hung      it takes more than `MAX_CPU_S` of a processor, or `MAX_WAIT_S` in all
OUTCOMES = ("refused", "answered", "failed", "raised", "greedy", "crashed", "hung")
RIGHT = OUTCOMES[:3]
MAX_CPU_S = 10.0
MAX_WAIT_S = 120.0
MAX_GROWTH_MB = 768
#: The address space of a child beyond what it has when it begins. A library that asks for more fails, and is greedy.
MAX_SPACE_BYTES = 6 * 2**30
#: A child's mutants: what libraries leak must not add up.
MUTANTS_PER_CHILD = 2_000
#: What a child writes is kept up to so much, and so much of its end is told where it dies.
MAX_WORDS_BYTES = 2**20
LAST_WORDS_BYTES = 600
#: How libraries say that there is no memory; NumPy, C++, ONNX Runtime.
MEMORY_WORDS = ("bad_alloc", "bad allocation", "unable to allocate", "failed to allocate", "cannot allocate")


class Target(NamedTuple):
    """Name what is changed, and how.

    Attributes:
        name: the format's name.
        bases: return good inputs by their kinds; each can be pickled.
        mutate: return a changed copy of a good input, the same for the same state of the generator.
        attempt: load a changed input and let it answer. An error of ours but `EngineError` is a refusal.
        data: return the bytes of a changed input, which are kept where they are a finding.
    """

    name: str
    bases: Callable[[], dict[str, Any]]
    mutate: Callable[[Any, random.Random], Any]
    attempt: Callable[[Any], None]
    data: Callable[[Any], bytes]


class Finding(NamedTuple):
    """Represent a mutant that does harm.

    Attributes:
        kind: the kind of the good input that was changed.
        number: the mutant's number.
        outcome: one of `OUTCOMES`.
        detail: the signal or the error, and for a crash what the process wrote last and what came of a second try.
    """

    kind: str
    number: int
    outcome: str
    detail: str


@dataclass
class Report:
    """Hold what came of mutants: for each kind of good input the number of mutants with each outcome."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.counts.setdefault(finding.kind, Counter())[finding.outcome] += 1
        if finding.outcome not in RIGHT:
            self.findings.append(finding)


def prepared(target: Target) -> dict[str, Any]:
    """Return the good inputs of a target, made in a process of their own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        # Models that are trained without a seed draw from here; the same seed of changes must give the same mutants.
        np.random.seed(0)  # noqa: NPY002 - it is what scikit-learn draws from
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(target.bases(), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"the good inputs of {target.name} could not be made: status {status}")
    bases: dict[str, Any] = pickle.loads(data)
    return bases


def mutant(target: Target, bases: dict[str, Any], seed: int, number: int) -> tuple[str, Any]:
    """Return the kind of a mutant and the mutant; the same for the same seed and number."""
    generator = random.Random(f"{target.name} {seed} {number}")
    kinds = sorted(bases)
    kind = kinds[number % len(kinds)]
    return kind, target.mutate(bases[kind], generator)


def attempt(target: Target, changed: Any) -> tuple[str, str]:
    """Return the outcome of a mutant in this process, and what is to be said about it."""
    try:
        target.attempt(changed)
    except MemoryError as error:
        return "greedy", f"MemoryError: {error}"
    except FourfoldError as error:
        if any(word in str(error).lower() for word in MEMORY_WORDS):
            return "greedy", str(error)
        return "failed" if isinstance(error, EngineError) else "refused", ""
    except Exception as error:  # noqa: BLE001 - whatever is none of ours is a finding
        return "raised", f"{type(error).__name__}: {error}"
    return "answered", ""


def tried(
    target: Target, bases: dict[str, Any], *, seed: int, mutants: int, seconds: float, keep: Path | None = None
) -> Report:
    """Return what came of mutants, until there are enough of them or the time is over.

    Args:
        target: the format.
        bases: its good inputs.
        seed: the seed of the changes.
        mutants: the most mutants.
        seconds: the most seconds.
        keep: the folder for mutants that do harm.
    """
    report = Report()
    deadline = time.monotonic() + seconds
    number = 0
    while number < mutants and time.monotonic() < deadline:
        stop = min(number + MUTANTS_PER_CHILD, mutants)
        number = _watched(target, bases, seed, range(number, stop), deadline, report)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for finding in report.findings:
            _, changed = mutant(target, bases, seed, finding.number)
            name = f"{finding.outcome}-{target.name}-{seed}-{finding.number}"
            (keep / name).write_bytes(target.data(changed))
            (keep / f"{name}.good").write_bytes(target.data(bases[finding.kind]))
            (keep / f"{name}.txt").write_text(f"{finding.kind}: {finding.detail}\n", encoding="utf-8")
    return report


def _watched(target: Target, bases: dict[str, Any], seed: int, numbers: range, deadline: float, report: Report) -> int:
    """Try mutants in a child, write what came of them into a report, and return the number after the last."""
    following, ended = _child(target, bases, seed, numbers, deadline, report)
    if ended is not None:
        again = Report()
        # A deadline of its own: what is nearly over must not decide about the second try.
        _, ended_again = _child(target, bases, seed, range(ended.number, ended.number + 1), float("inf"), again)
        alone = ended_again.outcome if ended_again else next(iter(again.counts[ended.kind]))
        report.add(ended._replace(detail=f"{ended.detail}; alone, in a new process: {alone}"))
    return following


def _child(
    target: Target, bases: dict[str, Any], seed: int, numbers: range, deadline: float, report: Report
) -> tuple[int, Finding | None]:
    """Try mutants in a child, and write what came of them into a report.

    Returns:
        The number after the last, and the mutant that ended the child, which is not in the report.
    """
    kinds = sorted(bases)
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _work(target, bases, seed, numbers, deadline, writer, output.fileno())
        os.close(writer)
        current, is_hung = numbers.start, False
        is_open = False
        with os.fdopen(reader, "r", encoding="utf-8") as pipe, selectors.DefaultSelector() as selector:
            os.set_blocking(reader, False)
            selector.register(reader, selectors.EVENT_READ)
            for line in _lines(pipe, selector):
                if line is None:
                    os.kill(pid, signal.SIGKILL)
                    is_hung = True
                    break
                word, number, outcome, detail = line.split("\t")
                current, is_open = int(number), word == "begin"
                if word == "end":
                    report.add(Finding(kinds[current % len(kinds)], current, outcome, detail))
                    current += 1
        _, status = os.waitpid(pid, 0)
        last_words = _last_words(output.fileno())
    if is_open:
        ended_by = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status >> 8}"
        outcome = "hung" if is_hung or ended_by == "SIGPROF" else "crashed"
        detail = f"{ended_by} after {current - numbers.start} others; its last words: {last_words or 'none'}"
        return current + 1, Finding(kinds[current % len(kinds)], current, outcome, detail)
    if status:
        raise RuntimeError(f"a child of the harness ended with status {status} between two mutants: {last_words}")
    return current, None


def _last_words(file: int) -> str:
    """Return the end of what a child wrote to its standard output and error, in one line."""
    size = os.fstat(file).st_size
    return " ".join(
        os.pread(file, LAST_WORDS_BYTES, max(0, size - LAST_WORDS_BYTES)).decode("utf-8", "replace").split()
    )


def _lines(pipe: Any, selector: selectors.BaseSelector) -> Any:
    """Yield the lines of a pipe; `None` where nothing comes for `MAX_WAIT_S`."""
    rest = ""
    while True:
        if not selector.select(MAX_WAIT_S):
            yield None
            return
        text = os.read(pipe.fileno(), 65536).decode()
        if not text:
            return
        *lines, rest = (rest + text).split("\n")
        yield from lines


def _work(
    target: Target, bases: dict[str, Any], seed: int, numbers: range, deadline: float, writer: int, output: int
) -> None:
    """Try mutants, and write a line before and after each; end this process.

    Args:
        target: the format.
        bases: its good inputs.
        seed: the seed of the changes.
        numbers: the mutants.
        deadline: when to begin no other, as `time.monotonic` counts.
        writer: the pipe for the lines.
        output: the file for standard output and error.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        space = pages * resource.getpagesize() + MAX_SPACE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 1
    try:
        for number in numbers:
            if time.monotonic() > deadline:
                break
            os.write(writer, f"begin\t{number}\t\t\n".encode())
            if os.lseek(output, 0, os.SEEK_CUR) > MAX_WORDS_BYTES:
                os.ftruncate(output, 0)
                os.lseek(output, 0, os.SEEK_SET)
            _, changed = mutant(target, bases, seed, number)
            signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
            before = peak_memory_bytes()
            outcome, detail = attempt(target, changed)
            growth_mb = (peak_memory_bytes() - before) >> 20
            signal.setitimer(signal.ITIMER_PROF, 0)
            if growth_mb > MAX_GROWTH_MB:
                outcome, detail = "greedy", f"{growth_mb:,} MB more; {outcome}"
            words = " ".join(detail.split())[:200]
            os.write(writer, f"end\t{number}\t{outcome}\t{words}\n".encode("utf-8", "replace"))
        status = 0
    except BaseException:
        os.write(output, traceback.format_exc().encode())
        raise
    finally:
        os._exit(status)


def table(reports: dict[str, Report]) -> str:
    """Return a table of what came of each kind of good input, by the targets' names."""
    lines = [f"{'target':10} {'kind':16} {'tried':>9} " + " ".join(f"{outcome:>8}" for outcome in OUTCOMES)]
    for name, report in reports.items():
        for kind, counts in sorted(report.counts.items()):
            numbers = " ".join(f"{counts[outcome]:8,}" for outcome in OUTCOMES)
            lines.append(f"{name:10} {kind:16} {counts.total():9,} {numbers}")
    return "\n".join(lines)


def print_findings(name: str, report: Report, seed: int) -> None:
    """Print each mutant that does harm, and how to try it again."""
    for finding in report.findings[:50]:
        again = f"python -m tests.fuzz {name} --seed {seed} --only {finding.number}"
        print(f"{finding.outcome}: {finding.kind}: {finding.detail[:1000]}: {again}", file=sys.stderr)
