"""`fourfold doctor`: each check where all is well, and where it is not, for real."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold import __version__
from fourfold.buckets.checks import check_processes
from fourfold.checks import Check, check_variables
from fourfold.cli import checks as installation
from fourfold.cli.doctor import _variables
from fourfold.durable.checks import check_room, check_temporary_folder
from fourfold.installation import install_command
from fourfold.loading.checks import check_package, check_trust
from fourfold.package import open_package
from fourfold.repository import checks as repository
from fourfold.repository.location import open_store
from fourfold.runtimes.checks import check_evaluator, check_threads
from fourfold.service.checks import check_port
from tests.cli.commands import call
from tests.models import identity
from tests.project.tree import ROOT
from tests.repository.test_conditional_writes import Careless

ROWS = [{"x": float(index)} for index in range(30)]


def problems(checks: Iterable[Check]) -> list[Check]:
    """The checks that tell of something wrong."""
    return [check for check in checks if check.status == "problem"]


def only_problem(checks: Iterable[Check]) -> Check:
    """The one check that tells of something wrong."""
    (problem,) = problems(checks)
    return problem


@pytest.fixture(autouse=True)
def _temporary_folder() -> Iterator[None]:
    """Python remembers the folder of temporary files; these tests move it."""
    before, tempfile.tempdir = tempfile.tempdir, None
    yield
    tempfile.tempdir = before


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose code needs trust."""
    return fourfold.pack(identity, name="identity", rows=ROWS).save(tmp_path / "identity.fourfold")


def installed(folder: Path, *lines: str) -> None:
    """Make the metadata of an installation of Fourfold with other requirements."""
    record = folder / f"fourfold-{__version__}.dist-info"
    record.mkdir(exist_ok=True)
    text = "\n".join(["Metadata-Version: 2.4", "Name: fourfold", f"Version: {__version__}", *lines])
    (record / "METADATA").write_text(text + "\n")


def test_all_is_well_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 0, no problem, and with -q no word; a repository of a folder is read, written and proved."""
    fourfold.push(fourfold.pack(identity, name="identity", rows=ROWS), tmp_path / "models", alias="production")
    monkeypatch.setenv("FOURFOLD_REPOSITORY", str(tmp_path / "models"))
    told = json.loads(call("doctor", "identity@production", "--trust", "code", "--json").stdout)
    assert told["ok"] is True
    assert [check for check in told["checks"] if check["status"] == "problem"] == []
    seen = {check["name"]: check["text"] for check in told["checks"]}
    assert "honours conditional writes" in seen["repository"]
    assert "answered as recorded" in seen["identity@production"]
    assert call("doctor", "-q").stdout == ""
    assert "nothing is wrong here" in call("doctor").stdout


def test_what_is_wrong_is_a_status_and_a_line_to_paste(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable, and a repository that is not there."""
    monkeypatch.setenv("FOURFOLD_REPOSITRY", str(tmp_path / "models"))
    for quiet in ((), ("-q",)):
        text = call("doctor", "--repository", tmp_path / "nowhere", *quiet, ok=1).stdout
        assert "did you mean FOURFOLD_REPOSITORY?" in " ".join(text.split())
        assert '\n  export FOURFOLD_REPOSITORY="$FOURFOLD_REPOSITRY"; unset FOURFOLD_REPOSITRY\n' in text
        assert "2 problems" in text
        assert ("ok " in text) != bool(quiet)


def test_python_and_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old Python, an old library, one that is missing, and an extra that is not there, each with its line."""
    assert problems([*installation.check_python(), *installation.check_libraries()]) == []
    monkeypatch.syspath_prepend(tmp_path)
    installed(
        tmp_path,
        "Requires-Python: >=3.99",
        "Provides-Extra: cloud",
        "Requires-Dist: click>=99.1",
        "Requires-Dist: rich>=1",
        "Requires-Dist: not-there>=2",
        'Requires-Dist: a-cloud>=0.1; extra == "cloud"',
        'Requires-Dist: fourfold[cloud]; extra == "all"',
    )
    assert "Fourfold requires >=3.99" in only_problem(installation.check_python()).text
    checks = list(installation.check_libraries())
    missing, old = problems(checks)
    assert "not-there is not installed" in missing.text
    assert "requires >=99.1" in old.text
    assert old.mend == "pip install --upgrade 'click>=99.1'"
    (note,) = [check for check in checks if check.status == "note"]
    assert (note.name, note.text) == ("extra cloud", "not installed: a-cloud")
    assert note.mend == install_command("cloud")
    record = {"url": ROOT.as_uri(), "dir_info": {"editable": True}}
    (tmp_path / f"fourfold-{__version__}.dist-info" / "direct_url.json").write_text(json.dumps(record))
    (note,) = [check for check in installation.check_libraries() if check.status == "note"]
    assert note.mend.endswith(f"pip install -e '{ROOT}[cloud]'")


def test_the_evaluator(tmp_path: Path) -> None:
    """One that is not there, and one that computes other bits."""
    assert problems(check_evaluator("pip install .")) == []
    shutil.copytree(Path(fourfold.__file__).parent, tmp_path / "fourfold", ignore=shutil.ignore_patterns("*.so", "*.c"))
    program = "from fourfold.runtimes.checks import check_evaluator as c; print(*c('pip install .'))"

    def told() -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    assert "does not load" in told()
    (tmp_path / "fourfold" / "plan" / "_evaluator.py").write_text(
        "class Evaluator:\n"
        "    def __init__(self, *_): pass\n"
        "    def one(self, row): return {'probability': [0.25, 0.75]}\n"
    )
    assert "other bits here" in told()
    assert "pip install --force-reinstall --no-deps ." in told()


def test_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is not there, one that does not run Fourfold, and one that has another."""
    assert problems(check_processes(__version__)) == []
    assert "and this is 9.9" in only_problem(check_processes("9.9")).text
    for program, said in (("exit 3", "status 3"), ("echo No module named fourfold >&2; exit 1", "No module named")):
        python = tmp_path / "python3"
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
        monkeypatch.setenv("FOURFOLD_PYTHON", str(python))
        assert said in only_problem(check_processes(__version__)).text
    monkeypatch.setenv("FOURFOLD_PYTHON", str(tmp_path / "nothing"))
    problem = only_problem(check_processes(__version__))
    assert "does not start: No such file" in problem.text
    assert problem.mend == "export FOURFOLD_PYTHON=/path/to/python3"


def test_temporary_files_and_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there, one that is a file, and a disk with too little room."""
    assert problems([*check_temporary_folder(), *check_room([tmp_path / "not yet"], 1)]) == []
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))
        problem = only_problem(check_temporary_folder())
        assert f"$TMPDIR names {tmp_path / name}" in problem.text
        assert problem.mend == "unset TMPDIR"
    assert "GiB are wanted" in only_problem(check_room([tmp_path, tmp_path], 2**80)).text


@pytest.mark.parametrize("name", _variables()[0])
def test_malformed_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable with a number or a level: what it may hold is said."""
    readers, _ = _variables()
    monkeypatch.setenv(name, "code" if name == "FOURFOLD_TRUST" else "12")
    assert problems(check_variables(readers)) == []
    monkeypatch.setenv(name, "-many")
    problem = only_problem(check_variables(readers))
    assert (problem.name, problem.mend) == (name, f"unset {name}")
    assert problem.text.startswith("expected ")


def test_every_variable_is_known() -> None:
    """Those of the table in docs/cli.md are read, or looked at by another check."""
    lines = (ROOT / "docs" / "cli.md").read_text().splitlines()
    table = {
        word
        for line in lines
        if line.startswith("| `FOURFOLD_")
        for word in line.split("|")[1].replace(",", " ").split()
    }
    readers, others = _variables()
    assert {f"`{name}`" for name in (*readers, *others)} == table


def test_threads_and_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of threads that is none, and a clock from before the installation."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert problems([*check_threads(), *installation.check_clock()]) == []
    for value in ("many", "0", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert only_problem(check_threads()).mend == "unset OMP_NUM_THREADS"
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert "days before Fourfold was installed" in only_problem(installation.check_clock()).text


def test_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that is not there, that others may write, or that is none."""
    assert problems(check_trust()) == []
    policy = tmp_path / "policy.toml"
    monkeypatch.setenv("FOURFOLD_POLICY", str(policy))
    assert "is not there" in only_problem(check_trust()).text
    policy.write_text('[[allow]]\nmodel = "eta"\ntrust = "foreign"\n')
    policy.chmod(0o600)
    (check,) = check_trust()
    assert (check.status, check.text) == ("ok", f"{policy}: 1 rule")
    policy.chmod(0o666)
    assert "chmod go-w" in only_problem(check_trust()).text
    policy.chmod(0o600)
    policy.write_text("[[alow]]\n")
    assert "'alow'" in only_problem(check_trust()).text


def test_ports() -> None:
    """A port that is taken, and a process that may open nothing more."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "in use" in only_problem(check_port("127.0.0.1", port, is_named=True)).text
        assert [check.status for check in check_port("127.0.0.1", port, is_named=False)] == ["note"]
    assert problems(check_port("127.0.0.1", port, is_named=True)) == []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        checks = list(check_port("127.0.0.1", 0, is_named=False))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many open files" in only_problem(checks).text


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is no folder, and one below a file: a problem where a bucket needs it, or where it was named."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FOURFOLD_CACHE", str(folder))
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "a").write_bytes(bytes(2**20))
    (check,) = repository.check_cache(is_needed=True)
    assert (check.status, check.text) == ("ok", f"{folder}: 1 file, 1.0 MiB")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOURFOLD_CACHE", str(tmp_path / "file"))
    assert "it is no folder" in only_problem(repository.check_cache(is_needed=False)).text
    monkeypatch.delenv("FOURFOLD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/1")
    assert [check.status for check in repository.check_cache(is_needed=False)] == ["note"]
    assert only_problem(repository.check_cache(is_needed=True)).mend.startswith("export FOURFOLD_CACHE=")


def test_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None, one that is no folder, one that cannot be written, a damaged one, and one whose clock is another."""
    (none,) = repository.check_repository(None, read_only=False)
    assert none.status == "note"
    assert "ftp://" in only_problem(repository.check_repository("ftp://x", read_only=False)).text
    models = tmp_path / "models"
    line = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    fourfold.push(fourfold.pack(line, name="line", rows=[[float(index)] for index in range(20)]), models)
    assert [check.status for check in repository.check_repository(str(models), read_only=True)] == ["ok", "note"]
    later_s = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert "s behind this one" in only_problem(repository.check_repository(str(models), read_only=False)).text
    monkeypatch.undo()
    careless = Careless(open_store(str(models)), create=True)
    with monkeypatch.context() as patch:
        patch.setattr(repository, "open_store", lambda _: careless)
        problem = only_problem(repository.check_repository("models", read_only=False))
    assert "does not honour conditional writes" in problem.text
    shutil.rmtree(models / ".writing")
    (models / ".writing").write_text("")
    problem = only_problem(repository.check_repository(str(models), read_only=False))
    assert "cannot write probe.json" in problem.text
    assert "--read-only" in problem.text
    (models / "models" / "line" / "versions" / "1.json").write_text("{}")
    assert "is damaged" in only_problem(repository.check_repository(str(models), read_only=True)).text


def test_a_package(package: Path, tmp_path: Path) -> None:
    """One that is not there, that is not trusted, and that is damaged."""
    program = f"from fourfold.loading.checks import check_package as c; print(*c({str(package)!r}, None, None))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert "needs trust 'code'" in done.stdout.decode()
    assert problems(check_package(str(package), None, "code")) == []
    assert "nothing.fourfold" in only_problem(check_package("nothing.fourfold", None, None)).text
    data = package.read_bytes()
    file = open_package(package).read("golden.json")
    assert file in data
    package.write_bytes(data.replace(file, file.replace(b"1", b"2"), 1))
    assert only_problem(check_package(str(package), None, "code")).text


BASE = """
import sys

for library in "httptools numpy obstore pandas polars pyarrow sklearn skops starlette uvicorn".split():
    sys.modules[library] = None  # as if it were not installed

from fourfold.cli import main

main(sys.argv[1:])
"""


def test_an_installation_without_extras(tmp_path: Path) -> None:
    """Where no extra is installed the checks are made all the same; no port is looked at, since nobody listens."""
    command = [sys.executable, "-c", BASE, "doctor", "--read-only", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["port"]["status"] == "note"
    assert "the service needs starlette, which is not installed" in checks["port"]["text"]
    assert checks["evaluator"]["status"] == "ok"


def test_the_demonstration_names_its_extra(tmp_path: Path) -> None:
    """What lacks a library for it is told the extra that brings all of them."""
    command = [sys.executable, "-c", BASE, "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "the extra 'demo' brings it" in done.stderr
