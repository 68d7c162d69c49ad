"""Clean environments: a wheel built from this checkout, with an extra and what it requires, and nothing else."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.environment import uv_environment
from tests.project.tree import ROOT

BIN = Path(sys.executable).parent
_TIMEOUT_S = 300


@dataclass(frozen=True)
class Environment:
    """Hold a virtual environment that tests run commands in.

    Attributes:
        folder: its folder.
        wheel: the wheel that it was made from.
    """

    folder: Path
    wheel: Path

    @property
    def python(self) -> Path:
        """Return its Python."""
        return self.folder / "bin" / "python"

    def variables(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables of a shell in which it is activated; uv is there, too."""
        path = os.pathsep.join([str(self.folder / "bin"), str(BIN), os.environ["PATH"]])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FOURFOLD_"))}
        return {**kept, **(more or {}), "PATH": path, "VIRTUAL_ENV": str(self.folder), "COLUMNS": "400"}

    def shell(
        self, command: str, folder: Path, more: dict[str, str] | None = None, words: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of a shell in a folder, with words on its standard input."""
        return subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=self.variables(more),
            input=words,
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )


@cache
def _work() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fourfold-install-")  # removed when the process ends


@cache
def built_wheel() -> Path:
    """Build the wheel with the pinned build backend, and return it."""
    folder = Path(_work().name) / "wheel's folder"  # a path that a shell must have quoted
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    source = subprocess.run([*command, str(ROOT)], check=False, capture_output=True, text=True)
    assert source.returncode == 0, source.stderr
    (wheel,) = folder.glob("fourfold-*.whl")
    return wheel


def pinned(*, offline: bool) -> dict[str, str]:
    """Return the variables with which uv takes the pinned versions, from the cache of whoever runs the tests."""
    return {
        **uv_environment(),
        "HOME": pwd.getpwuid(os.getuid()).pw_dir,  # tests have a home of their own
        "UV_CONSTRAINT": str(ROOT / "requirements" / "dev.txt"),
        "UV_OVERRIDE": str(ROOT / "requirements" / "overrides.in"),
        **({"UV_OFFLINE": "1"} if offline else {}),
    }


def install(environment: Environment, command: str) -> None:
    """Run a command that installs: from the cache where that holds all, otherwise from the configured index."""
    for offline in (True, False):
        finished = environment.shell(command, environment.folder, pinned(offline=offline))
        if finished.returncode == 0:
            return
    raise AssertionError(f"{command}: {finished.stderr}")


def make(name: str, extra: str) -> Environment:
    """Make an environment with the wheel and an extra, or with none where it is empty."""
    environment = Environment(Path(_work().name) / name, built_wheel())
    subprocess.run(
        [str(BIN / "uv"), "venv", "--quiet", "--python", sys.executable, str(environment.folder)], check=True
    )
    suffix = f"[{extra}]" if extra else ""
    # The small wheels of XGBoost have another name: see requirements/overrides.in.
    small = " xgboost-cpu" if extra in {"xgboost", "all"} and sys.platform != "darwin" else ""
    install(environment, f'uv pip install --quiet --python {environment.python} "{environment.wheel}{suffix}"{small}')
    return environment
