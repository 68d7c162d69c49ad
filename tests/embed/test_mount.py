from __future__ import annotations

import subprocess
import sys

import pytest

from fourfold import embed
from tests.project.tree import ROOT
from tests.support import make_predictor


@pytest.mark.parametrize("app", [None, object(), {"flask": True}])
def test_unknown_apps_are_refused(app: object) -> None:
    """An app of an unknown framework is an error that names its class and the accepted ones."""
    with pytest.raises(TypeError, match=f"Flask, FastAPI or Starlette.*{type(app).__name__}"):
        embed.mount(app, make_predictor())


def test_embed_imports_no_framework() -> None:
    """Importing embed brings in no web framework: a program that only predicts pays for none."""
    program = "import sys, fourfold.embed; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not {"flask", "fastapi", "starlette", "pydantic", "werkzeug"} & set(run.stdout.split())


@pytest.mark.parametrize(
    ("name", "library"),
    [("flask_blueprint", "flask"), ("fastapi_router", "fastapi"), ("starlette_route", "starlette")],
)
def test_a_missing_framework_is_named(name: str, library: str) -> None:
    """Without the framework, the error says what to install."""
    program = f"""
import sys
sys.modules[{library!r}] = None
from fourfold import embed
from fourfold.errors import MissingLibrary
from tests.support import make_predictor
try:
    embed.{name}(make_predictor())
except MissingLibrary as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    assert f"needs {library}" in run.stdout
