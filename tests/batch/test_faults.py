"""Disturb batch runs from outside: killed processes, full disks, little memory, two runs at once."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.batch import Job, run
from fourfold.errors import SinkError
from tests.batch.support import column_predictor, files_below, table, write
from tests.project.tree import ROOT

pytestmark = pytest.mark.faults

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}

# Runs the job in its argument, and prints what came of it and the memory that it took at most, in kilobytes. It says
# when a chunk is done where it shall "tell", and goes on when it is told to where it shall "wait".
PROGRAM = """
import json, resource, sys
from fourfold.batch import Job, run
from fourfold.errors import FourfoldError
from fourfold.process_memory import peak_memory_bytes
from tests.batch.support import column_predictor
job, limit, mode = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
predictor = column_predictor()
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
def told(done, total):
    if mode:
        print("told", flush=True)
    if mode == "wait":
        sys.stdin.readline()
try:
    report = run(predictor, Job(**job), told)
except FourfoldError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
else:
    print(json.dumps({"rows": report.rows_out, "peak": peak_memory_bytes()}))
"""


def start(job: dict[str, Any], limit: int = 0, mode: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(job), str(limit), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def outcome(process: subprocess.Popen[str], told: str = "") -> dict[str, Any]:
    out, err = process.communicate(told, timeout=120)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def wait_for_chunk(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"


def small_chunks(tmp_path: Path) -> dict[str, Any]:
    """A job of a hundred chunks, with some rows at fault."""
    xs = [None if row % 1000 == 0 else row * 0.5 for row in range(20_000)]
    source = write(tmp_path / "in.parquet", table(20_000).set_column(1, "x", pa.array(xs)), row_group_size=1000)
    return {"source": str(source), "output": str(tmp_path / "out" / "day.parquet"), "keep": ["id"], "chunk_rows": 200}


def complete(tmp_path: Path, job: dict[str, Any]) -> dict[str, bytes]:
    """Run the job here, undisturbed; what it published, without its report."""
    assert run(column_predictor(), Job(**job)).rows_out == 19_980
    return published(tmp_path)


def published(tmp_path: Path) -> dict[str, bytes]:
    names = [name for name in files_below(tmp_path / "out") if not name.endswith(".run.json")]
    return {name: (tmp_path / "out" / name).read_bytes() for name in names}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_killed_at_any_moment(elsewhere: bool, tmp_path: Path) -> None:
    """However often a run is killed, its output is there whole or not at all, and the next run completes it."""
    job = small_chunks(tmp_path) | ({"quarantine": str(tmp_path / "out" / "bad.jsonl")} if elsewhere else {})
    files = complete(tmp_path, job)
    chance = random.Random(7 + elsewhere)
    for _ in range(6):
        for name in files_below(tmp_path / "out"):
            if Path(name).name == "day.parquet":
                (tmp_path / "out" / name).unlink()
        process = start(job, mode="tell")
        # In the first chunks, in the last ones, or while the files are published.
        for _ in range(chance.choice([1, 50, 98, 99, 100, 100, 100])):
            wait_for_chunk(process)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.communicate()
        there = published(tmp_path)
        if "day.parquet" in there:
            assert {name: there[name] for name in files} == files
    (tmp_path / "out" / "day.parquet").unlink(missing_ok=True)
    assert complete(tmp_path, job) == files


@pytest.mark.parametrize(
    ("step", "whole"),
    [
        ("fourfold.batch.extract.source.SourceFiles.check_unchanged", False),
        ("fourfold.batch.load.staging.Staging.publish:1", False),  # the quarantine
        ("fourfold.batch.load.staging.Staging.publish:2", False),  # the report
        ("fourfold.batch.load.staging.Staging.publish:3", True),  # the output
        ("fourfold.batch.load.staging._remove:2", True),
    ],
)
def test_killed_at_every_step(step: str, whole: bool, tmp_path: Path) -> None:
    """Killed right after any step of publishing, a run leaves a whole output or none, and the next one completes it."""
    job = small_chunks(tmp_path)
    files = complete(tmp_path, job)
    shutil.rmtree(tmp_path / "out")
    killed_after(step, job)
    there = published(tmp_path)
    assert ("day.parquet" in there) == whole
    if whole:
        assert {name: there[name] for name in files} == files
    assert complete(tmp_path, job | {"replace": whole}) == files
    assert not list((tmp_path / "out" / "_fourfold").glob("*.staging"))


def killed_after(step: str, job: dict[str, Any]) -> None:
    """Run the job in a process that is killed, as the system does it, right after a call of the named function."""
    path, _, count = step.partition(":")
    owner, name = path.rsplit(".", 1)
    program = f"""
import json, os, signal, sys
from pkgutil import resolve_name
from fourfold.batch import Job, run
import fourfold.batch.preflight
from tests.batch.support import column_predictor
owner, calls = resolve_name({owner!r}), []
real = getattr(owner, {name!r})
def then_die(*arguments, **named):
    result = real(*arguments, **named)
    calls.append(1)
    if len(calls) == {int(count or 1)}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, {name!r}, then_die)
run(column_predictor(), Job(**json.loads(sys.argv[1])))
"""
    process = subprocess.run([sys.executable, "-c", program, json.dumps(job)], check=False, env=ENVIRONMENT)
    assert process.returncode == -signal.SIGKILL


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Of two runs that write one output one publishes it, and the other is told at once."""
    job = small_chunks(tmp_path)
    first = start(job, mode="wait")
    wait_for_chunk(first)
    with pytest.raises(SinkError, match=r"another run is writing .*day\.parquet"):
        run(column_predictor(), Job(**job))
    assert outcome(first, "\n" * 1000)["rows"] == 19_980
    assert "day.parquet" in published(tmp_path)


def test_interrupted_by_its_user(tmp_path: Path) -> None:
    """Ctrl-C in a terminal ends a run between two chunks and leaves nothing behind."""
    process = start(small_chunks(tmp_path), mode="wait")
    wait_for_chunk(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert files_below(tmp_path) == ["in.parquet"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow", ".jsonl"])
@pytest.mark.parametrize("limit", [1, 40_000])
def test_a_full_disk(suffix: str, limit: int, tmp_path: Path) -> None:
    """Where no more bytes can be written the run fails with the reason, and the old output stays as it was."""
    output = tmp_path / f"out{suffix}"
    output.write_text("old")
    source = write(tmp_path / "in.parquet", table(20_000))
    job = {"source": str(source), "output": str(output), "keep": ["id", "x", "n"], "replace": True}
    error = outcome(start(job, limit))["error"]
    assert error.startswith("SinkError: ")
    assert "File too large" in error
    assert output.name in error
    assert output.read_text() == "old"
    assert files_below(tmp_path) == ["in.parquet", output.name]


def test_a_full_disk_for_the_quarantine(tmp_path: Path) -> None:
    """A quarantine that cannot be written fails the run: a row must not get lost."""
    xs = pa.array([None] * 5000 + [1.0] * 15_000)
    source = write(tmp_path / "in.parquet", table(20_000).set_column(1, "x", xs))
    error = outcome(start({"source": str(source), "output": str(tmp_path / "out.parquet")}, 400_000))["error"]
    assert error.startswith("SinkError: the quarantine ")
    assert "File too large" in error
    assert files_below(tmp_path) == ["in.parquet"]


def wide(path: Path, rows: int) -> Path:
    """A Parquet file of rows of about a kilobyte, in small row groups."""
    block = table(10_000)
    words = pa.array([f"{row:06}" * 160 for row in range(10_000)])
    block = block.set_column(3, "word", words)
    with pq.ParquetWriter(path, block.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(rows // 10_000):
            writer.write_table(block, row_group_size=5000)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_memory_does_not_grow_with_the_rows(suffix: str, tmp_path: Path) -> None:
    """Four times as many rows, 400 MB of them, take no more memory than the fourth part, but for a margin of 50 MB."""
    peaks = []
    for rows in (100_000, 400_000):
        source = wide(tmp_path / "in.parquet", rows)
        job = {"source": str(source), "output": str(tmp_path / f"{rows}{suffix}"), "keep": ["id"], "chunk_rows": 5000}
        found = outcome(start(job))
        assert found["rows"] == rows
        peaks.append(found["peak"])
    assert peaks[1] < peaks[0] + 50 * 2**20
