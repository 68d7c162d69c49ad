"""Builds fuzz.c, and runs it on mutants and as a fuzzer."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import subprocess
import sys
from pathlib import Path

from tests.plan.fuzz.hostile import LARGEST, mutants, seeds
from tests.project.tree import ROOT

__all__ = ["CORPUS", "built", "fuzz", "run_mutants"]

EVALUATOR = ROOT / "src" / "fourfold" / "plan" / "evaluator"
#: What the fuzzer has learnt, and inputs that failed.
CORPUS = Path(sys.prefix) / "fuzz"
#: An input that takes longer, in seconds, or more memory, in MiB, is out of proportion to its size.
LIMITS = ("-timeout=10", "-rss_limit_mb=1500", "-malloc_limit_mb=512")
BATCH = 2000
#: What libFuzzer exits with when somebody stops it.
INTERRUPTED = 72


class Found(Exception):
    """An input on which the evaluator fails; says where it is kept."""


def built(folder: Path) -> Path:
    """The fuzzer, with sanitizers."""
    program = folder / "fuzz"
    flags = ("-std=gnu99", "-g", "-O1", "-ffp-contract=off", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
    sources = (Path(__file__).with_name("fuzz.c"), EVALUATOR / "evaluator.c")
    sanitizers = "-fsanitize=fuzzer,address,undefined"
    run = subprocess.run(
        ["clang", *flags, "-Wall", "-Wextra", "-Werror", sanitizers, f"-I{EVALUATOR}", *sources, "-o", program],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return program


def _run(words: list[str | Path], quiet: bool = True) -> None:
    CORPUS.mkdir(exist_ok=True)
    words += [*LIMITS, f"-artifact_prefix={CORPUS}/failed-"]
    run = subprocess.run(
        words,
        check=False,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )
    if run.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if run.returncode:
        said = "\n".join((run.stdout or "").splitlines()[-40:])
        raise Found(f"the evaluator failed on an input; it is kept in {CORPUS}\n{said}")


def run_mutants(program: Path, folder: Path, count: int, seed: int) -> None:
    """Runs the fuzzer's program once on each of many hostile plans.

    Raises:
        Found: it failed on one.
    """
    inputs = mutants(count, seed)
    while batch := list(itertools.islice(inputs, BATCH)):
        files = folder / "mutants"
        files.mkdir()
        for place, each in enumerate(batch):
            (files / f"{place:05}").write_bytes(each)
        _run([program, "-runs=0", files])
        shutil.rmtree(files)


def fuzz(program: Path, corpus: Path, seconds: int, *, quiet: bool = True) -> None:
    """Runs the fuzzer for a time, from the seeds and what it has learnt before.

    Raises:
        Found: the evaluator failed on an input.
    """
    learnt = corpus / "learnt"
    learnt.mkdir(parents=True, exist_ok=True)
    for each in seeds():
        (learnt / hashlib.sha256(each).hexdigest()[:32]).write_bytes(each)
    _run([program, f"-max_total_time={seconds}", f"-max_len={LARGEST + 1000}", "-print_final_stats=1", learnt], quiet)
