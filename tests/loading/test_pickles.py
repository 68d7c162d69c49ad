"""Predictors in other processes: pickled by where their package lies, and trusted anew where they are unpickled."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import fourfold
from fourfold.errors import InputError, NotFound, PackageError, SourceError, TrustError
from fourfold.loading import LocatedPackage, granted, pickles
from fourfold.loading import trust as loading_trust
from fourfold.loading.trust import TRUST_VARIABLE, Grant
from fourfold.package import Package
from fourfold.package.levels import Level
from fourfold.predictor import Predictor
from tests.loading import pickled
from tests.project.tree import ROOT
from tests.support import make_predictor

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
LABELS = np.where(FRAME["a"] > FRAME["b"], "yes", "no")
ROWS: list[dict[str, Any]] = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": -1.0}]


def _pack(engine: str = "auto") -> Package:
    return fourfold.pack(LogisticRegression().fit(FRAME, LABELS), name="eta", rows=FRAME, engine=engine)


@pytest.fixture(scope="module")
def packages() -> dict[str, Package]:
    """A plan, which needs no trust, and the same model as scikit-learn reads it, which needs `foreign`."""
    return {"data": _pack(), "foreign": _pack("original")}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """No test sees what another one unpickled."""
    pickles._kept.clear()
    yield
    pickles._kept.clear()


def _unpickle_elsewhere(data: bytes, **environment: str) -> dict[str, Any]:
    """Unpickle a predictor in a new process, and return what it printed."""
    command = [sys.executable, "-m", "tests.loading.pickled"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, input=data, capture_output=True, check=True, cwd=ROOT, env=variables)
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_a_pickle_is_small_and_names_the_package(packages: dict[str, Package], tmp_path: Path) -> None:
    """It holds a path or a repository, and the digest: no model, and no code but ours."""
    predictor = fourfold.load(packages["data"].save(tmp_path / "eta.fourfold"))
    data = pickle.dumps(predictor)
    assert len(data) < 500
    assert packages["data"].digest.encode() in data
    again = pickle.loads(data)
    assert isinstance(again, Predictor)
    assert again is not predictor
    assert again.predict(ROWS) == predictor.predict(ROWS)


def test_another_process_loads_the_same_package(packages: dict[str, Package], tmp_path: Path) -> None:
    """From a path and from a repository: the same digest, version and answers, whatever the alias points at by then."""
    expected = [
        {name: str(value) for name, value in row.items()} for row in fourfold.load(packages["data"]).predict(ROWS)
    ]
    path = packages["data"].save(tmp_path / "eta.fourfold")
    told = _unpickle_elsewhere(pickle.dumps(fourfold.load(path)))
    assert told == {"answers": expected, "digest": packages["data"].digest, "version": None}
    models = tmp_path / "models"
    fourfold.push(path, models, alias="production")
    data = pickle.dumps(fourfold.load("eta@production", models))
    fourfold.push(packages["foreign"], models, alias="production")
    path.unlink()
    assert _unpickle_elsewhere(data) == {"answers": expected, "digest": packages["data"].digest, "version": 1}


def test_a_pickle_carries_no_grant(packages: dict[str, Package], tmp_path: Path) -> None:
    """A load that granted more, or a process that packed the model, does not decide for the one that unpickles."""
    path = packages["foreign"].save(tmp_path / "eta.fourfold")
    for data in (pickle.dumps(fourfold.load(path, trust="code")), pickle.dumps(fourfold.load(path))):
        told = _unpickle_elsewhere(data)
        assert told["error"] == "TrustError"
        assert "allow it: with FOURFOLD_TRUST=foreign, or a policy file (docs/security.md)" in told["text"]
        assert told["notes"] == [
            "The predictor eta was unpickled: a pickle holds where its package lies, not the package."
        ]
        assert len(_unpickle_elsewhere(data, **{TRUST_VARIABLE: "foreign"})["answers"]) == 2


def test_trust_is_asked_at_every_unpickling(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was unpickled with a grant is not handed out once the grant is gone."""
    data = pickle.dumps(fourfold.load(packages["foreign"].save(tmp_path / "eta.fourfold"), trust="foreign"))
    monkeypatch.setattr(loading_trust, "_packed_here", set())
    monkeypatch.setenv(TRUST_VARIABLE, "code")
    assert pickle.loads(data) is pickle.loads(data)
    monkeypatch.setenv(TRUST_VARIABLE, "data")
    with pytest.raises(TrustError):
        pickle.loads(data)
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[allow]]\nrepository = "{tmp_path}"\ntrust = "foreign"\n')
    policy.chmod(0o600)
    monkeypatch.delenv(TRUST_VARIABLE)
    monkeypatch.setenv("FOURFOLD_POLICY", str(policy))
    assert pickle.loads(data).predict(ROWS)


def test_a_narrow_load_stays_narrow(
    packages: dict[str, Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that allowed data only allows no more elsewhere: not where another package lies there by then."""
    path = packages["data"].save(tmp_path / "eta.fourfold")
    monkeypatch.setattr(loading_trust, "_packed_here", set())
    seen: list[str] = []

    def load_granted(located: LocatedPackage, grant: Grant, *rest: Any) -> Predictor:
        seen.append(grant.level)
        return granted.load_granted(located, grant, *rest)

    monkeypatch.setattr(pickles, "load_granted", load_granted)
    monkeypatch.setenv(TRUST_VARIABLE, "code")
    levels: tuple[Level | None, ...] = ("data", "code", None)
    for asked in levels:
        pickle.loads(pickle.dumps(fourfold.load(path, trust=asked)))
    assert seen == ["data", "code", "code"]


def test_a_package_that_is_nowhere_is_told_the_way(packages: dict[str, Package], tmp_path: Path) -> None:
    """In memory only, or in a repository of this process: save it or push it, and the same predictor is pickled."""
    package = Package.build(
        {**packages["data"].manifest}, {name: packages["data"].read(name) for name in packages["data"].names}
    )
    predictor = fourfold.load(package)
    with pytest.raises(
        pickle.PicklingError, match=r"only in this process \(in memory\): save it first, package\.save\("
    ):
        pickle.dumps(predictor)
    fourfold.push(package, "memory://pickles")
    with pytest.raises(pickle.PicklingError, match=r"only in this process \(memory://pickles\)"):
        pickle.dumps(fourfold.load("eta", "memory://pickles"))
    package.save(tmp_path / "eta.fourfold")
    assert pickle.loads(pickle.dumps(predictor)).digest == package.digest
    fourfold.push(package, tmp_path / "models")
    assert str(tmp_path / "models").encode() in pickle.dumps(predictor)  # a repository goes before a path
    with pytest.raises(pickle.PicklingError, match="load did not make it"):
        pickle.dumps(make_predictor())


def test_what_lies_there_must_be_the_same(packages: dict[str, Package], tmp_path: Path) -> None:
    """Another package at the path, none, or a repository without it: an error, and nothing is loaded."""
    path = packages["data"].save(tmp_path / "eta.fourfold")
    data = pickle.dumps(fourfold.load(path))
    packages["foreign"].save(path, replace=True)
    with pytest.raises(PackageError, match=f"expected {packages['data'].digest}, got {packages['foreign'].digest}"):
        pickle.loads(data)
    path.unlink()
    with pytest.raises(SourceError, match="No such file"):
        pickle.loads(data)
    fourfold.push(packages["data"], tmp_path / "models")
    data = pickle.dumps(fourfold.load("eta", tmp_path / "models"))
    (tmp_path / "models").rename(tmp_path / "moved")
    with pytest.raises(NotFound):
        pickle.loads(data)


def test_a_process_keeps_the_last_ones(tmp_path: Path) -> None:
    """A pool that sends a predictor with every task loads it once; only so many are kept."""
    files = []
    for number in range(pickles.MAX_KEPT_PREDICTORS + 1):
        package = fourfold.pack(
            LogisticRegression(C=number + 1.0).fit(FRAME, LABELS), name="eta", rows=FRAME, engine="plan"
        )
        files.append(pickle.dumps(fourfold.load(package.save(tmp_path / f"{number}.fourfold"))))
    first = pickle.loads(files[0])
    assert pickle.loads(files[0]) is first
    for data in files[1:]:
        pickle.loads(data)
    assert len(pickles._kept) == pickles.MAX_KEPT_PREDICTORS
    assert pickle.loads(files[0]) is not first


def test_a_copy_is_the_predictor_itself(packages: dict[str, Package]) -> None:
    """It never changes, so a copy of what holds one needs no second engine, and no place; nor does a package."""
    predictor = fourfold.load(packages["data"])
    assert copy.copy(predictor) is predictor
    assert copy.deepcopy({"model": predictor})["model"] is predictor
    assert copy.deepcopy(predictor.package) is copy.copy(predictor.package) is predictor.package


def test_packages_and_repositories_are_pickled(packages: dict[str, Package], tmp_path: Path) -> None:
    """A package as its bytes, also where they lie in a file; a repository as its place."""
    path = packages["data"].save(tmp_path / "eta.fourfold")
    for package in (packages["data"], fourfold.open(path)):
        again = pickle.loads(pickle.dumps(package))
        again.verify()
        assert (again.digest, again.path) == (package.digest, str(path))
    repository = fourfold.Repository.open(tmp_path / "models")
    repository.push(packages["data"])
    assert pickle.loads(pickle.dumps(repository)).pull("eta").digest == packages["data"].digest


def _pools() -> dict[str, Callable[[], Any]]:
    return {
        "spawn": lambda: multiprocessing.get_context("spawn").Pool(2),
        "fork": lambda: multiprocessing.get_context("fork").Pool(2),
        "executor": lambda: ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")),
    }


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("pool", ["spawn", "fork", "executor"])
def test_pools_of_processes_answer_with_it(packages: dict[str, Package], tmp_path: Path, pool: str) -> None:
    """As an argument, as a bound method and from `functools`: the answers of this process; errors of rows come back."""
    predictor = fourfold.load(packages["data"].save(tmp_path / "eta.fourfold"))
    expected = [predictor.predict(ROWS), predictor.predict(ROWS)]
    with _pools()[pool]() as workers:
        if pool == "executor":
            assert list(workers.map(predictor.predict_one, ROWS)) == expected[0]
            assert workers.submit(pickled.answer, predictor, ROWS).result() == expected
            assert workers.submit(pickled.fails, predictor).result() == (2, ["a", "b"])
            with pytest.raises(InputError, match="row 0, field 'a': expected float64, got 'text'") as caught:
                workers.submit(pickled.refuse, predictor).result()
            assert [entry.row for entry in caught.value.errors] == [0, 1]
            assert workers.submit(pickled.same, predictor, predictor).result()
        else:
            assert workers.map(predictor.predict_one, ROWS) == expected[0]
            assert workers.apply(pickled.answer, (predictor, ROWS)) == expected
            with pytest.raises(InputError) as caught:
                workers.apply(pickled.refuse, (predictor,))
            assert (caught.value.count, caught.value.rows) == (2, 2)


def test_joblib_and_cloudpickle_take_it(packages: dict[str, Package], tmp_path: Path) -> None:
    """The processes of joblib, its files, and what Dask sends."""
    predictor = fourfold.load(packages["data"].save(tmp_path / "eta.fourfold"))
    chunks = [FRAME.iloc[start : start + 20] for start in (0, 20, 40)]
    answers = joblib.Parallel(n_jobs=2)(joblib.delayed(predictor.predict)(chunk) for chunk in chunks)
    assert pd.concat(answers).equals(predictor.predict(FRAME))
    joblib.dump(predictor, tmp_path / "eta.joblib")
    assert joblib.load(tmp_path / "eta.joblib").predict(ROWS) == predictor.predict(ROWS)
    assert joblib.hash(predictor) == joblib.hash(fourfold.load(tmp_path / "eta.fourfold"))
    function = cloudpickle.loads(cloudpickle.dumps(predictor.predict))
    assert function(ROWS) == predictor.predict(ROWS)
