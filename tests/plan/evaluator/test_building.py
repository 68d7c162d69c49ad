"""How the evaluator is built: by what compiler there is, with or without Python.h, into a wheel for every Python."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from build_backend import compilers
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.evaluators import evaluator, fields_of
from tests.project.tree import ROOT

EVALUATOR = ROOT / "src" / "fourfold" / "plan" / "evaluator"
SOURCES = [EVALUATOR / "module.c", EVALUATOR / "evaluator.c"]
INCLUDES = [f"-I{path}" for path in dict.fromkeys(map(sysconfig.get_path, ("include", "platinclude")))]
#: Loads an extension by its path and prints what it answers.
ANSWER = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("fourfold.plan._evaluator", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
asked = json.load(sys.stdin)
found = module.Evaluator(bytes.fromhex(asked["plan"]), tuple(map(tuple, asked["fields"])))
print(json.dumps(found.many(asked["rows"])))
"""
ROWS = [{"x": 0.1, "s": "a"}, {"x": -0.0, "s": "ü"}, {"x": None, "s": None}, {"x": 1e300, "s": ""}]


def small_plan() -> tuple[Graph, list[Output]]:
    """A plan of a number and a text, with a label."""
    graph = Graph([("x", "float64"), ("s", "string")])
    code = graph.text(1, ["a", "ü"])
    value = graph.dot([graph.number(0), *graph.lookup(code, [0.5, 1.5, 2.5, 3.5])], [[0.1], [0.7]])
    return graph, [Output("y", "float64", value), Output("s", "string", code=code, labels=["A", "Ü", "other", "none"])]


def question() -> str:
    """The plan, its fields and rows, as JSON."""
    graph, outputs = small_plan()
    return json.dumps({"plan": graph.plan(outputs).hex(), "fields": fields_of(graph.inputs), "rows": ROWS})


def expected() -> Any:
    """What this process's own evaluator answers, as JSON gives it back."""
    return json.loads(json.dumps(evaluator(*small_plan()).many(ROWS)))


def answers(extension: Path) -> Any:
    """What an extension answers in a process of its own."""
    command = [sys.executable, "-c", ANSWER, str(extension)]
    run = subprocess.run(command, input=question(), check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def python(program: str, *arguments: str | Path, env: Mapping[str, str] | None = None, flags: str = "") -> Any:
    """Runs a program in the project's root, where `build_backend` lies."""
    command = [sys.executable, *flags.split(), "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)


def without_compilers(folder: Path) -> dict[str, str]:
    """An environment in which no compiler can be found by its name."""
    folder.mkdir()
    return {name: value for name, value in os.environ.items() if name != "CC"} | {"PATH": str(folder)}


def script(path: Path, body: str) -> Path:
    """A program of the shell."""
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


BUILD = """
import sys
from pathlib import Path
from build_backend.compilers import build_extension
print(build_extension([Path(each) for each in sys.argv[2:]], Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension, built by the compiler that a build takes here."""
    output = tmp_path_factory.mktemp("built") / "_evaluator.abi3.so"
    assert compilers.build_extension(SOURCES, output) == compilers.find()
    return output


# Which compiler.


def test_the_compiler_of_this_machine_builds(built: Path) -> None:
    """What is built here answers as the evaluator of this process does."""
    assert answers(built) == expected()


def test_the_wheels_compiler_builds_where_there_is_no_other(tmp_path: Path) -> None:
    """With no compiler on the PATH the one in the ziglang wheel builds, and its extension gives the same answers."""
    env = without_compilers(tmp_path / "empty")
    output = tmp_path / "_evaluator.abi3.so"
    run = python(BUILD, output, *SOURCES, env=env)
    assert run.returncode == 0, run.stderr
    assert "ziglang" in run.stdout
    assert answers(output) == expected()


@pytest.mark.places
def test_whether_a_compiler_must_be_installed(tmp_path: Path) -> None:
    """`python -m build_backend.compilers` and the build's hooks ask for the wheel only where no own compiler works."""
    command = [sys.executable, "-m", "build_backend.compilers"]
    own = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (own.returncode, own.stdout.strip()) == (0, str(compilers.own()))
    env = without_compilers(tmp_path / "empty")
    none = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)
    assert none.returncode == 1
    assert "ziglang" in none.stdout
    ask = "from build_backend.hooks import *; print(get_requires_for_build_wheel(), get_requires_for_build_editable())"
    assert python(ask).stdout.count("ziglang") == 0
    assert python(ask, env=env).stdout.count("ziglang") == 2
    assert python(ask, env=env | {"CC": "/nowhere/cc"}).stdout.count("ziglang") == 0


def test_a_chosen_compiler_that_does_not_work(tmp_path: Path) -> None:
    """Where CC names a compiler that does not work, no other is taken, and the error says which and what it printed."""
    broken = script(tmp_path / "mycc", "echo 'licence expired'; exit 3")
    silent = script(tmp_path / "silent", "exit 0")
    for cc, said in ((broken, "licence expired"), (silent, "made no file"), (tmp_path / "nowhere", "No such file")):
        run = python(BUILD, tmp_path / "out.so", *SOURCES, env=os.environ | {"CC": str(cc)})
        assert run.returncode == 1
        assert f"{cc}: " in run.stderr
        assert said in run.stderr
        assert not (tmp_path / "out.so").exists()


def test_no_compiler_at_all(tmp_path: Path) -> None:
    """With neither a compiler nor the wheel, the error says what was tried and what to install."""
    env = without_compilers(tmp_path / "empty")
    run = python(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{BUILD}", tmp_path / "out.so", *SOURCES, env=env, flags="-I -S"
    )
    assert run.returncode == 1
    for word in ("no C compiler works here", "gcc: No such file", "apt install", "pip install ziglang", "CC="):
        assert word in run.stderr


def test_sources_that_a_compiler_refuses(tmp_path: Path) -> None:
    """An error in a C file is shown as the compiler says it, and leaves what was built before."""
    wrong = tmp_path / "wrong.c"
    wrong.write_text("int f(void) { return undeclared_name; }\n", encoding="utf-8")
    output = tmp_path / "out.so"
    output.write_bytes(b"before")
    with pytest.raises(compilers.CompilerError, match="undeclared_name"):
        compilers.build_extension([wrong], output)
    assert output.read_bytes() == b"before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.so", "wrong.c"]


def test_a_built_file_is_replaced_at_once(tmp_path: Path) -> None:
    """A new build is another file under the same name, so a process that loaded the old one keeps it."""
    source, output = tmp_path / "small.c", tmp_path / "small.so"
    source.write_text("int f(void);\nint f(void) { return 1; }\n", encoding="utf-8")
    output.write_bytes(b"before")
    with output.open("rb") as loaded:
        compilers.build_extension([source], output)
        assert loaded.read() == b"before"
    assert output.read_bytes() != b"before"


def test_flags_of_the_environment_change_nothing(built: Path, tmp_path: Path) -> None:
    """CFLAGS has no say in how the evaluator is compiled: its bits could depend on them."""
    output = tmp_path / "_evaluator.abi3.so"
    env = os.environ | {"CFLAGS": "-ffast-math -O1", "LDFLAGS": "-lnothing"}
    assert python(BUILD, output, *SOURCES, env=env).stderr == ""
    assert output.read_bytes() == built.read_bytes()


def test_fast_math_is_refused(tmp_path: Path) -> None:
    """A compiler that is told to bend arithmetic is refused by the evaluator itself."""
    compiler = compilers.find()
    said = compiler.run("-std=c99", "-O2", "-ffast-math", "-c", EVALUATOR / "evaluator.c", "-o", tmp_path / "out.o")
    assert "must not be compiled with -ffast-math" in said


# Python's interface.


@pytest.mark.places
def test_without_the_headers_of_python(tmp_path: Path) -> None:
    """Where Python.h is missing the extension is built from our own declarations, and gives the same answers."""
    real = compilers.find().command[0]
    drop = 'for word do shift; case "$word" in -I*) ;; *) set -- "$@" "$word" ;; esac; done'
    wrapper = script(tmp_path / "cc", f'{drop}; exec {shutil.which(real)} "$@"')
    compiler = compilers.Compiler((str(wrapper),))
    assert compilers.python_headers(compilers.find())
    assert compilers.python_headers(compiler) == []
    output = tmp_path / "_evaluator.abi3.so"
    run = python(BUILD, output, *SOURCES, env=os.environ | {"CC": str(wrapper)})
    assert run.returncode == 0, run.stderr
    assert answers(output) == expected()


def declared() -> list[str]:
    """The functions and data of Python that stable_abi.h declares."""
    text = (EVALUATOR / "stable_abi.h").read_text(encoding="utf-8").partition("defined(FOURFOLD_CHECK_ABI)")[2]
    functions = re.findall(r"^[a-z][\w ]*[ *]+(Py\w+)\(", text, re.MULTILINE) + re.findall(
        r"^\w*Py\w+ \*(Py\w+)\(", text, re.MULTILINE
    )
    data = [
        name.strip(" *;")
        for line in re.findall(r"^extern .*?(?: |\*)(\*?_?Py[^;]+);", text, re.MULTILINE)
        for name in line.split(",")
    ]
    names = {*functions, *(name.split()[-1].strip("*") for name in data)}
    return sorted(name for name in names if name not in {"PyTypeObject", "PyObject"})


@pytest.mark.places
def test_our_declarations_are_pythons(tmp_path: Path) -> None:
    """A compiler that has read Python.h finds every declaration of ours the same, and in the stable ABI of 3.11."""
    names = declared()
    assert len(names) > 60
    source = tmp_path / "check.c"
    source.write_text('#include "stable_abi.h"\n#include "module.c"\n', encoding="utf-8")
    warnings = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only")
    compiler = compilers.find()
    assert compiler.run("-std=c99", f"-I{EVALUATOR}", *INCLUDES, "-DFOURFOLD_CHECK_ABI", *warnings, source) == ""
    source.write_text(
        "#define Py_LIMITED_API 0x030B0000\n#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
        "void *names[] = {" + ", ".join(f"(void *)&{name}" for name in names) + "};\n",
        encoding="utf-8",
    )
    assert compiler.run("-std=c99", *INCLUDES, "-Werror", "-fsyntax-only", source) == ""


@pytest.mark.places
def test_our_layouts_and_numbers_are_pythons(tmp_path: Path) -> None:
    """Sizes, places of members, slots and flags are those that Python.h has."""
    text = (EVALUATOR / "stable_abi.h").read_text(encoding="utf-8").partition("#else")[2].partition("#endif /*")[0]
    constants = re.findall(r"^#define ((?:METH|Py_tp|Py_mod|Py_TPFLAGS)_\w+)", text, re.MULTILINE)
    members = {
        "PyObject": ["ob_refcnt", "ob_type"],
        "PyMethodDef": ["ml_name", "ml_meth", "ml_flags", "ml_doc"],
        "PyModuleDef_Base": ["ob_base", "m_init", "m_index", "m_copy"],
        "PyModuleDef_Slot": ["slot", "value"],
        "PyModuleDef": [
            "m_base",
            "m_name",
            "m_doc",
            "m_size",
            "m_methods",
            "m_slots",
            "m_traverse",
            "m_clear",
            "m_free",
        ],
        "PyType_Slot": ["slot", "pfunc"],
        "PyType_Spec": ["name", "basicsize", "itemsize", "flags", "slots"],
    }
    numbers = [*constants, "PY_SSIZE_T_MAX", "sizeof(Py_ssize_t)", *(f"sizeof({name})" for name in members)]
    numbers += [
        f"offsetof({name}, {member})" for name, each in members.items() for member in each if member != "ob_refcnt"
    ]
    lines = "".join(f'printf("%s %lld\\n", "{each}", (long long)({each}));' for each in numbers)
    source = tmp_path / "numbers.c"
    source.write_text(
        f'#include "stable_abi.h"\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {{ {lines} return 0; }}\n',
        encoding="utf-8",
    )
    printed = []
    for name, definition in (("with", []), ("without", ["-DFOURFOLD_WITHOUT_PYTHON_H"])):
        said = compilers.find().run("-std=c99", f"-I{EVALUATOR}", *INCLUDES, *definition, source, "-o", tmp_path / name)
        assert said == ""
        printed.append(subprocess.run([tmp_path / name], check=True, capture_output=True, text=True).stdout)
    assert len(constants) > 10
    assert printed[0] == printed[1]


def test_the_extension_shows_one_name(built: Path) -> None:
    """Nothing of the evaluator is visible to other libraries of a process but the function that Python looks for."""
    library = ctypes.PyDLL(str(built))
    assert hasattr(library, "PyInit__evaluator")
    assert [name for name in ("ff_open", "ff_predict", "ff_elementary") if hasattr(library, name)] == []


# Wheels.


def test_sdist_and_wheel(tmp_path: Path) -> None:
    """The sdist holds what a build needs; its wheel is for every Python from 3.11 on, and answers with nothing else."""
    hook = "import sys; from build_backend import hooks; print(getattr(hooks, sys.argv[1])(sys.argv[2]))"
    run = python(hook, "build_sdist", tmp_path)
    assert run.returncode == 0, run.stderr
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path / "unpacked", filter="data")
    wanted = {
        f"src/fourfold/plan/evaluator/{name}" for name in ("module.c", "evaluator.c", "evaluator.h", "stable_abi.h")
    }
    wanted |= {
        "src/fourfold/plan/_evaluator.pyi",
        "setup.py",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "build_backend/hooks.py",
        "build_backend/compilers.py",
    }
    assert wanted - names == set()
    assert [name for name in names if name.endswith((".so", ".pyc"))] == []
    (folder,) = (tmp_path / "unpacked").iterdir()
    built = subprocess.run(
        [sys.executable, "-c", hook, "build_wheel", tmp_path], cwd=folder, check=False, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-cp311-abi3-{platform}.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
    assert {
        f"fourfold/plan/{each}" for each in ("_evaluator.abi3.so", "evaluator/evaluator.c", "evaluator/evaluator.h")
    } <= set(inside)
    assert [name for name in inside if name.startswith(("build_backend", "tests"))] == []
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "clean"], check=True)
    clean = tmp_path / "clean" / "bin" / "python"
    uv: list[str | Path] = [
        Path(sys.executable).with_name("uv"),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        clean,
        wheel,
    ]
    subprocess.run(uv, check=True)
    (extension,) = (tmp_path / "clean").rglob("_evaluator.abi3.so")
    ask = ANSWER.replace("spec.loader.exec_module(module)", "import fourfold.plan._evaluator as module")
    asked = subprocess.run(
        [clean, "-I", "-c", ask, extension], input=question(), check=True, capture_output=True, text=True
    )
    assert json.loads(asked.stdout) == expected()


@pytest.mark.parametrize("name", ["module.c", "evaluator.c", "evaluator.h", "stable_abi.h"])
def test_a_changed_file_is_built_again(name: str, tmp_path: Path) -> None:
    """`make test` and `make demo` build the evaluator anew after a change of any of its files, and only then."""
    make = ["make", "--no-print-directory", "--dry-run", f"VENV={tmp_path}"]
    for stamp in (".made-dev", ".made-demo"):
        (tmp_path / stamp).touch()
        unchanged = subprocess.run([*make, str(tmp_path / stamp)], cwd=ROOT, check=True, capture_output=True, text=True)
        assert "environment.py" not in unchanged.stdout
        changed = [*make, f"--what-if=src/fourfold/plan/evaluator/{name}", str(tmp_path / stamp)]
        run = subprocess.run(changed, cwd=ROOT, check=True, capture_output=True, text=True)
        assert "scripts/environment.py" in run.stdout
