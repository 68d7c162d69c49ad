"""Read the directory of an MLflow model and its file `MLmodel`, without MLflow.

The file is YAML, as PyYAML writes it: quoted scalars that are folded over lines, escapes, anchors. A parser of our own
would read some of them wrongly, so PyYAML reads it with its safe loader, which makes plain values and never an object
of a class (docs/decisions/0008).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourfold.durable.reading import kind_of, read_file
from fourfold.errors import MissingLibrary, PackError, shorten

__all__ = ["MLMODEL", "ModelDirectory", "open_directory"]

MLMODEL = "MLmodel"
#: The size of a text file; far above what any MLmodel, list of requirements or input example needs.
_MAX_FILE_BYTES = 64 * 2**20
#: The keys of `MLmodel` that a package's provenance takes over.
_PROVENANCE = ("run_id", "model_uuid", "model_id", "mlflow_version", "utc_time_created")


@dataclass(frozen=True)
class ModelDirectory:
    """Hold the directory of an MLflow model.

    Attributes:
        path: the directory.
        data: the content of `MLmodel`.
    """

    path: Path
    data: Mapping[str, Any]

    @property
    def flavors(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the settings of each flavour, by its name."""
        flavors: Mapping[str, Mapping[str, Any]] = self.data["flavors"]
        return flavors

    @property
    def provenance(self) -> dict[str, str]:
        """Return the model's and the run's identifiers, as a package's provenance."""
        return {
            f"mlflow.{key.removeprefix('mlflow_')}": str(self.data[key]) for key in _PROVENANCE if self.data.get(key)
        }

    def file(self, name: object, what: str) -> Path:
        """Return the path of a file or folder of the model.

        Args:
            name: its path in the directory, as `MLmodel` has it.
            what: a description of the file, for errors.

        Raises:
            PackError: the file does not exist, or the path leads out of the directory.
        """
        if not isinstance(name, str) or not name or "\0" in name:
            got = shorten(name) if isinstance(name, str) else f"a {type(name).__name__}"
            raise PackError(f"{self.path / MLMODEL} names no file for {what}; got {got}")
        root, path = self.path.resolve(), (self.path / name).resolve()
        if not path.is_relative_to(root) or path == root:
            raise PackError(
                f"{self.path / MLMODEL} names a file outside of the model's directory for {what}: {shorten(name)}"
            )
        if not path.exists():
            raise PackError(f"the model lacks {name}, which holds {what}: the directory {self.path} is not whole")
        if not path.is_file() and not path.is_dir():
            raise PackError(f"{path}, which holds {what}, is {kind_of(path.stat().st_mode)}; expected a file")
        return path

    def text(self, name: object, what: str) -> str:
        """Return the content of a text file; raise `PackError` as `file` does, and where it is no UTF-8."""
        return _text(self.file(name, what))

    def json(self, name: object, what: str) -> Any:
        """Return the content of a JSON file; raise `PackError` as `file` does, and where it is no JSON."""
        text = self.text(name, what)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PackError(f"{self.path / str(name)} is no JSON: {shorten(str(error), 120)}") from error

    def yaml(self, name: str, what: str) -> Any:
        """Return the content of a YAML file; raise `PackError` as `file` does, and where it is no YAML."""
        return _yaml(self.file(name, what))


def open_directory(path: Path) -> ModelDirectory:
    """Open the directory of an MLflow model.

    Args:
        path: the directory, or the file `MLmodel` in it.

    Raises:
        PackError: the path is no such directory, or its `MLmodel` cannot be read.
        MissingLibrary: PyYAML is not installed.
    """
    folder = path.parent if path.name == MLMODEL and path.is_file() else path
    if not (folder / MLMODEL).is_file():
        kind = "a folder without one" if folder.is_dir() else "no folder"
        raise PackError(
            f"expected the directory of an MLflow model, which has a file {MLMODEL}; {folder} is {kind}. A model of a "
            "run or a registry is downloaded first: mlflow artifacts download --artifact-uri models:/NAME/1"
        )
    data = _yaml(folder / MLMODEL)
    flavors = data.get("flavors") if isinstance(data, dict) else None
    if not isinstance(flavors, dict) or not flavors or not all(isinstance(entry, dict) for entry in flavors.values()):
        keys = (
            f"the keys {shorten(sorted(map(str, data)), 200)}" if isinstance(data, dict) else f"a {type(data).__name__}"
        )
        raise PackError(f"{folder / MLMODEL} describes no model: expected flavors, a mapping of mappings; got {keys}")
    return ModelDirectory(folder, data)


def _yaml(path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingLibrary("pyyaml", extra="mlflow", purpose="reading an MLflow model") from error
    text = _text(path)
    try:
        loader = yaml.SafeLoader(text)
        loader.flatten_mapping = _without_merging
        return loader.get_single_data()
    # An invalid date raises ValueError, and endless nesting RecursionError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PackError(f"{path} is no YAML: {shorten(' '.join(str(error).split()), 160)}") from error


def _without_merging(node: Any) -> None:
    """Refuse the merge key `<<`: a few lines of nested merges can expand to gigabytes, and no model has one."""
    if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
        raise ValueError("a key << merges another mapping")


def _text(path: Path) -> str:
    try:
        return read_file(path, _MAX_FILE_BYTES).decode()
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PackError(f"{path} is no text in UTF-8: {error}") from error
