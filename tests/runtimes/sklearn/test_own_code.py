"""A pipeline with classes and functions of one's own is packed with their source, and runs from that alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fourfold
from fourfold import runtimes
from fourfold.errors import PackageError, PackError
from tests.runtimes.own_modules import importing, install, write, write_project
from tests.runtimes.round_trip import loaded, prepared, signature_of

RANDOM = np.random.default_rng(5)
MATRIX = RANDOM.normal(size=(40, 3)) * 3
TARGET = MATRIX.sum(axis=1)
ROW = {"x0": 1.0, "x1": -2.0, "x2": 0.5}

PACK = """
import sys
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
import fourfold
from fourfold.package import write_package
from acme4f.features import Clip
matrix = np.random.default_rng(5).normal(size=(40, 3)) * 3
model = make_pipeline(Clip(), LinearRegression()).fit(matrix, matrix.sum(axis=1))
package = fourfold.pack(model, name="own", rows=matrix)
write_package(package, sys.argv[1])
print(package.digest, model.predict(matrix[:8]).tobytes().hex())
"""
RUN = """
import sys
import numpy as np
import fourfold
if sys.argv[1] == "imported":
    import acme4f.features, scale4f
matrix = np.random.default_rng(5).normal(size=(40, 3)) * 3
for path in sys.argv[2:]:
    predictor = fourfold.load(path, trust='code')
    rows = [dict(zip(("x0", "x1", "x2"), row)) for row in matrix[:40].tolist()]
    answers = [answer["prediction"] for answer in predictor.predict(rows)]
    print(np.array(answers[:8]).tobytes().hex())
print([path for path in sys.path if "acme" in path], "acme4f.shifts" in sys.modules)
"""


def run(script: str, *arguments: Any, paths: tuple[Path, ...] = (), seed: int = 0) -> list[str]:
    """Return the lines that a script in a process of its own prints, with folders on its path."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONHASHSEED": str(seed),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", script, *map(str, arguments)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert not finished.returncode, finished.stderr
    return finished.stdout.splitlines()


def test_the_packages_own_code_answers_everywhere(tmp_path: Path) -> None:
    """Whatever modules of the same names a host has, imported or not, the package's bits are those of its own code."""
    first = write_project(tmp_path / "first", limit=1.0, factor=3.0, shift=0.25)
    second = write_project(tmp_path / "second", limit=5.0, factor=-2.0, shift=7.0)
    package, other = tmp_path / "first.fourfold", tmp_path / "second.fourfold"
    digest, bits = run(PACK, package, paths=(first,))[0].split()
    assert run(PACK, tmp_path / "again.fourfold", paths=(first,), seed=1)[0].split() == [digest, bits]
    _, other_bits = run(PACK, other, paths=(second,))[0].split()
    assert bits != other_bits
    assert run(RUN, "", package, other)[:2] == [bits, other_bits]
    assert run(RUN, "", package, paths=(second,)) == [bits, "[] False"]
    assert run(RUN, "imported", package, other, package, paths=(second,))[:3] == [bits, other_bits, bits]
    manifest = fourfold.load(package, trust="code").package.manifest
    assert manifest["runtime"]["settings"]["code"] == [
        *(f"code/acme4f/{name}.py" for name in ("__init__", "features", "shifts")),
        *("code/lazy4f.py", "code/scale4f.py"),
    ]


def test_functions_and_modules_beside_each_other_are_carried(tmp_path: Path) -> None:
    """A function in a FunctionTransformer, and a class under a namespace package, come with what they import."""
    files = {
        "space4f/parts/one.py": "from space4f.parts import two\ndef f(x):\n    return abs(x) + two.K\n",
        "space4f/parts/two.py": "import importlib\nK = importlib.import_module('three4f').K\n",
        "three4f.py": "try:\n    import nowhere4f\nexcept ImportError:\n    K = 3\n",
    }
    with importing(write(tmp_path, files)) as load:
        function = load("space4f.parts.one").f
        model = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(MATRIX, TARGET)
        ready = prepared(model, MATRIX)
    assert [file for file in ready.files if file.startswith("code/")] == [
        *("code/space4f/parts/one.py", "code/space4f/parts/two.py", "code/three4f.py"),
    ]
    assert "three4f" not in sys.modules
    engine: Any = loaded(ready, trust="code")
    np.testing.assert_array_equal(engine.model.predict(MATRIX), model.predict(MATRIX))


def pack_function(folder: Path, source: str, *, change: str = "", **options: Any) -> Any:
    """Return what a package keeps of a pipeline with the function `f` of a module, `change`d after its import."""
    with importing(write(folder, {"mine4f.py": source})) as load:
        module = load("mine4f")
        model = make_pipeline(FunctionTransformer(module.f), LinearRegression()).fit(MATRIX, TARGET)
        exec(change, {"module": module, "folder": folder})
        return prepared(model, MATRIX, **options)


F = "def f(x):\n    return x + K\n"
REFUSED = {
    "a file beside the module": (
        "from pathlib import Path\nK = float(Path(__file__).with_name('k.txt').read_text())\n" + F,
        "",
        r"mine4f\.py reads the file .*k\.txt.*which no package carries.*model's state",
    ),
    "a file of pandas": (
        "import pandas as pd\ndef f(x):\n    return x + pd.read_csv(PATH).shape[1]\nPATH = FOLDER + '/k.txt'\n",
        "",
        r"mine4f\.py reads the file .*k\.txt",
    ),
    "a file of a package": (
        "import pkgutil\ndef f(x):\n    return x + len(pkgutil.get_data('data4f', 'k.txt'))\n",
        "",
        r"mine4f\.py reads the file .*data4f/k\.txt",
    ),
    "a pickle of its own": (
        "import pickle\nclass K:\n    k = 1\ndef f(x):\n    return x + pickle.loads(b'cmine4f\\nK\\n.').k\n",
        "",
        r"unpickles mine4f\.K by itself, .*keep the object itself",
    ),
    "an edited source": (
        "K = 1\n" + F,
        "(folder / 'mine4f.py').write_text('K = 1\\ndef f(x):\\n    return x - K + 2 * K\\n')",
        r"mine4f\.f runs here as it was imported, and the source .* says otherwise.*start Python anew",
    ),
    "a replaced function": (
        "def g(x):\n    return x + 1\n" + "def f(x):\n    return g(x)\n",
        "module.g = lambda x: x + 1",
        r"mine4f\.g is not the function of its source",
    ),
    "a changed constant": ("K = 1.5\n" + F, "module.K = 2.5", r"mine4f\.K is 2\.5 here and 1\.5 in its source"),
    "a module found by its name": (
        "import importlib\nNAME = 'other' + '4f'\nK = importlib.import_module(NAME).K\n" + F,
        "",
        r"imports other4f, which the package does not carry.*code=\['.*other4f\.py'\]",
    ),
    "a file that is gone": ("K = 1\n" + F, "(folder / 'mine4f.py').unlink()", "has no source file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_code_that_cannot_be_carried_is_refused_when_it_is_packed(case: str, tmp_path: Path) -> None:
    """What another host would not have, or would have otherwise, is named with the way out, and not found there."""
    source, change, words = REFUSED[case]
    write(tmp_path, {"k.txt": "1", "other4f.py": "K = 1\n", "data4f/__init__.py": "", "data4f/k.txt": "1"})
    with pytest.raises(PackError, match=words):
        pack_function(tmp_path, source.replace("FOLDER", repr(str(tmp_path))), change=change)


def test_further_code_by_its_path(tmp_path: Path) -> None:
    """What is imported by a name that is computed is carried where it is given, and then found in the package."""
    write(tmp_path, {"other4f.py": "K = 4\n"})
    source = REFUSED["a module found by its name"][0]
    ready = pack_function(tmp_path, source, code=[tmp_path / "other4f.py"])
    assert "code/other4f.py" in ready.files
    assert loaded(ready, trust="code") is not None


def test_counters_and_computed_values_are_no_constants(tmp_path: Path) -> None:
    """A module whose state moves while it runs is packed: only what its source says once and for all is compared."""
    source = "CALLS = 0\nMODE = 1\nMODE = 2\ndef f(x):\n    global CALLS\n    CALLS += 1\n    return x + MODE\n"
    assert pack_function(tmp_path, source).requires


SUNNY = {
    "temporary files": """
import tempfile
def f(x):
    with tempfile.TemporaryFile() as file:
        file.write(b"1")
        file.seek(0)
        return x + len(file.read())
""",
    "its own source": "import inspect\ndef f(x):\n    return x + len(inspect.getsource(f))\n",
    "time zones": "import zoneinfo\nK = len(str(zoneinfo.ZoneInfo('Europe/Berlin')))\n" + F,
    "pickles in memory": """
import pickle
class C:
    k = 1
def f(x):
    return x + pickle.loads(pickle.dumps(C())).k
""",
    "a warning": """
import warnings
def f(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("hm")
    return x
""",
    "its own module": "import sys\nK = 1\ndef f(x):\n    return x + sys.modules[__name__].K\n",
}


@pytest.mark.parametrize("case", SUNNY)
def test_ordinary_code_is_carried(case: str, tmp_path: Path) -> None:
    """What needs nothing of its host but Python is packed, and answers as it did."""
    assert pack_function(tmp_path, SUNNY[case]).settings["code"] == ["code/mine4f.py"]


def test_its_own_version_travels(tmp_path: Path) -> None:
    """A package that asks for its own version gets it where it is not installed."""
    site = install(tmp_path / "site", "mine4f", "0.17", {"__editable__.mine4f.pth": str(tmp_path / "own")})
    source = (
        "from importlib.metadata import version\nfrom importlib import metadata\nimport importlib.metadata\n"
        "K = len(version('mine4f') + metadata.version('Mine4F') + importlib.metadata.version('mine4f'))\n"
        "N = version('numpy')\n" + F
    )
    with importing(site):
        package = _package(tmp_path / "own", source)
    assert package.manifest["runtime"]["settings"]["versions"] == {"mine4f": "0.17"}
    assert len(fourfold.load(package, trust="code").predict([ROW])) == 1


def test_a_script_is_refused(tmp_path: Path) -> None:
    """A class of a script is in no module that another process could have: the error says where to put it."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\nimport fourfold\nfrom sklearn.pipeline import make_pipeline\n"
        "from sklearn.linear_model import LinearRegression\nfrom sklearn.preprocessing import FunctionTransformer\n"
        "def f(x):\n    return x + 1\n"
        "matrix = np.arange(30.0).reshape(10, 3)\n"
        "model = make_pipeline(FunctionTransformer(f), LinearRegression()).fit(matrix, matrix.sum(axis=1))\n"
        "try:\n    fourfold.pack(model, name='m', rows=matrix)\n"
        "except fourfold.errors.PackError as error:\n    print(error)\n"
    )
    [line] = run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    assert "__main__" in line
    assert "module" in line


def test_a_compiled_module_of_ones_own_is_refused(tmp_path: Path) -> None:
    """An extension that no distribution installed cannot be carried: the error says to build a wheel."""
    import msgspec

    built = next(Path(msgspec.__file__).parent.glob("_core*.so"))
    write(tmp_path, {"own4f/__init__.py": "from own4f import _core\nK = 1\ndef f(x):\n    return x + K\n"})
    (tmp_path / "own4f" / built.name).write_bytes(built.read_bytes())
    with importing(tmp_path) as load:
        function = load("own4f").f
        model = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(MATRIX, TARGET)
        with pytest.raises(PackError, match=r"own4f\._core is a compiled extension of your own.*build a wheel"):
            prepared(model, MATRIX)


def test_distributions_are_checked_when_the_package_is_loaded(tmp_path: Path) -> None:
    """A distribution that the code imports is recorded, and another version, file or place of it is refused."""
    source = "import dist4f.table as table\ndef f(x):\n    return x + table.K\n"
    site = install(tmp_path / "site", "dist-4f", "1.2", {"dist4f/__init__.py": "", "dist4f/table.py": "K = 1\n"})
    with importing(site):
        package = _package(tmp_path / "own", source)
        record = package.manifest["runtime"]["distributions"]["dist-4f"]
        assert (record["version"], record["modules"], record["files"]) == ("1.2", ["dist4f.table"], 2)
        assert "dist-4f" not in package.manifest["runtime"]["libraries"]
        assert len(fourfold.load(package, trust="code").predict([ROW])) == 1
    other = install(tmp_path / "other", "dist-4f", "1.3", {"dist4f/__init__.py": "", "dist4f/table.py": "K = 1\n"})
    changed = install(tmp_path / "changed", "dist-4f", "1.2", {"dist4f/__init__.py": "", "dist4f/table.py": "K = 1\n"})
    (changed / "dist4f/table.py").write_text("K = 2\n")
    shadow = write(tmp_path / "shadow", {"dist4f/__init__.py": "", "dist4f/table.py": "K = 1\n"})
    for folders, words in [
        ((other,), r"needs the distribution dist-4f 1\.2; got dist-4f 1\.3 in .*other.*install dist-4f==1\.2"),
        ((changed,), r"files of the distribution dist-4f 1\.2 .*dist4f/table\.py changed after it was installed"),
        ((shadow, site), r"here .*shadow/dist4f/table\.py stands in its place.*remove it from sys\.path"),
        ((), r"dist4f\.table of the distribution dist-4f 1\.2, which is not installed here"),
    ]:
        with importing(*folders), pytest.raises(PackageError, match=words):
            fourfold.load(package, trust="code")


def _package(folder: Path, source: str) -> Any:
    with importing(write(folder, {"mine4f.py": source})) as load:
        model = make_pipeline(FunctionTransformer(load("mine4f").f), LinearRegression()).fit(MATRIX, TARGET)
        return fourfold.pack(model, name="own", rows=MATRIX)


def test_a_replaced_method_of_a_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody set on a library's class is in no package: another host would answer otherwise."""
    model = make_pipeline(FunctionTransformer(np.cbrt), LinearRegression()).fit(MATRIX, TARGET)
    monkeypatch.setattr(LinearRegression, "predict", lambda self, X: np.zeros(len(X)))  # noqa: N803
    with pytest.raises(PackError, match=r"LinearRegression\.predict was replaced by a function of tests\..*own"):
        prepared(model, MATRIX)


def test_an_editable_install_is_ones_own(tmp_path: Path) -> None:
    """A distribution that lists none of its sources is carried as source, and its version is none that is checked."""
    site = install(tmp_path / "site", "mine4f", "0.1", {"__editable__.mine4f.pth": str(tmp_path / "own")})
    with importing(site):
        package = _package(tmp_path / "own", "K = 1\n" + F)
    assert package.manifest["runtime"]["settings"]["code"] == ["code/mine4f.py"]
    assert "distributions" not in package.manifest["runtime"]
    assert "mine4f" not in package.manifest["runtime"]["libraries"]
    assert len(fourfold.load(package, trust="code").predict([ROW])) == 1


def test_a_pickle_never_takes_the_hosts_own_modules(tmp_path: Path) -> None:
    """A pickle that names a module which is neither carried nor installed is refused, and the module does not run."""
    ready = prepared(
        make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(abs(MATRIX), TARGET), abs(MATRIX)
    )
    write(tmp_path, {"host4f.py": "import sys\nsys.ran4f = True\ndef f(x):\n    return x\n"})
    settings = {**ready.settings, "file": "model.pickle"}
    data = b"chost4f\nf\n."
    with importing(tmp_path), pytest.raises(PackageError, match=r"imports host4f, which the package does not carry"):
        runtimes.load("sklearn", settings, lambda _: data, signature_of(ready), "code")
    assert not hasattr(sys, "ran4f")
