from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from fourfold.errors import PackageError
from fourfold.runtimes.distributions import Environment, check_distributions, file_of, locate, record_distributions
from tests.runtimes.own_modules import importing, install, write

FILES = {"dist4f/__init__.py": "", "dist4f/table.json": "{}", "dist4f/tests/test_it.py": "1", "dist4f/fast.so": "elf"}
NAMES = (
    *("os", "sys", "json.decoder", "zlib", "numpy.linalg", "sklearn", "fourfold.errors", "click"),
    *("dist4f", "dist4f.added", "space4f.theirs", "space4f.mine", "tests.runtimes.own_modules"),
)


def test_whose_a_module_is(tmp_path: Path) -> None:
    """A module is Python's, a driven library's, a distribution's that lists its file, or else one's own."""
    site = install(tmp_path / "site", "dist-4f", "1", {"dist4f/__init__.py": "", "space4f/theirs.py": ""})
    write(site, {"dist4f/added.py": "", "space4f/mine.py": ""})
    with importing(site):
        environment = Environment()
        origins = {name: environment.origin(name, file_of(locate(name))) for name in NAMES}
        assert not {name for name in ("dist4f", "space4f") if name in sys.modules}
    assert origins == {
        **dict.fromkeys(("os", "sys", "json.decoder", "zlib"), "python"),
        **dict.fromkeys(("numpy.linalg", "sklearn", "fourfold.errors"), "driven"),
        **dict.fromkeys(("click", "dist4f", "space4f.theirs"), "distribution"),
        **dict.fromkeys(("dist4f.added", "space4f.mine", "tests.runtimes.own_modules"), "own"),
    }


def record(site: Path) -> dict[str, Any]:
    """What a manifest records of the distribution in a folder."""
    with importing(site):
        recorded: dict[str, Any] = json.loads(json.dumps(record_distributions(["dist4f"], Environment())))
    return recorded


def test_what_the_hash_is_of(tmp_path: Path) -> None:
    """Python files and data count everywhere, compiled files on their platform, tests and metadata nowhere."""
    site = install(tmp_path / "site", "Dist_4F", "1.0", FILES)
    recorded = record(site)
    assert list(recorded) == ["dist-4f"]
    assert recorded["dist-4f"]["files"] == 2
    with importing(site):
        check_distributions(recorded)
        (site / "dist4f/tests/test_it.py").unlink()
        check_distributions(recorded)
        (site / "dist4f/fast.so").write_text("other")
        with pytest.raises(PackageError, match=r"compiled files of the distribution dist-4f.*dist4f/fast\.so changed"):
            check_distributions(recorded)
        recorded["dist-4f"]["platform"] = "another machine"
        check_distributions(recorded)
        (site / "dist4f/table.json").write_text("[]")
        with pytest.raises(PackageError, match=r"the files of the distribution dist-4f 1\.0 .*force-reinstall"):
            check_distributions(recorded)


def test_a_rebuilt_distribution_is_another(tmp_path: Path) -> None:
    """The same version with other files, installed as such, is told from one whose files were changed later."""
    recorded = record(install(tmp_path / "one", "dist-4f", "1.0", FILES))
    other = install(tmp_path / "two", "dist-4f", "1.0", {**FILES, "dist4f/__init__.py": "K = 1"})
    with importing(other), pytest.raises(PackageError, match=r"two are not those .*\(it is another build\)"):
        check_distributions(recorded)


def test_installed_libraries_hold() -> None:
    """Distributions as installers make them are recorded and found again, in a moment."""
    recorded = record_distributions(
        ["click.core", "yaml", "hypothesis", "_pytest.config", "os", "numpy"], Environment()
    )
    assert list(recorded) == ["click", "hypothesis", "pytest", "pyyaml"]
    assert recorded["click"]["version"] == metadata.version("click")
    check_distributions(recorded)
