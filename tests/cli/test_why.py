"""`fourfold why`: what it says of packages and doors, and its exit status."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import fourfold
from fourfold.cli import command
from fourfold.package import write_package

RANDOM = np.random.default_rng(29)
FRAME = pd.DataFrame(RANDOM.normal(size=(300, 16)), columns=[f"x{place}" for place in range(16)])
GOAL = FRAME.x0 + (FRAME.x1 > 0)


def why(*arguments: Any) -> Result:
    """The command."""
    return CliRunner().invoke(command, ["why", *map(str, arguments)])


def row_of(place: int) -> str:
    """A row of the frame, as JSON."""
    return json.dumps(FRAME.iloc[place].to_dict())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of a tree behind a scaler, of the same with another mean, of other steps, and of odds."""
    folder = tmp_path_factory.mktemp("packages")
    tree = make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=4)).fit(FRAME, GOAL)
    moved = copy.deepcopy(tree)
    moved[0].mean_[0] += 3
    models = {"tree": tree, "moved": moved, "odds": make_pipeline(StandardScaler(), LogisticRegression())}
    models["other"] = make_pipeline(MinMaxScaler(), DecisionTreeRegressor(max_depth=4))
    models["odds"].fit(FRAME, GOAL > 0)
    models["other"].fit(FRAME, GOAL)
    for name, engines in (
        ("tree", ("plan", "original")),
        ("odds", ("plan", "original")),
        ("moved", ("original",)),
        ("other", ("original",)),
    ):
        for engine in engines:
            package = fourfold.pack(models[name], name=name, rows=FRAME, engine=engine)
            write_package(package, folder / f"{name}-{engine}.fourfold")
    return folder


def parting(one: Path, other: Path) -> str:
    """A row for which two packages give other bits, as JSON."""
    answers = [np.stack(fourfold.load(path).predict(FRAME).iloc[:, -1].to_list()) for path in (one, other)]
    return row_of(int(np.nonzero(answers[0] != answers[1])[0][0]))


def test_equal_answers_end_with_status_0(packages: Path) -> None:
    """A plan and its original, and two doors of one package."""
    tree = packages / "tree-plan.fourfold"
    done = why(tree, row_of(0), "--against", packages / "tree-original.fourfold")
    assert (done.exit_code, done.output) == (0, "plan and sklearn give the same bits for this row\n")
    done = why(tree, row_of(0), "--door", "predict_one", "--door", "POST /predict, JSON rows")
    assert (done.exit_code, "give the same bits" in done.output) == (0, True)
    done = why(tree, row_of(0), "--door", "predict_one", "--door", "telepathy")
    assert done.exit_code == 2
    assert "no door 'telepathy'; there are" in done.output


def test_rounding_lies_in_the_last_step(packages: Path) -> None:
    """A plan has an order of sums and an exp of its own: the columns that go in have the same bits."""
    paths = packages / "odds-plan.fourfold", packages / "odds-original.fourfold"
    done = why(paths[0], parting(*paths), "--against", paths[1])
    assert done.exit_code == 1
    assert "another order of a sum" in done.output
    assert (
        "every column that goes into the last step, logisticregression (LogisticRegression), has the same bits"
        in done.output
    )


def test_two_pipelines_are_compared_step_by_step(packages: Path) -> None:
    """Of a later version the first step whose columns are others is named, and other steps are told."""
    paths = [packages / f"{name}-original.fourfold" for name in ("tree", "moved", "other")]
    done = why(paths[0], parting(*paths[:2]), "--against", paths[1], "--json")
    assert done.exit_code == 1
    last = json.loads(done.output)["lines"][-1]
    assert last.startswith(
        "step 1 of 2, standardscaler (StandardScaler) is the first whose columns differ: x0: sklearn of "
    )
    done = why(paths[0], parting(paths[0], paths[2]), "--against", paths[2])
    assert "their steps are others: StandardScaler, DecisionTreeRegressor in sklearn of " in done.output


def test_a_plan_of_another_model_has_no_steps_to_compare(packages: Path) -> None:
    """Its steps are those of plans made of the original: of another model they would say nothing of the package."""
    paths = packages / "tree-plan.fourfold", packages / "moved-original.fourfold"
    done = why(paths[0], parting(*paths), "--against", paths[1])
    assert done.exit_code == 1
    assert "the steps are not compared: a plan that is made of this original now answers otherwise" in done.output
    assert "has the same bits" not in done.output
