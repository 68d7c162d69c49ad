"""What was packed once answers for ever: the same file, the same digest, the same bits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import fourfold
from fourfold.codecs import json_rows
from fourfold.package import open_package, write_package
from fourfold.signature.bits import relative_gap

FOLDER = Path(__file__).parent / "format-1"
#: The SHA-256 of each file; a line is added where a package is, and never changed.
FILES = dict(line.split()[::-1] for line in (FOLDER / "SHA256").read_text("ascii").splitlines())
NAMES = sorted(file.removesuffix(".fourfold") for file in FILES if file.endswith(".fourfold"))


def _asked(name: str) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return asked


def test_no_package_is_missing() -> None:
    """Every runtime has its packages, and every file its line."""
    assert {path.name for path in FOLDER.iterdir()} == {*FILES, "SHA256"}
    assert len(NAMES) >= 12
    runtimes = {open_package(FOLDER / f"{name}.fourfold").manifest["runtime"]["name"] for name in NAMES}
    assert runtimes == {"plan", "sklearn", "lightgbm", "xgboost", "catboost", "onnx", "python"}


@pytest.mark.parametrize("file", FILES)
def test_the_bytes_are_those_of_then(file: str) -> None:
    """A package, and what it was asked, is what it was when it was made."""
    assert hashlib.sha256((FOLDER / file).read_bytes()).hexdigest() == FILES[file]


@pytest.mark.parametrize("name", NAMES)
def test_a_package_of_then_answers_as_then(name: str) -> None:
    """It opens with its digest, replays its golden rows, and answers other rows with the same bits."""
    asked = _asked(name)
    package = open_package(FOLDER / f"{name}.fourfold")
    assert package.digest == asked["digest"]
    predictor = fourfold.load(package, trust="code")
    rows = json_rows.decode(json.dumps(asked["inputs"]).encode(), package.signature.inputs)
    expected = asked["outputs"]
    answers = json.loads(json_rows.encode(predictor.predict(rows), package.signature.outputs))
    tolerance = package.manifest["golden"]["tolerance"]
    if not tolerance:
        assert answers == expected
    # Where the engine rests on a BLAS, another processor may differ in the last bits, as its golden rows may.
    for answer, then in zip(answers, expected, strict=True):
        assert answer.keys() == then.keys()
        assert all(relative_gap(answer[key], then[key]) <= tolerance for key in then)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_written_as_then(name: str, tmp_path: Path) -> None:
    """Writing the package again gives the same file."""
    written = write_package(open_package(FOLDER / f"{name}.fourfold"), tmp_path / "again.fourfold")
    assert written.read_bytes() == (FOLDER / f"{name}.fourfold").read_bytes()
