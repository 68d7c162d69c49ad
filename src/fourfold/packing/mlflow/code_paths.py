"""Read the Python files that an MLflow model brings (`code_paths`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fourfold.durable.reading import read_file
from fourfold.errors import PackError
from fourfold.packing.mlflow.directory import ModelDirectory
from fourfold.runtimes.sources import PREFIX

__all__ = ["check_code_size", "read_code_paths"]

MAX_CODE_BYTES = 16 * 2**20


def read_code_paths(directory: ModelDirectory, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the Python files of a flavour's `code_paths`, named as a package names its code; none without them.

    Args:
        directory: the MLflow model.
        settings: the flavour's settings; `code` is the folder of the files.

    Raises:
        PackError: the folder is missing or leads out of the model, a file cannot be read, or all are too large.
    """
    if not settings.get("code"):
        return {}
    root = directory.file(settings["code"], "its code")
    files: dict[str, bytes] = {}
    try:
        for path in sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts):
            if not path.resolve().is_relative_to(directory.path.resolve()):
                raise PackError(f"the model's code {path} lies outside of its directory: copy it there, not a link")
            files[f"{PREFIX}{path.relative_to(root).as_posix()}"] = read_file(path, MAX_CODE_BYTES)
    except OSError as error:
        raise PackError(f"the model's code cannot be read: {error}") from error
    check_code_size(files)
    return files


def check_code_size(files: Mapping[str, bytes]) -> None:
    """Check the size of a model's code; raise `PackError` where it is too large."""
    if sum(map(len, files.values())) > MAX_CODE_BYTES:
        raise PackError(
            f"the model's code is more than {MAX_CODE_BYTES >> 20} MiB: log it with only the modules that it needs"
        )
