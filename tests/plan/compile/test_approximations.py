"""The spec lists what keeps an answer exact, and every reason why another is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fourfold
from fourfold.plan.compile.columns import Compiler
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.numerics import ELEMENTARY_FUNCTIONS
from tests.packing.engines.test_tournament import entry
from tests.project.tree import ROOT

SPEC = (ROOT / "docs" / "spec" / "plan.md").read_text("utf-8").partition("## Which answers are exact")[2]
SECTION = SPEC.partition("\n## ")[0]
COMPILE = ROOT / "src" / "fourfold" / "plan" / "compile"


def _reasons(path: Path) -> Iterator[str]:
    """Yield the reasons that a file gives, with `…` for what it fills in."""
    tree = ast.parse(path.read_text("utf-8"))
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "approximate"
        ):
            continue
        reason: ast.expr = node.args[0]
        if isinstance(reason, ast.Name):
            reason = constants[reason.id]
        if isinstance(reason, ast.Constant):
            yield str(reason.value)
        else:
            assert isinstance(reason, ast.JoinedStr), f"{path}:{node.lineno}: a reason that the spec cannot list"
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in reason.values)


def test_the_spec_lists_every_reason() -> None:
    """No rule gives a reason that the spec lacks, and the spec has none that no rule gives."""
    given = {reason for path in COMPILE.rglob("*.py") for reason in _reasons(path)}
    listed = re.findall(r"^\| (.+?) \| (?:the|a|how|whether) .+? \|$", SECTION, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == given
    assert len(given) > 40


def test_every_function_is_exact_or_not() -> None:
    """The spec names every function in one of its two lists, as the code has them."""
    exact, others = (
        set(re.findall(r"`([A-Z0-9_]+)`", part)) for part in SECTION.split("No library promises the last bits", 1)
    )
    assert others == {function.name for function in ELEMENTARY_FUNCTIONS}
    assert exact == {function.name for function in MathFunction} - others


def test_a_plan_with_a_function_of_a_library_is_never_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no rule says why, the functions of the plan do."""
    monkeypatch.setattr(Compiler, "approximate", _forget_what_rules_say)
    x = np.random.default_rng(0).uniform(1, 2, size=(300, 1))
    model = make_pipeline(FunctionTransformer(np.sqrt), FunctionTransformer(np.log1p), LinearRegression()).fit(x, x)
    plan = entry(fourfold.pack(model, name="log", rows=x, accept="rtol:1e-9"), "plan")
    assert plan["verdict"] in ("equal", "bound")
    assert plan["why"] == "a library computes log1p"


def _forget_what_rules_say(self: Compiler, why: str) -> None:
    if why.startswith("a library computes"):
        self.approximations[why] = None
