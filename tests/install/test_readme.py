"""After the documented install, every command and block of README.md works as printed, from a wheel alone."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from tests.install import readme
from tests.install.environments import Environment, install, make
from tests.project.tree import ROOT, pyproject

EXTRAS = sorted(pyproject()["project"]["optional-dependencies"])
DOCUMENTED = "sklearn,service"
#: The extras that are tried alone: those of `all` and none in each run of the tests, the others in a sweep.
CASES = [
    *("", DOCUMENTED, "all"),
    *(pytest.param(extra, marks=pytest.mark.sweep) for extra in EXTRAS if extra != "all"),
]
FRAME = pd.DataFrame(
    {
        "flight": [f"F{number}" for number in range(200)],
        "distance": [1400, 1416, 1089, 1576] * 50,
        "hour": [5, 5, 5, 6] * 50,
        "delay": [2.0, 4.0, None, -1.0] * 50,
    }
)
INPUTS = ["distance", "hour", "delay"]
NIGHTLY = 'source = "flights/"\noutput = "nightly.parquet"\npackage = "eta@production"\nkeep = ["flight"]\n'
_MISSING = re.compile(r"needs [A-Za-z0-9, -]+, which is not installed; the extras? .+ brings? it: (.+)$", re.MULTILINE)
#: What needs no library beyond the core.
OF_THE_CORE = ("export", "fourfold push", "fourfold promote", "fourfold stream")
RUNTIMES = ("catboost", "lightgbm", "onnx", "sklearn", "xgboost")
LOAD_EVERY_PACKAGE = """
import json, sys
from pathlib import Path
import fourfold
told = {}
for path in sorted(Path(sys.argv[1]).glob("*.fourfold")):
    runtime = fourfold.open(path).manifest["runtime"]["name"]
    try:
        fourfold.load(path, trust="code")
        told[path.stem] = (runtime, None)
    except fourfold.errors.MissingLibrary as error:
        told[path.stem] = (runtime, error.extra)
print(json.dumps(told))
"""
CALL_EVERYTHING = """
from importlib.util import find_spec as has
import fourfold
from fourfold import *
row = {"distance": 1400, "hour": 5, "delay": None}
eta = fourfold.load("eta@production", repository="models/")
assert abs(eta.predict_one(row)["prediction"] - 200) < 1
eta.predict([row])
calls = {
    "pack": lambda: fourfold.pack(lambda rows: rows, name="x", rows=[row]),
    "certify": lambda: fourfold.certify(eta, [row]),
    "cloud": lambda: fourfold.list(repository="s3://no/where") if not has("obstore") else None,
    "flask": lambda: fourfold.embed.flask_blueprint(eta),
    "fastapi": lambda: fourfold.embed.fastapi_router(eta),
    "starlette": lambda: fourfold.embed.starlette_route(eta),
    "service": lambda: fourfold.service.app,
    "batch": lambda: fourfold.batch.run(eta, fourfold.batch.Job("flights/", "api.parquet")),
}
for name, call in calls.items():
    try:
        call()
    except fourfold.errors.MissingLibrary as error:
        print("missing", name, error.extra)
    except fourfold.FourfoldError as error:
        assert name == "pack", error  # a lambda is no model; before it is looked at, the libraries are
"""


def files(folder: Path) -> None:
    """Write the files that the page's commands take, and the package of its model."""
    model = HistGradientBoostingRegressor(random_state=0).fit(FRAME[INPUTS], FRAME["distance"] / 7)
    joblib.dump(model, folder / "eta.joblib")
    FRAME[INPUTS].to_parquet(folder / "rows.parquet")
    FRAME.to_json(folder / "flights.jsonl", orient="records", lines=True)
    (folder / "flights").mkdir()
    FRAME.to_json(folder / "flights" / "monday.jsonl", orient="records", lines=True)
    (folder / "nightly.toml").write_text(NIGHTLY)


def serve(environment: Environment, command: str, folder: Path, settings: dict[str, str]) -> tuple[int, str]:
    """Start the service, ask it for an answer, stop it as a supervisor does, and return its status and its errors."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [port if word == "8000" else word for word in shlex.split(command)] + ["--json", "--notice", "0"]
    process = subprocess.Popen(
        [str(environment.folder / "bin" / words[0]), *words[1:]],
        cwd=folder,
        env=environment.variables(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if ready := process.stdout.readline():
        url = json.loads(ready)["url"]
        body = b'[{"distance": 1400, "hour": 5, "delay": null}]'
        request = urllib.request.Request(f"{url}/predict", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            (answer,) = json.load(reply)
        assert abs(answer["prediction"] - 200) < 1
        process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def run(environment: Environment, folder: Path) -> dict[str, str | None]:
    """Run every command of the page in a folder, and return each with the command that would install what is missing.

    A command that fails in any other way, or with a traceback, fails the test.
    """
    settings: dict[str, str] = {}
    told: dict[str, str | None] = {}
    for command in [*readme.commands(), *readme.table_commands()]:
        words = shlex.split(command, comments=True)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            settings[name] = value
            continue
        if words[1] == "serve":
            status, errors = serve(environment, command, folder, settings)
        else:
            finished = environment.shell(command, folder, settings, '{"distance": 1400, "hour": 5, "delay": null}\n')
            status, errors = finished.returncode, finished.stderr
        assert "Traceback" not in errors, f"{command}: {errors}"
        missing = _MISSING.search(errors)
        assert status in (0, 7), f"{command}: status {status}: {errors}"
        assert (status == 7) == (missing is not None), f"{command}: {errors}"
        told[command] = None if missing is None else missing[1]
        if words[1] == "pack" and status == 7:  # who has no scikit-learn gets the package from a colleague
            packed(folder)
    return told


def packed(folder: Path) -> None:
    """Pack the page's model with the libraries of the tests."""
    import fourfold

    model = joblib.load(folder / "eta.joblib")
    fourfold.pack(model, name="eta", rows=FRAME[INPUTS]).save(folder / "eta.fourfold")


@pytest.mark.parametrize("extra", CASES, ids=lambda extra: extra or "base")
def test_every_command_works_or_names_the_extra(extra: str, tmp_path: Path) -> None:
    """With what the page says to install, or with `all`, all works; with less, a command works or says what to do."""
    environment = make(f"readme-{extra or 'base'}", extra)
    files(tmp_path)
    told = run(environment, tmp_path)
    missing = {command: line for command, line in told.items() if line is not None}
    if extra in {DOCUMENTED, "all"}:
        assert missing == {}
    assert [command for command in missing if command.startswith(OF_THE_CORE)] == []
    for line in missing.values():
        assert str(environment.wheel) in shlex.split(line)[-1]

    finished = environment.shell(f"{environment.python} -c '{CALL_EVERYTHING}'", tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert extra != "all" or finished.stdout == ""

    script = [str(environment.python), "-c", LOAD_EVERY_PACKAGE, str(ROOT / "tests" / "packages" / "format-1")]
    packages = subprocess.run(script, check=True, capture_output=True, text=True, env=environment.variables())
    for name, (runtime, wanted) in json.loads(packages.stdout).items():
        assert wanted is None or wanted == runtime, name
        assert runtime != "plan" or wanted is None, name
        assert extra not in {runtime, "all"} or wanted is None, name


def test_the_python_of_the_page_runs(tmp_path: Path) -> None:
    """With all extras, the page's Python runs as it stands."""
    environment = make("python", "all")
    (tmp_path / "page.py").write_text("\n".join(readme.python_blocks()))
    finished = environment.shell("python -W error::FutureWarning page.py", tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (tmp_path / "models").is_dir()


def test_what_an_error_says_to_install_mends_it(tmp_path: Path) -> None:
    """The command in the error is run as it stands, and what failed works: from a wheel whose path needs quotes."""
    environment = make("mended", "")
    files(tmp_path)
    packed(tmp_path)
    command = "fourfold batch run eta.fourfold --from flights/ --to etas.parquet"
    failed = environment.shell(command, tmp_path)
    told = _MISSING.search(failed.stderr)
    assert failed.returncode == 7
    assert told is not None
    assert "fourfold[" not in told[1]
    install(environment, told[1])
    finished = environment.shell(command, tmp_path)
    assert (finished.returncode, len(pd.read_parquet(tmp_path / "etas.parquet"))) == (0, 200), finished.stderr


def test_the_documented_install_is_of_a_checkout() -> None:
    """The page installs from a checkout, extras that exist, and never a name of an index."""
    for command in readme.install_commands():
        target = shlex.split(command)[-1]
        match = re.fullmatch(r"\.\[([a-z,]+)\]", target)
        assert match is not None, command
        assert set(match[1].split(",")) <= set(EXTRAS)
    assert f"pip install '.[{DOCUMENTED}]'" in readme.install_commands()
