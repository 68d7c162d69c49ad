"""The command line: what a person types, and what a script reads."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.tree import DecisionTreeClassifier

import fourfold
from fourfold.cli import _VERBS
from fourfold.package import open_package, write_package
from tests.cli.commands import call, run

FRAME = pd.DataFrame(
    {
        "distance": [1400, 1416, 1089, 1576] * 20,
        "delay": [2.0, None, 4.5, -1.0] * 20,
        "origin": ["EWR", "LGA", "JFK", "ÜÜÜ"] * 20,
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows in every form, a pickled model, its package, and a repository that holds it."""
    folder = tmp_path_factory.mktemp("cli")
    numbers = FRAME[["distance", "delay"]]
    model = HistGradientBoostingRegressor(max_iter=10, random_state=0).fit(numbers, FRAME["distance"] / 7)
    (folder / "eta.pickle").write_bytes(pickle.dumps(model))
    package = fourfold.pack(model, name="eta", rows=numbers)
    write_package(package, folder / "eta.fourfold")
    fourfold.push(package, repository=folder / "models")
    FRAME.to_parquet(folder / "rows.parquet")
    numbers.to_csv(folder / "rows.csv", index=False)
    events = numbers.assign(id=[f"r{row}" for row in range(len(numbers))])
    events.to_json(folder / "rows.jsonl", orient="records", lines=True)
    return folder


@pytest.mark.parametrize("verb", [*_VERBS, "batch run"])
def test_every_verb_has_help_that_teaches(verb: str) -> None:
    """The help says what the verb does and shows an example or names its options."""
    text = run(*verb.split(), "--help").stdout
    assert text.startswith("Usage: fourfold")
    assert len(text.splitlines()) > 5


def test_the_help_lists_every_verb_and_what_to_do_first() -> None:
    """A newcomer sees the verbs, where to begin, and what the exit statuses mean."""
    text = run("--help").stdout
    assert all(f"\n  {verb} " in text for verb in _VERBS)
    assert "fourfold demo" in text
    assert "Exit statuses" in text
    assert run("--version").stdout.strip().endswith(fourfold.__version__)


def test_a_package_is_made_shown_pushed_promoted_listed_and_pulled(folder: Path, tmp_path: Path) -> None:
    """The way of a package from a pickled model to another host, with the digest the same all along."""
    out = tmp_path / "eta.fourfold"
    packed = json.loads(
        run(
            "pack", "eta", "--estimator", folder / "eta.pickle", "--rows", folder / "rows.parquet", "-o", out, "--json"
        ).stdout
    )
    assert packed["digest"] == open_package(out).digest
    shown = json.loads(run("show", out, "--json").stdout)
    assert shown["digest"] == packed["digest"]
    for text in (
        run("show", out).stdout,
        run("pack", "again", *_estimator(folder), "--no-measure", "-o", tmp_path / "x.fourfold").stdout,
    ):
        assert "plan (chosen)" in text
        assert "the same bits in" in text
        assert "the original" in text
    models = {"FOURFOLD_REPOSITORY": str(tmp_path / "models")}
    assert json.loads(run("push", out, "--json", environment=models).stdout)["version"] == 1
    assert json.loads(run("push", out, "--json", environment=models).stdout)["version"] == 1
    run("promote", "eta:1", "production", environment=models)
    listed = json.loads(run("list", "--json", environment=models).stdout)
    (pushed,) = [version.pop("pushed") for entry in listed for version in entry["versions"]]
    assert abs(datetime.fromisoformat(pushed).timestamp() - time.time()) < 3600
    assert listed == [
        {"name": "eta", "versions": [{"version": 1, "digest": packed["digest"]}], "aliases": {"production": 1}}
    ]
    assert "production" in run("list", "eta", environment=models).stdout
    pushed = json.loads(run("push", out, "--alias", "canary", "--json", environment=models).stdout)
    assert pushed == {"name": "eta", "version": 1, "digest": packed["digest"], "alias": "canary"}
    assert "eta:1" in run("push", out, "--alias", "canary", environment=models).stdout
    run("pull", "eta@canary", "-o", tmp_path / "pulled.fourfold", environment=models)
    assert open_package(tmp_path / "pulled.fourfold").digest == packed["digest"]


def _estimator(folder: Path) -> tuple[str | Path, ...]:
    return "--estimator", folder / "eta.pickle", "--rows", folder / "rows.parquet"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_absent_column_is_named(folder: Path, tmp_path: Path, suffix: str) -> None:
    """Rows without a field's column are refused, by batch and by certify; --absent says that it is missing."""
    rows = tmp_path / f"rows{suffix}"
    lacking = FRAME[["distance", "origin"]].rename(columns={"origin": "Delay, in minutes"})
    if suffix == ".csv":
        lacking.to_csv(rows, index=False)
    else:
        lacking.to_parquet(rows)
    eta = folder / "eta.fourfold"
    for verb in (["batch", "run", eta, "--from", rows, "--to", tmp_path / "a.csv"], ["certify", eta, "--rows", rows]):
        refused = call(*verb, ok=6 if verb[0] == "batch" else 3).stderr
        assert "column 'delay': expected float64 or null, got no such column; the table has 'distance'" in refused
        assert "--absent delay" in refused
    call("batch", "run", eta, "--from", rows, "--to", tmp_path / "a.csv", "--absent", "delay")
    job = tmp_path / "job.toml"
    job.write_text(f'package = "{eta}"\nsource = "{rows}"\noutput = "b.csv"\nabsent = ["delay"]\n')
    call("batch", "run", job)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    call("certify", eta, "--rows", rows, "--absent", "delay", "--limit", 3, "--architecture", "embed")
    assert "'speed'" in call("certify", eta, "--rows", rows, "--absent", "speed,delay", ok=3).stderr


def test_arrays_are_asked_for(tmp_path: Path) -> None:
    """`--arrays`, and `arrays = true` in a job, write arrays to CSV, which has a column for each label otherwise."""
    numbers = FRAME[["distance"]]
    package = fourfold.pack(DecisionTreeClassifier().fit(numbers, FRAME["origin"]), name="origin", rows=numbers)
    origin = write_package(package, tmp_path / "origin.fourfold")
    rows = tmp_path / "rows.csv"
    numbers.head(2).to_csv(rows, index=False)

    def written(*options: str) -> list[str]:
        call("batch", "run", origin, "--from", rows, "--to", tmp_path / "out.csv", "--replace", *options)
        return (tmp_path / "out.csv").read_text().splitlines()

    header = "label,probability_EWR,probability_JFK,probability_LGA,probability_ÜÜÜ"
    assert written() == [header, "EWR,1.0,0.0,0.0,0.0", "LGA,0.0,0.0,1.0,0.0"]
    arrays = ["label,probability", 'EWR,"[1.0,0.0,0.0,0.0]"', 'LGA,"[0.0,0.0,1.0,0.0]"']
    assert written("--arrays") == arrays
    job = tmp_path / "job.toml"
    job.write_text(f'package = "{origin}"\nsource = "{rows}"\noutput = "job.csv"\narrays = true\n')
    call("batch", "run", job)
    assert (tmp_path / "job.csv").read_text().splitlines() == arrays


def test_the_same_rows_through_stream_and_batch(folder: Path, tmp_path: Path) -> None:
    """Standard input, files, CSV and Parquet give the same predictions, with what was to be kept beside them."""
    eta = folder / "eta.fourfold"
    lines = (folder / "rows.jsonl").read_bytes()
    piped = run("stream", eta, "--keep", "id", stdin=lines).stdout.splitlines()
    run("stream", eta, "--from", folder / "rows.jsonl", "--to", tmp_path / "a.jsonl", "--keep", "id", "--quiet")
    assert (tmp_path / "a.jsonl").read_text().splitlines() == piped
    report = json.loads(
        run(
            "batch",
            "run",
            eta,
            "--from",
            folder / "rows.parquet",
            "--to",
            tmp_path / "a.parquet",
            "--keep",
            "origin",
            "--json",
        ).stdout
    )
    assert report["rows_out"] == len(FRAME)
    run("batch", "run", eta, "--from", folder / "rows.csv", "--to", tmp_path / "a.csv")
    parquet = pd.read_parquet(tmp_path / "a.parquet")
    assert parquet["origin"].tolist() == FRAME["origin"].tolist()
    expected = [json.loads(line)["prediction"] for line in piped]
    assert parquet["prediction"].tolist() == expected
    assert pd.read_csv(tmp_path / "a.csv")["prediction"].tolist() == expected


def test_a_job_file_says_it_all(folder: Path, tmp_path: Path) -> None:
    """A TOML file holds the package and the job; what is typed goes before it."""
    job = tmp_path / "nightly.toml"
    job.write_text(
        f'package = "eta:1"\nrepository = "{folder / "models"}"\n'
        f'source = "{folder / "rows.parquet"}"\noutput = "etas.parquet"\nkeep = ["origin"]\n'
    )
    run("batch", "run", job)
    assert list(pd.read_parquet(tmp_path / "etas.parquet")) == ["origin", "prediction"]
    assert "exists" in run("batch", "run", job, ok=6).stderr
    run("batch", "run", job, "--replace", "--keep", "distance")
    assert list(pd.read_parquet(tmp_path / "etas.parquet")) == ["distance", "prediction"]


def test_the_service_says_when_it_is_ready(folder: Path) -> None:
    """With --json one line names the url and the digest; it answers there, and SIGTERM ends it with status 0."""
    arguments = [sys.executable, "-m", "fourfold", "serve", str(folder / "eta.fourfold"), "--port", "0", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["digest"] == open_package(folder / "eta.fourfold").digest
        request = urllib.request.Request(
            ready["url"] + "/predict", b'{"distance": 1400, "delay": 2.0}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            assert set(json.loads(reply.read())) == {"prediction"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_certify_says_that_all_are_equal(folder: Path, tmp_path: Path) -> None:
    """Status 0, a table for people, and a certificate that a script can read."""
    certificate = tmp_path / "certificate.json"
    text = run(
        "certify", "eta:1", "--rows", folder / "rows.parquet", "--repository", folder / "models", "-o", certificate
    )
    assert "the same bits everywhere" in text.stdout
    read = json.loads(certificate.read_text())
    assert read["equal"] is True
    assert {door["architecture"] for door in read["doors"]} == {"service", "stream", "batch", "embed"}
    assert set(read["shown"]["answers"]) == {"service", "stream", "batch", "embed"}
    assert read["rows"] == len(FRAME)


def test_certify_ends_with_1_where_answers_differ(folder: Path) -> None:
    """A service that runs another version is found out, with the first row, the field and the cause."""
    other = HistGradientBoostingRegressor(max_iter=11, random_state=0)
    other.fit(FRAME[["distance", "delay"]], FRAME["distance"] / 7)
    package = fourfold.pack(other, name="eta", rows=FRAME[["distance", "delay"]])
    from fourfold import service

    with service.running(lambda: fourfold.load(package)) as url:
        arguments = ["certify", folder / "eta.fourfold", "--rows", folder / "rows.csv", "--service", url]
        text = run(*arguments, "--architecture", "service", ok=1).stdout
    words = " ".join(text.split())
    assert "likely cause: version" in words
    assert "field prediction" in words


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["show", "eta@production"], 5, "has no alias 'production'"),
        (["show", "nope"], 5, "no model"),
        (["show", "eta@@"], 5, "eta@@"),
        (["show", "nothing.fourfold"], 6, "cannot read the package nothing.fourfold"),
        (["pack", "eta", "--rows", "{rows.parquet}"], 2, "name one model"),
        (["pack", "Eta!", "--estimator", "{eta.pickle}", "--rows", "{rows.parquet}"], 4, "expected a name"),
        (["pack", "eta", "--estimator", "{rows.csv}", "--rows", "{rows.parquet}"], 4, "rows.csv"),
        (
            ["pack", "eta", "--estimator", "{eta.pickle}", "--rows", "{rows.parquet}", "--inputs", "a,b"],
            4,
            "lacks the columns",
        ),
        (["batch", "run", "{eta.fourfold}"], 2, "needs --from and --to"),
        (["batch", "run", "{eta.fourfold}", "--from", "nothing.csv", "--to", "out.csv"], 6, "nothing.csv"),
        (["stream", "{eta.fourfold}", "--from", "kafka://broker/topic"], 6, "kafka"),
        (["stream", "{eta.fourfold}", "--from", "nothing.jsonl"], 6, "nothing.jsonl"),
        (
            ["certify", "{eta.fourfold}", "--rows", "{rows.parquet}", "--service", "http://127.0.0.1:9"],
            6,
            "127.0.0.1:9",
        ),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    folder: Path, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    """Every error says what and where, without a traceback, and has the exit status that the docs list."""
    filled = [str(folder / each[1:-1]) if each.startswith("{") else each for each in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "fourfold", *filled],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "FOURFOLD_REPOSITORY": str(folder / "models")},
    )
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(folder: Path) -> None:
    """Who asks for it sees where an error came from."""
    arguments = [sys.executable, "-m", "fourfold", "--debug", "show", "nothing.fourfold"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_a_port_in_use_is_said_before_the_model_is_loaded(folder: Path) -> None:
    """The message names the port and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in run("serve", folder / "eta.fourfold", "--port", port, ok=6).stderr


def test_code_needs_trust_on_the_command_line(tmp_path: Path) -> None:
    """Without --trust a package that carries code answers nobody; with it, or with the variable, it does."""
    from tests.models import identity

    package = fourfold.pack(identity, name="identity", rows=[{"x": float(index)} for index in range(20)])
    path = write_package(package, tmp_path / "identity.fourfold")
    assert "--trust" in run("stream", path, ok=4, stdin=b'{"x": 1}\n').stderr
    assert run("stream", path, "--trust", "code", stdin=b'{"x": 1}\n').stdout == '{"y":1.0}\n'
    allowed = {"FOURFOLD_TRUST": "code"}
    assert run("stream", path, stdin=b'{"x": 1}\n', environment=allowed).stdout == '{"y":1.0}\n'
    assert "FOURFOLD_TRUST: expected one of" in run("stream", path, ok=4, environment={"FOURFOLD_TRUST": "1"}).stderr
    assert "trust code: it carries Python code" in run("show", path).stdout


def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    """`fourfold … | head` ends quietly."""
    pipeline = f"{sys.executable} -m fourfold show {folder / 'eta.fourfold'} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", pipeline], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "eta\n"


def test_the_command_is_quick_to_say_what_it_can() -> None:
    """Help imports nothing heavy."""
    code = (
        "import sys\nfrom fourfold.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'sklearn', 'starlette', 'obstore', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("verb", [*_VERBS, "batch run"])
def test_no_help_shows_its_markup(verb: str) -> None:
    """The examples stand on lines of their own, without the mark that keeps them there."""
    assert "\\b" not in run(*verb.split(), "--help").stdout


def test_a_stream_that_answers_nothing_says_why(folder: Path, tmp_path: Path) -> None:
    """Not one event answered is an error, with the first reason and the file of the others; some dead are a line."""
    events = tmp_path / "in.jsonl"
    events.write_text('{"distance": 1, "delay": null, "id": 5}\n' * 3)
    arguments = ["stream", folder / "eta.fourfold", "--from", events, "--to", tmp_path / "out.jsonl"]
    error = run(*arguments, "--extra", "forbid", ok=6).stderr
    assert "not one of 3 events was answered" in error
    assert "field 'id'" in error
    assert "extra=ignore" in error
    assert str(tmp_path / "out.jsonl.dead.jsonl") in error
    run(*arguments, "--replace")
    events.write_text('{"distance": 1, "delay": 2}\n{"distance": "far"}\n')
    arguments[-1] = tmp_path / "other.jsonl"
    assert "the first: field 'distance': expected int64, got 'far'" in run(*arguments).stderr


def test_a_repository_that_would_be_lost_is_refused(folder: Path) -> None:
    """A repository in memory ends with the command, so the command does not pretend to have pushed."""
    assert "memory://x" in run("push", folder / "eta.fourfold", "--repository", "memory://x", ok=2).stderr
