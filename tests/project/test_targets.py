"""The targets of components: each is known wherever it must be."""

from __future__ import annotations

import re

from scripts.components import TARGETS
from tests.conftest import COMPONENTS, STARTED_ONCE
from tests.project.tree import ROOT, pyproject

MAX_CI_MINUTES = 60


def stages() -> dict[str, int]:
    """Return the stages of .ci/run with the minutes that each may take."""
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = text.partition('STAGES="')[2].partition('"')[0].split("\n")
    return {words[0]: int(words[1]) for words in map(str.split, lines) if words}


def test_a_component_is_known_everywhere() -> None:
    """Each component has a marker, a target, a list of what it installs, and a stage of .ci/run."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = sorted(COMPONENTS)
    lines = pyproject()["tool"]["pytest"]["ini_options"]["markers"]
    markers = {line.partition(":")[0].partition("(")[0] for line in lines}
    assert sorted(TARGETS) == wanted
    assert sorted(markers - {"sweep", "seeds", "faults"}) == wanted
    assert sorted(re.findall(r"^test-([a-z]+): ## ", text, re.MULTILINE)) == wanted
    (rule,) = re.findall(r"^(.+): test-%: ", text, re.MULTILINE)
    assert sorted(rule.split()) == [f"test-{name}" for name in wanted]
    assert sorted(stage.removeprefix("test-") for stage in stages() if stage.startswith("test-")) == wanted
    assert set(STARTED_ONCE) <= set(wanted)


def test_ci_runs_all_that_a_developer_checks() -> None:
    """.ci/run has every stage of `make check`, ends with the tests, and may take an hour in all."""
    (check,) = re.findall(r"^check: (.+?) ##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(check.split()) <= set(stages())
    assert list(stages())[-1] == "test"
    assert sum(stages().values()) <= MAX_CI_MINUTES
