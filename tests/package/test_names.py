"""Names of files: each can stand in a folder of any system, beside the others."""

from __future__ import annotations

import importlib
import json
import unicodedata
from pathlib import Path

import pytest

import fourfold
from fourfold.errors import CorruptPackage, PackError
from fourfold.package import Manifest, Package, canonical_json
from fourfold.package.names import check_file_names
from tests.package.sample import FILES, manifest

#: Names that cannot be, by what is wrong with them.
BAD = {
    "it leads out": ["../x", "a/../b", "/x", "a//b", "a/", "", ".", "..", "a/./b", "~/x\\y", "C:x", "\\\\host\\x"],
    "it is hidden": [".hidden", "a/.git/config"],
    "it is a device on Windows": ["CON", "con", "nul.txt", "aux.py", "a/LPT1", "COM0.tar.gz", "prn/x", "NUL"],
    "Windows drops its end": ["a.", "a/b.", "a./b", "a...", "a ", "a /b"],
    "it acts on a terminal": ["a\x1b[2Jb", "a\nb", "a\x00b", "a\tb", "a\x7f", "a\x9b1m", "a\u202eb"],
    "another spelling is the same": [
        unicodedata.normalize("NFC", "é"),
        unicodedata.normalize("NFD", "é"),
        "\ufb01",
        "\u212a",
    ],
    "it means something to Windows": ["a:b", "a*b", "a?b", 'a"b', "a|b", "a<b", "a>b", "a\\b"],
    "it is too long": ["x" * 256, "x/" * 200 + "x"],
    "it is taken": ["manifest.json"],
}
#: Pairs that cannot stand beside each other.
PAIRS = [("a", "a/b"), ("A", "a/b"), ("a/b/c", "a/b"), ("a/B", "A/b"), ("x.py", "X.PY"), ("a", "a/b/c/d")]


@pytest.mark.parametrize(("why", "name"), [(why, name) for why, names in BAD.items() for name in names])
def test_a_name_that_cannot_be(why: str, name: str) -> None:
    """The name is refused where a package is built, and where one is opened, with the reason."""
    with pytest.raises(CorruptPackage, match="not allowed"):
        Package.build(manifest(), {**FILES, name: b"x"})
    raw = json.loads(Package.build(manifest(), FILES).manifest_bytes)
    raw["files"][name] = {"size": 1, "sha256": "0" * 64}
    with pytest.raises(CorruptPackage, match="not allowed"):
        Manifest(canonical_json(raw))


@pytest.mark.parametrize("pair", PAIRS)
def test_two_names_that_cannot_stand_beside_each_other(pair: tuple[str, str]) -> None:
    """A file and a folder of one name, or two spellings of one, are refused with both names."""
    for names in (pair, pair[::-1]):
        with pytest.raises(ValueError, match=r"case|cannot stand beside"):
            check_file_names(names)
        with pytest.raises(CorruptPackage):
            Package.build(manifest(), {**FILES, **dict.fromkeys(names, b"x")})


def test_the_manifest_has_no_twin() -> None:
    """No file takes the manifest's place on any system, nor makes a folder of it."""
    for name in ("Manifest.json", "manifest.json/x", "MANIFEST.JSON"):
        with pytest.raises(ValueError, match=r"manifest\.json"):
            check_file_names([name])


def test_ordinary_names_are_allowed() -> None:
    """What models and their code are called is allowed, also where it looks a little like a device."""
    names = [
        "model.txt",
        "code/eta/__init__.py",
        "console.py",
        "com.py",
        "lpt10",
        "nullable.json",
        "a-b_c+d.1",
        "-x",
        "_",
    ]
    check_file_names([*names, "x" * 255, "aa/b", "a/b", "aaa", "A2/x", "a2/y"])


#: A module with a model, in a package with a module whose name Windows keeps for a device.
MODEL = """
from . import aux

def eta(rows):
    return [aux.SPEED * row["miles"] for row in rows]
"""


def test_packing_refuses_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with such a file is refused when it is packed, as an error of packing that says what to do."""
    folder = tmp_path / "eta_with_a_device"
    folder.mkdir()
    (folder / "aux.py").write_text("SPEED = 0.5\n")
    (folder / "__init__.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("eta_with_a_device")
    rows = [{"miles": float(value)} for value in range(40)]
    with pytest.raises(PackError, match=r"the part aux\.py, which is a device on Windows; give the file another name"):
        fourfold.pack(module.eta, name="eta", rows=rows)
