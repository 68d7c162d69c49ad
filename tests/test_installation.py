"""The command that a `MissingLibrary` error prints: from where this Fourfold was installed, never by its name alone."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from fourfold import __version__
from fourfold.errors import MissingLibrary, missing_library, naming_missing_library
from fourfold.installation import EXTRA_OF_LIBRARY, install_command
from tests.project.test_libraries import ROOMS
from tests.project.tree import ROOT

PIP = f"{shlex.quote(sys.executable)} -m pip install"
CORE = {"click", "msgspec", "pip", "rich"}


def record(folder: Path, content: object) -> None:
    """Make the metadata of an installation of Fourfold that was installed from elsewhere."""
    metadata = folder / f"fourfold-{__version__}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.4\nName: fourfold\nVersion: {__version__}\n")
    text = content if isinstance(content, str) else json.dumps(content)
    (metadata / "direct_url.json").write_text(text)


@pytest.mark.parametrize("name", ["a wheel's folder", "plain", "with[brackets]"])
def test_a_checkout_and_a_wheel_are_named_with_their_paths(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever characters the path has, a shell reads the command as it is meant."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    record(tmp_path, {"url": folder.as_uri(), "dir_info": {}})
    assert shlex.split(install_command("cloud"))[-1] == f"{folder}[cloud]"
    assert install_command("arrow,service").startswith(f"{PIP} ")
    assert shlex.split(install_command())[-1] == str(folder)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"url": ROOT.as_uri(), "dir_info": {"editable": True}}, f"{PIP} -e '{ROOT}[cloud]'"),
        (
            {"url": "https://host.example/f.git", "vcs_info": {"vcs": "git", "commit_id": "1f2e"}, "subdirectory": "a"},
            f"{PIP} 'fourfold[cloud] @ git+https://host.example/f.git@1f2e#subdirectory=a'",
        ),
        (
            {"url": "https://host.example/fourfold.whl", "archive_info": {}},
            f"{PIP} 'fourfold[cloud] @ https://host.example/fourfold.whl'",
        ),
        ({"url": "file:///is/not/there.whl", "archive_info": {}}, f"{PIP} '{ROOT}[cloud]'"),
        ("{", f"{PIP} '{ROOT}[cloud]'"),
        ([], f"{PIP} '{ROOT}[cloud]'"),
    ],
)
def test_other_sources(content: Any, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout, Git, a wheel of a host; and where the record says nothing, the folder of this file."""
    monkeypatch.syspath_prepend(tmp_path)
    record(tmp_path, content)
    assert install_command("cloud") == wanted


def test_no_source_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the command works in any checkout, and still names no project of an index."""
    monkeypatch.syspath_prepend(tmp_path)
    record(tmp_path, {})
    monkeypatch.setattr("fourfold.installation.__file__", str(tmp_path / "a" / "b" / "c.py"))
    assert install_command("cloud") == f"{PIP} '.[cloud]'  # in a checkout of Fourfold"


def test_without_pip_and_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that uv made has no pip; a program with a Python inside has no executable."""
    monkeypatch.setattr("fourfold.installation.find_spec", lambda name: None)
    assert install_command("cloud").startswith(f"uv pip install --python {shlex.quote(sys.executable)} ")
    monkeypatch.setattr("sys.executable", "")
    assert install_command("cloud").startswith("pip install ")


def test_a_library_is_named_with_its_extra() -> None:
    """A module of a library becomes the library and the extra; what comes with no extra stays what it is."""
    error = ModuleNotFoundError("none", name="sklearn.ensemble")
    missing = missing_library(error, "this")
    assert isinstance(missing, MissingLibrary)
    assert (missing.library, missing.extra) == ("scikit-learn", "sklearn")
    assert str(missing).startswith("this needs scikit-learn, which is not installed; the extra 'sklearn' brings it: ")
    both = missing_library(error, "this", extra="arrow,service")
    assert "the extras 'arrow' and 'service' bring it" in str(both)
    for other in (ModuleNotFoundError("none", name="of_a_user"), ImportError("a name", name="numpy")):
        assert missing_library(other, "this") is None
    with pytest.raises(ModuleNotFoundError, match="of_a_user"), naming_missing_library("this"):
        raise ModuleNotFoundError("of_a_user", name="of_a_user")
    assert missing_library(ModuleNotFoundError("none", name="fourfold.gone"), "this", extra="cloud") is None


def test_every_library_has_an_extra() -> None:
    """Every library that a room may import is one of the core, or has an extra."""
    assert ROOMS.keys() - EXTRA_OF_LIBRARY.keys() == CORE
