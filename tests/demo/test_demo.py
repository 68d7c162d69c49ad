"""Run the demonstration on real data, and interrupt it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from fourfold.demo.flights import INPUTS, TARGET, flights, split
from tests.project.tree import ROOT

COMMAND = [sys.executable, "-m", "fourfold", "demo", "--rows", "60"]
ON_FEW_FLIGHTS = [sys.executable, "-m", "tests.demo.few_flights", "demo", "--rows", "60"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that a small demonstration left behind, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "here"
    run = subprocess.run([*COMMAND, "--directory", str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


def test_the_data_are_the_flights() -> None:
    """Every flight that arrived is there, and a model trains on none of those that it is asked about."""
    table = flights()
    assert len(table) == 327_346
    assert table[TARGET].notna().all()
    assert table["plane_year"].isna().mean() > 0.1
    training, held_out = split(table, 1000)
    assert len(held_out) == 1000
    assert not set(training.index) & set(held_out.index)
    assert split(table, 1000)[1].equals(held_out)


def test_it_prints_the_certificate(done: tuple[Path, str]) -> None:
    """Rows, doors, what differs (nothing), and one flight's answer from each of the four."""
    _, text = done
    assert "the same bits everywhere" in text
    for architecture in ("service", "stream", "batch", "embed"):
        assert f"\n {architecture} " in text
    values = [line.split("prediction")[1] for line in text.splitlines() if "  prediction " in line]
    assert len(values) == 4
    assert len(set(values)) == 1


def shape_of(certificate: str) -> list[str]:
    """Return the lines of a certificate with every number as #, without the row that it shows."""
    lines = [re.sub(r"0x[0-9a-f.]+p[+-]\d+|[0-9a-f]{64}|\d[\d.,]*", "#", line) for line in certificate.splitlines()]
    words = [" ".join(line.split()) for line in lines]
    return [*words[: words.index(next(line for line in words if line.startswith("one row")))], *words[-7:]]


def test_readme_shows_the_certificate_as_it_prints(done: tuple[Path, str]) -> None:
    """The certificate of the picture in README.md is what this demonstration prints, but for its numbers."""
    kept = (ROOT / "docs" / "pictures" / "certificate.txt").read_text(encoding="utf-8")
    printed = done[1].partition("\ncertificate\n")[2].partition("the same bits everywhere")[0]
    assert shape_of(kept) == shape_of(f"certificate\n{printed}the same bits everywhere")


def suggested(text: str) -> list[str]:
    """Return the commands that a demonstration suggests at its end."""
    return [line.strip() for line in text.partition("\nnext\n")[2].splitlines() if line.strip()]


def test_the_commands_that_it_suggests_work_as_printed(done: tuple[Path, str]) -> None:
    """Each suggested command works as printed."""
    lines = [line for line in suggested(done[1]) if not line.startswith("curl")]
    assert [shlex.split(line)[1 if "-m" not in line else 3] for line in lines] == [
        "show",
        "serve",
        "stream",
        "batch",
        "certify",
    ]
    for line in lines:
        if " serve " not in line:
            run = subprocess.run(shlex.split(line), capture_output=True, text=True, cwd=Path.cwd(), check=False)
            assert run.returncode == 0, (line, run.stderr)


def with_curl(command: list[str]) -> bytes:
    """Run a curl command."""
    return subprocess.run(command, capture_output=True, check=True).stdout


def with_urllib(command: list[str]) -> bytes:
    """Send what a curl command would send."""
    curl, silent, address, header_flag, header, data_flag, data = command
    assert (curl, silent, header_flag, data_flag) == ("curl", "-s", "-H", "-d")
    request = urllib.request.Request(f"http://{address}", data.encode(), dict([header.split(": ")]))
    with urllib.request.urlopen(request) as reply:
        body: bytes = reply.read()
    return body


@pytest.mark.parametrize("ask", [with_urllib, pytest.param(with_curl, marks=pytest.mark.places)])
def test_the_service_that_it_suggests_answers(done: tuple[Path, str], ask: Callable[[list[str]], bytes]) -> None:
    """The suggested service answers the curl command that is printed below it."""
    (serve,) = (line for line in suggested(done[1]) if " serve " in line)
    (curl,) = (line for line in suggested(done[1]) if line.startswith("curl"))
    # A port of its own in place of 8000, which something else on this machine may have.
    arguments = [*shlex.split(serve.replace("--port 8000", "--port 0")), "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            reply = ask(shlex.split(curl.replace("localhost:8000", url.removeprefix("http://"))))
            assert json.loads(reply)[0]["prediction"] > 0
        finally:
            process.terminate()


@pytest.mark.faults
@pytest.mark.parametrize("stage", ["training", "packing"])
def test_an_interruption_ends_quietly_and_leaves_nothing_half_written(tmp_path: Path, stage: str) -> None:
    """Control-C in any stage: status 130, one line, no process left behind, nothing half-written."""
    interrupt(tmp_path / "here", stage)


@pytest.mark.faults
def test_a_second_run_goes_on_with_the_same_repository(tmp_path: Path) -> None:
    """A run after one that was interrupted does all that was to be done; the same flights give the same package, so
    the version stays the first.
    """
    folder = tmp_path / "here"
    interrupt(folder, "service: POST /predict, JSON rows")
    assert (folder / "repository").is_dir()
    arguments = [*ON_FEW_FLIGHTS, "--directory", str(folder)]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "certificate\neta:1\n" in run.stdout


def interrupt(folder: Path, stage: str) -> None:
    """Interrupt a demonstration in one of its stages, and check that it ends as it must."""
    arguments = [*ON_FEW_FLIGHTS, "--directory", str(folder)]
    # A session of its own: Control-C goes to the whole process group, as it does in a terminal.
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if stage in line:
                break
        time.sleep(0.3)
        _signal_group(run.pid)
        rest = run.stderr.read()
        # Where it came within an `exec`, as of dataclasses, Python ends by it, caught or not: a shell says 130 of both.
        assert run.wait(60) in (130, -signal.SIGINT), rest
    assert "Traceback" not in rest
    assert "interrupted" in rest
    assert _group_is_empty(run.pid)
    whole = {"repository", "eta.fourfold", "flights.parquet", "flights.jsonl"}
    assert {entry.name for entry in folder.iterdir()} <= whole


def _signal_group(pid: int) -> None:
    os.killpg(pid, signal.SIGINT)


def _group_is_empty(pid: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    """A file where the folder should be is an error of the sink, before anything is trained."""
    (tmp_path / "here").write_text("x")
    run = subprocess.run([*COMMAND, "--directory", str(tmp_path / "here")], capture_output=True, text=True, check=False)
    assert run.returncode in (2, 6)
    assert "here" in run.stderr


def test_the_inputs_are_nine_columns_three_of_them_strings() -> None:
    """What the documentation says of the model holds."""
    kinds = [flights()[name].dtype.kind for name in INPUTS]
    assert len(kinds) == 9
    assert sum(kind not in "if" for kind in kinds) == 3
