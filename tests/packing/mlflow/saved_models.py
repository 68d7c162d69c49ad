"""The models that MLflow wrote, unpacked, and small directories in MLflow's layout that tests write themselves."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import yaml

FIXTURES = Path(__file__).parent


def unpack(target: Path) -> Path:
    """The folder of every model that MLflow wrote."""
    with zipfile.ZipFile(FIXTURES / "models.zip") as archive:
        archive.extractall(target)
    return target


def column(kind: str, name: str = "", *, required: bool = True) -> dict[str, Any]:
    """A column of a signature."""
    return {"type": kind, **({"name": name} if name else {}), "required": required}


def tensor(dtype: str, *shape: int, name: str = "") -> dict[str, Any]:
    """A tensor of a signature."""
    return {
        "type": "tensor",
        "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]},
        **({"name": name} if name else {}),
    }


def write(folder: Path, flavors: dict[str, Any], **data: Any) -> Path:
    """A directory with an `MLmodel` of these flavours; a signature is written as MLflow writes it, JSON in a string."""
    folder.mkdir(parents=True, exist_ok=True)
    if "signature" in data:
        data["signature"] = {key: json.dumps(value) for key, value in data["signature"].items()}
    if "example" in data:
        (folder / "input_example.json").write_text(json.dumps(data.pop("example")))
        data.setdefault("saved_input_example_info", {"artifact_path": "input_example.json", "type": "dataframe"})
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "run_id": "r1", **data}))
    return folder
