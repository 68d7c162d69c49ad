"""What a package may do is the host's word: the call, the environment, the policy file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold.errors import TrustError
from fourfold.loading import load, trust
from fourfold.package import Package, write_package
from fourfold.repository import Repository
from tests.models import identity
from tests.project.tree import ROOT

ROWS = [{"x": float(index)} for index in range(20)]


@pytest.fixture(scope="module")
def packages() -> dict[str, Package]:
    """Return a package of each level, as if another process had packed them."""
    line = LinearRegression().fit([[float(index)] for index in range(20)], range(20))
    frame = pd.DataFrame(ROWS)
    packages = {
        "data": fourfold.pack(line, name="data", rows=frame),
        "foreign": fourfold.pack(line, name="foreign", rows=frame, engine="original"),
        "code": fourfold.pack(identity, name="code", rows=ROWS),
    }
    for package in packages.values():
        trust._packed_here.discard(package.digest)
    return packages


def loads(package: Any, **options: Any) -> bool:
    """Return whether a package is loaded, or refused for lack of trust."""
    try:
        load(package, **options)
    except TrustError:
        return False
    return True


def write_policy(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a policy file that only its owner may write, and name it in the environment."""
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    folder.chmod(0o755)
    path.chmod(0o644)
    monkeypatch.setenv(trust.POLICY_VARIABLE, str(path))
    return path


@pytest.mark.parametrize("level", ["data", "foreign", "code"])
def test_a_level_includes_those_below_it(packages: dict[str, Package], level: Any) -> None:
    """A package is loaded where its level, or a higher one, is granted; without a word only data is."""
    order = ["data", "foreign", "code"]
    for needed, package in packages.items():
        assert loads(package, trust=level) == (order.index(needed) <= order.index(level))
        assert loads(package) == (needed == "data")


def test_nothing_of_a_refused_package_is_read(packages: dict[str, Package]) -> None:
    """The refusal comes before the first file, and says what is needed, what is granted, why, and what to do."""
    for level in ("foreign", "code"):
        package = packages[level]

        def read(name: str) -> bytes:
            raise AssertionError(f"{name} was read")

        with pytest.raises(TrustError) as caught:
            load(Package(package.manifest_bytes, read))
        text = str(caught.value)
        assert text.startswith(f"{level} ({package.digest[:19]}…) needs trust '{level}', and 'data' is granted here: ")
        assert f"--trust {level}" in text
        assert f"FOURFOLD_TRUST={level}" in text


@pytest.mark.parametrize("value", [True, False, "", "all", "Code", 1, ["code"]])
def test_a_word_that_is_no_level_is_an_error(packages: dict[str, Package], value: Any) -> None:
    """Anything but a level is refused, also where the package needs none."""
    with pytest.raises(ValueError, match="expected one of 'data', 'foreign' and 'code'"):
        load(packages["data"], trust=value)


def test_the_variable_holds_where_the_call_is_silent(
    packages: dict[str, Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable grants a level; a call that names one goes before it; another word in it is an error."""
    monkeypatch.setenv(trust.TRUST_VARIABLE, "foreign")
    assert [loads(package) for package in packages.values()] == [True, True, False]
    assert loads(packages["code"], trust="code")
    assert not loads(packages["foreign"], trust="data")
    monkeypatch.setenv(trust.TRUST_VARIABLE, packages["code"].digest)
    with pytest.raises(TrustError, match="FOURFOLD_TRUST: expected one of"):
        load(packages["data"])


def test_what_this_process_packed_may_be_loaded_here(tmp_path: Path) -> None:
    """A package needs no grant in the process that packed it, and needs one in the next."""
    package = fourfold.pack(identity, name="here", rows=ROWS)
    path = write_package(package, tmp_path / "here.fourfold")
    assert load(path).predict([{"x": 2.0}]) == [{"y": 2.0}]
    assert not loads(path, trust="foreign")
    program = f"import fourfold\nfourfold.load({str(path)!r})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "TrustError: here (sha256:" in run.stderr


def test_a_policy_grants_by_location_and_name(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most specific rule decides; without a match only data is granted; the call may narrow, not widen."""
    models, other = (Repository.open(tmp_path / name) for name in ("models", "other"))
    for package in packages.values():
        models.push(package)
        other.push(package)
    write_policy(
        tmp_path,
        f"""
        [[allow]]
        repository = "{tmp_path}/models/"
        trust = "foreign"

        [[allow]]
        repository = "{tmp_path}/models"
        model = "code"
        trust = "code"
        """,
        monkeypatch,
    )
    assert [loads(name, repository=models) for name in packages] == [True, True, True]
    assert [loads(name, repository=other) for name in packages] == [True, False, False]
    assert [loads(name, repository=other, trust="code") for name in packages] == [True, False, False]
    assert [loads(name, repository=models, trust="data") for name in packages] == [True, False, False]
    monkeypatch.setenv(trust.TRUST_VARIABLE, "code")
    assert [loads(name, repository=other) for name in packages] == [True, False, False]
    monkeypatch.setenv(trust.TRUST_VARIABLE, "data")
    assert [loads(name, repository=models) for name in packages] == [True, False, False]
    with pytest.raises(
        TrustError, match=r"allow it: with a rule for foreign from .*other.* in the policy file .*policy\.toml"
    ):
        load("foreign", repository=other)


def test_a_policy_covers_paths_and_memory(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule's folder stands for the files below it, as they really lie; a package in memory lies nowhere."""
    (tmp_path / "in").mkdir()
    inside = write_package(packages["foreign"], tmp_path / "in" / "f.fourfold")
    outside = write_package(packages["foreign"], tmp_path / "inner.fourfold")
    (tmp_path / "in" / "link.fourfold").symlink_to(outside)
    write_policy(tmp_path, f'[[allow]]\nrepository = "{tmp_path}/in"\ntrust = "foreign"\n', monkeypatch)
    assert loads(inside)
    assert not loads(outside)
    assert not loads(tmp_path / "in" / "link.fourfold")
    assert not loads(packages["foreign"])
    write_policy(tmp_path, '[[allow]]\nmodel = "foreign"\ntrust = "foreign"\n', monkeypatch)
    assert loads(packages["foreign"])


def test_the_policy_of_the_user_is_found(tmp_path: Path, packages: dict[str, Package]) -> None:
    """Without the variable the policy is in the user's configuration folder, and every command obeys it."""
    package = write_package(packages["code"], tmp_path / "code.fourfold")
    folder = tmp_path / "config" / "fourfold"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "policy.toml").write_text('[[allow]]\nmodel = "another"\ntrust = "code"\n')
    (folder / "policy.toml").chmod(0o600)

    def stream(**environment: str) -> int:
        command = [sys.executable, "-m", "fourfold", "stream", str(package), "--trust", "code"]
        variables = {**os.environ, **environment}
        return subprocess.run(command, input=b'{"x": 1}\n', env=variables, capture_output=True, check=False).returncode

    assert stream(XDG_CONFIG_HOME=str(tmp_path / "config")) == 4
    assert stream(XDG_CONFIG_HOME=str(tmp_path)) == 0


@pytest.mark.parametrize("target", ["file", "folder"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_a_policy_that_others_may_write_is_refused(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, mode: int
) -> None:
    """A policy, or a folder of one, that a group or everybody may write stops every load."""
    path = write_policy(tmp_path, '[[allow]]\ntrust = "code"\n', monkeypatch)
    assert loads(packages["code"])
    changed = path if target == "file" else tmp_path
    changed.chmod(changed.stat().st_mode | mode)
    with pytest.raises(TrustError, match=r"policy\.toml is refused: others may write .*chmod go-w"):
        load(packages["data"])


def test_a_policy_by_a_link_that_others_may_exchange_is_refused(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write the folder of a link chooses the policy, although the file that it leads to is the user's own."""
    path = write_policy(tmp_path, '[[allow]]\ntrust = "code"\n', monkeypatch)
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "policy.toml").symlink_to(path)
    monkeypatch.setenv(trust.POLICY_VARIABLE, str(shared / "policy.toml"))
    assert loads(packages["code"])
    shared.chmod(0o777)
    with pytest.raises(TrustError, match="others may write its folder"):
        load(packages["data"])


def test_a_policy_that_cannot_be_looked_at_is_no_missing_one(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be told whether there is a policy, nothing is loaded: without it the call could grant more."""
    (tmp_path / "fourfold").symlink_to(tmp_path / "fourfold")
    monkeypatch.delenv(trust.POLICY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(TrustError, match="cannot read the policy file"):
        load(packages["data"])


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "FILE://{}", "{}/", "{}/../a%20b c", "{}/x/.."])
def test_a_policy_names_a_folder_in_many_ways(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A rule means the folder that a repository at that place opens, with escapes in a URL alone."""
    folder = tmp_path / "a%20b c"
    place = str(folder)
    if form.lower().startswith("file"):
        place = place.replace("%", "%25").replace(" ", "%20")
    Repository.open(folder).push(packages["code"])
    other = tmp_path / "a b c"
    Repository.open(other).push(packages["code"])
    write_policy(tmp_path, f'[[allow]]\nrepository = "{form.format(place)}"\ntrust = "code"\n', monkeypatch)
    assert loads("code", repository=str(folder))
    assert not loads("code", repository=str(other))
    assert not loads("code", repository=f"file://{tmp_path}/a%2520b%20c/..%2fa%20b%20c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trust = 'code'", "expected [[allow]] tables only; got 'trust'"),
        ("allow = 1", "write [[allow]]"),
        ("[[allow]]\nmodel = 'eta'", "rule 1: expected a level"),
        ("[[allow]]\ntrust = 'all'", "rule 1, trust: expected one of"),
        ("[[allow]]\ntrust = true", "rule 1, trust: expected one of"),
        ("[[allow]]\nmodel = ''\ntrust = 'code'", "expected model to be a text"),
        ("[[allow]]\nmodels = 'a'\ntrust = 'code'", "expected the keys repository, model and trust; got 'models'"),
        ("[[allow]]\ntrust = 'code'\n[[allow]]\ntrust = 'data'", "rule 2 is for the same"),
        ("[[allow]", "cannot be used"),
        ("x = " + "[" * 100_000, "cannot be used"),
        ("#" * 2**21, "expected at most 1,048,576"),
    ],
)
def test_a_policy_that_says_something_else_is_refused(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """A policy with a mistake grants nothing: it stops every load, and the error names the file and the rule."""
    path = write_policy(tmp_path, text, monkeypatch)
    with pytest.raises(TrustError) as caught:
        load(packages["data"])
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_policy_that_is_no_file_is_refused(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that is named and is not there, a folder, and a pipe stop every load, at once."""
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        if path.name == "pipe":
            os.mkfifo(path, 0o600)
        monkeypatch.setenv(trust.POLICY_VARIABLE, str(path))
        with pytest.raises(TrustError, match="policy file"):
            load(packages["data"])


def test_certify_hands_its_trust_on(packages: dict[str, Package], tmp_path: Path) -> None:
    """The processes that certify starts may do what the one that loaded the package may do."""
    path = write_package(packages["code"], tmp_path / "code.fourfold")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:3]))
    command = [sys.executable, "-m", "fourfold", "certify", str(path), "--rows", str(rows), "--json"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 4
    done = subprocess.run([*command, "--trust", "code"], capture_output=True, text=True, check=True)
    certificate = json.loads(done.stdout)
    assert {door["architecture"] for door in certificate["doors"]} == {"service", "stream", "batch", "embed"}


def test_certify_starts_what_the_policy_allows(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes that certify starts look the package up where its rule in the policy says."""
    models = Repository.open(tmp_path / "models")
    models.push(packages["foreign"])
    write_policy(tmp_path, f'[[allow]]\nrepository = "{tmp_path}/models"\ntrust = "foreign"\n', monkeypatch)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:3]))
    command = [sys.executable, "-m", "fourfold", "certify", "foreign", "--rows", str(rows), "--json"]
    run = subprocess.run([*command, "--repository", str(models.url)], capture_output=True, text=True, check=True)
    assert {door["architecture"] for door in json.loads(run.stdout)["doors"]} >= {"service", "stream", "batch"}


@pytest.mark.parametrize("notes", [5, None, {"a": 1}, ["x" * 10**6], "\x1b[2J"])
def test_a_refusal_survives_what_the_settings_say(packages: dict[str, Package], notes: Any) -> None:
    """The error about a pickle quotes the reasons in the package, whatever stands there, cut short."""
    manifest = {key: value for key, value in packages["data"].manifest.items() if key != "files"}
    settings = {"file": "model.pickle", "notes": notes}
    manifest["runtime"] = {"name": "sklearn", "settings": settings, "requires": "pickle", "libraries": {}}
    files = {"model.pickle": b"", "golden.json": packages["data"].read("golden.json")}
    with pytest.raises(TrustError, match="it holds a pickle") as caught:
        load(Package.build(manifest, files))
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)


SERVE = """
import functools, os, signal, urllib.request
import fourfold
from fourfold.package import write_package
from fourfold.service import Job, serve
from tests.models import identity
from tests.project.tree import ROOT


def ask():
    request = urllib.request.Request(url[0] + "/predict", b'[{"x": 2}]', {"content-type": "application/json"})
    print(urllib.request.urlopen(request).read().decode(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    url = []
    rows = [{"x": float(index)} for index in range(20)]
    path = write_package(fourfold.pack(identity, name="here", rows=rows), "here.fourfold")
    serve(functools.partial(fourfold.load, path), Job(port=0, workers=2), opened=url.append, ready=ask)
"""


def test_workers_may_load_what_their_parent_packed(tmp_path: Path) -> None:
    """The processes of a service inherit the right to load what the process that started them packed."""
    program = tmp_path / "serve.py"
    program.write_text(SERVE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(program)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ('[{"y":2.0}]\n', 0), run.stderr
