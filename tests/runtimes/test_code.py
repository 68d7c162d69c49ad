from __future__ import annotations

import gc
import os
import pickle
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from fourfold.errors import CorruptPackage, PackageError, PackError
from fourfold.runtimes.code import PackageCode
from fourfold.runtimes.sources import collect_files, defining_module
from tests.runtimes import functions

FILES = {
    "code/alone.py": b"import pkg.deep.leaf as leaf\nfrom pkg import *\nVALUE = (leaf.NAME, one, two)\n",
    "code/late.py": b"def get():\n    import alone\n    from pkg.deep import leaf\n    return alone.VALUE, leaf.NAME",
    "code/pkg/__init__.py": b"__all__ = ['one', 'two', 'deep']\nfrom .first import one\n"
    b"from . import second\ntwo = second.two\n",
    "code/pkg/first.py": b"import pkg\none = 1\n",
    "code/pkg/second.py": b"from .first import one\ntwo = one + 1\n",
    "code/pkg/deep/__init__.py": b"",
    "code/pkg/deep/leaf.py": b"from ..first import one\nfrom ... import alone\nNAME = __name__\n",
    "code/space/inside.py": b"import json\nfrom space import other\nclass Thing:\n    class Part:\n        x = 1\n",
    "code/space/other.py": b"FILE = __file__\n",
    "code/json.py": b"MINE = True\n",
    "code/shadow.py": b"import json, os.path\nfrom collections import abc\nMINE = json.MINE, os.path.sep, abc.Sized\n",
    "code/broken.py": b"1 / 0",
    "code/wrong.py": b"def (",
    "code/needs.py": b"import nowhere4f",
    "code/lost.py": b"import pkg.nothing",
    "code/outside.py": b"from ... import anything",
    "code/names.py": b"from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
    b"class D:\n    x: 'int'\n",
}


def test_imports_find_the_package_first() -> None:
    """Absolute, relative, star, dotted and late imports find the package's own files, and nobody else's."""
    code = PackageCode(
        {name: FILES[name] for name in FILES if "leaf" not in name} | {"code/pkg/deep/leaf.py": b"NAME = __name__"}
    )
    value, name = code.get("late", "get")()
    assert value == (name, 1, 2)
    assert name.endswith("pkg.deep.leaf")
    assert code.get("shadow", "MINE")[0] is True
    assert code.get("space.inside", "Thing.Part").x == 1
    assert code.get("names", "D")(3).x == 3
    assert not {"alone", "pkg", "space", "late", "shadow"} & sys.modules.keys()
    assert not hasattr(sys.modules["json"], "MINE")
    assert {"os.path", "collections", "dataclasses"} <= code.foreign_imports


def test_errors_name_the_module() -> None:
    """Code that fails, cannot be read or needs what is not here is an error that names its module and the reason."""
    code = PackageCode(FILES)
    for module, error, words in [
        ("broken", PackageError, "module broken fails: ZeroDivisionError"),
        ("wrong", PackageError, "module wrong fails: SyntaxError"),
        ("needs", PackageError, "needs nowhere4f, which is not installed"),
        ("lost", PackageError, "needs pkg.nothing"),
        ("outside", PackageError, "beyond top-level|module outside fails"),
        ("nothing", CorruptPackage, "no module 'nothing'"),
    ]:
        with pytest.raises(error, match=words):
            code.get(module, "x")
        with pytest.raises(error, match=words):
            code.get(module, "x")
    with pytest.raises(CorruptPackage, match="has no 'absent'"):
        code.get("json", "absent")


def test_modules_go_with_their_package() -> None:
    """What a package put into `sys.modules` is gone when the package is, and its code says so when it still runs."""
    code = PackageCode({"code/late.py": b"def get():\n    import os\n    return os"})
    late = code.get("late", "get")
    private = late.__module__
    assert private in sys.modules
    assert late() is os
    del code
    gc.collect()
    assert private not in sys.modules
    with pytest.raises(ImportError, match="is gone"):
        late()


def test_objects_of_carried_classes() -> None:
    """A pickle's classes are the package's where it carries their module, and the host's otherwise."""
    files = collect_files(["tests.runtimes.functions"], [])
    code = PackageCode(files)
    found = code.unpickle(pickle.dumps((functions.Scale(2.0), threading.get_ident)))
    assert type(found[0]) is code.get("tests.runtimes.functions", "Scale")
    assert found[0].by == 2.0
    assert type(found[0]) is not functions.Scale
    with pytest.raises(CorruptPackage, match="cannot be loaded"):
        code.unpickle(b"garbage")
    with pytest.raises(PackageError, match="needs nowhere4f"):
        code.unpickle(b"cnowhere4f\nThing\n.")


def test_packages_are_carried_whole(tmp_path: Path) -> None:
    """A folder with an `__init__.py` is carried with all of its Python files and nothing else."""
    for name in ("a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/data.csv", "a/__pycache__/x.pyc", "one.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = collect_files([], [tmp_path / "one.py", str(tmp_path / "a"), tmp_path / "one.py"])
    assert list(files) == ["code/a/__init__.py", "code/a/b/__init__.py", "code/a/b/c.py", "code/one.py"]
    assert files["code/a/b/c.py"] == b"a/b/c.py"


def test_paths_that_are_no_code(tmp_path: Path) -> None:
    """A folder that is no package, a file that is no Python, two files of one name and too much code are refused."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "data.csv").write_text("x")
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        (folder / "same.py").write_text("x = 1")
    (tmp_path / "huge.py").write_text("#" * (17 << 20))
    for paths, words in [
        ([tmp_path / "plain"], "expected a Python file or the folder of a package"),
        ([tmp_path / "data.csv"], "expected a Python file"),
        ([tmp_path / "nowhere.py"], "expected a Python file"),
        ([tmp_path / "same.py", tmp_path / "other" / "same.py"], "both be code/same.py"),
        ([tmp_path / "huge.py"], "it has 17,825,792 bytes; expected at most 16,777,216"),
    ]:
        with pytest.raises(PackError, match=words):
            collect_files([], paths)


def test_the_module_of_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function, a class or a method is found again under its name in its module, or is refused."""
    assert defining_module(functions.alias) == defining_module(functions.Scale) == "tests.runtimes.functions"
    assert defining_module(functions.Scale.default) == "tests.runtimes.functions"
    monkeypatch.setattr(functions, "roots", functions.words)
    module = ModuleType("made4f")
    exec("def f(): pass", module.__dict__)
    with pytest.raises(PackError, match="not imported"):
        defining_module(module.f)
    monkeypatch.setitem(sys.modules, "made4f", module)
    with pytest.raises(PackError, match="no source file"):
        defining_module(module.f)


def test_code_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    """A file takes no room where it lies, and a terabyte in memory: its size is looked at first."""
    path = tmp_path / "long.py"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(PackError, match=r"long\.py: it has 1,099,511,627,776 bytes; expected at most 16,777,216"):
        collect_files([], [path])
