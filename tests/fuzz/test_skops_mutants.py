"""Hold changed skops files harmless; a short run of what `python -m tests.fuzz skops` does for longer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz.harness import RIGHT, attempt, mutant
from tests.fuzz.skops_models import bases
from tests.fuzz.skops_mutants import TARGET

KINDS = (
    "tree",
    "stacking",
    "gradient boosting",
    "k neighbours",
    "density",
    "sparse logistic",
    "categories",
    "function",
)


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[bytes, Any]]:
    """Return the files of some kinds of models."""
    return bases(KINDS)


def test_good_files_answer(files: dict[str, tuple[bytes, Any]]) -> None:
    """The files that are changed are good ones, so that it is the change that is refused."""
    assert sorted(files) == sorted(KINDS)
    assert {kind: attempt(TARGET, file) for kind, file in files.items()} == dict.fromkeys(KINDS, ("answered", ""))


def test_changed_files_do_no_harm(files: dict[str, tuple[bytes, Any]]) -> None:
    """A changed file is refused with an error of ours, or answers; and a part of them is refused."""
    outcomes = [attempt(TARGET, mutant(TARGET, files, 1, number)[1]) for number in range(160)]
    assert [outcome for outcome in outcomes if outcome[0] not in RIGHT] == []
    assert {outcome for outcome, _ in outcomes} >= {"refused", "answered"}
