"""What a person sees in a terminal of 80 and of 110 columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import fourfold
from fourfold.package import write_package
from scripts.pictures import run_in_terminal
from tests.cli.commands import run

CERTIFICATE = """
from fourfold.certificate.certificate import Certificate, DoorReport
from fourfold.cli.certify import print_certificate
from fourfold.signature.bits import Difference

value = 199.99999999999997
doors = [
    DoorReport(name, f"door {door}", "whole", 1_000_000, int(name == "batch"),
               Difference(3, "prediction", value, -value) if name == "batch" else None, "dtype: float32 values",
               {"prediction": value}, 1.0)
    for name in ("service", "stream", "batch", "embed") for door in range(6)
]
row = {f"a_rather_long_name_of_a_column_{index}": value + index for index in range(40)}
print_certificate(Certificate("eta", 12, "sha256:" + 64 * "a", 1_000_000, 1, {}, 195, row, doors))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a model with several classes, a hundred inputs with long names, and figures beside it."""
    chance = np.random.default_rng(4)
    names = [f"a_measurement_with_a_long_name_{index}" for index in range(100)]
    frame = pd.DataFrame(chance.normal(size=(60, 100)), columns=names)
    model = LogisticRegression().fit(frame, chance.choice(["north", "south", "west"], 60))
    path = tmp_path_factory.mktemp("terminal") / "wind.fourfold"
    return write_package(fourfold.pack(model, name="wind", rows=frame), path)


@pytest.mark.parametrize("columns", [80, 110])
def test_a_package_fits_the_terminal(columns: int, package: Path) -> None:
    """No line is wider than the terminal, no digest is broken, and a reason has the room of sentences."""
    shown = run_in_terminal(columns, "-m", "fourfold", "show", str(package))
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    assert fourfold.open(package).digest in lines
    assert len(lines) < 80
    assert "… and 70 more (--all shows them)" in shown
    reason = [line for line in lines if "BLAS" in line or "ulp" in line]
    assert reason
    assert max(map(len, reason)) > columns / 2
    assert "and 96 more: missing: the model refuses a missing value" in " ".join(shown.split())


@pytest.mark.parametrize("columns", [80, 110])
def test_whole_digests_of_files_are_shown_when_asked_for(columns: int, package: Path) -> None:
    """With --all every field and every file's digest is there, each digest on a line of its own."""
    lines = [
        line.rstrip() for line in run_in_terminal(columns, "-m", "fourfold", "show", str(package), "--all").splitlines()
    ]
    assert max(map(len, lines)) <= columns
    files = fourfold.open(package).manifest["files"]
    for name, entry in files.items():
        assert lines[lines.index(f"{name}  {entry['size']:,} bytes") + 1] == f"  sha256:{entry['sha256']}"
    assert sum("a_measurement_with" in line for line in lines) >= 100


@pytest.mark.parametrize("columns", [80, 110])
def test_a_certificate_is_one_screen(columns: int) -> None:
    """A line for each architecture; the digest and the digits of an answer are never broken."""
    shown = run_in_terminal(columns, "-c", CERTIFICATE)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    assert len(lines) <= 40
    assert "sha256:" + 64 * "a" in lines
    for architecture in ("service", "stream", "batch", "embed"):
        assert sum(line.split()[:1] == [architecture] for line in lines) == 2
    assert shown.count("prediction 199.99999999999997 (0x1.8ffffffffffffp+7)") == 4
    assert "1,000,000 rows, 24 doors, 195 golden rows at every start" in lines
    assert "1 row left out: not what the signature takes, or the engine refuses them" in lines
    assert "6 answers differ" in lines
    assert (
        " ".join(shown.split()).count("expected 199.99999999999997, got -199.99999999999997; likely cause: dtype") == 1
    )
    assert "… and in 5 more ways to send the rows (--all)" in shown


@pytest.mark.parametrize("columns", [80, 110])
def test_the_help_has_whole_summaries(columns: int) -> None:
    """No summary of a verb is cut, and no line is wider than the terminal."""
    lines = run_in_terminal(columns, "-m", "fourfold", "--help").splitlines()
    assert max(map(len, lines)) <= columns
    assert not [line for line in lines[1:] if "..." in line]


def test_a_glob_that_the_shell_expanded_is_told(package: Path) -> None:
    """Several arguments where one is due are most often a glob without quotes."""
    error = run("batch", "run", package, "--from", "a.csv", "b.csv", "--to", "c.csv", ok=2).stderr
    assert "Got unexpected extra argument (b.csv)" in error
    assert "Quote a name with * or ? in it" in error


def test_a_quiet_command_prints_nothing(package: Path, tmp_path: Path) -> None:
    """What a scheduler would mail is empty where all went well: neither standard output nor standard error."""
    names = fourfold.open(package).signature.inputs
    rows = tmp_path / "rows.csv"
    pd.DataFrame({field.name: [0.25, 0.5] for field in names}).to_csv(rows, index=False)
    for arguments in (
        ("batch", "run", package, "--from", rows, "--to", tmp_path / "answers.csv", "--quiet"),
        ("certify", package, "--rows", rows, "--architecture", "embed", "-q"),
    ):
        done = run(*arguments)
        assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "answers.csv").exists()
