"""The C compiler that builds the evaluator: the machine's own, or the one in the `ziglang` wheel.

python -m build_backend.compilers    says which one it is; fails where no compiler of the machine's own works

A compiler counts if it has just compiled and linked a small shared object with our flags, not if something has its
name. Only Python's own modules are imported: this runs before anything is installed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: On a 32-bit x86 processor, doubles are computed in 80 bits unless a compiler is told otherwise.
X86_32 = ("-msse2", "-mfpmath=sse")
#: What the bits of an answer rest on. Nothing of CFLAGS is taken, since anything there could change them.
FLAGS = (
    *("-std=c99", "-O3", "-ffp-contract=off", "-fno-fast-math", "-fvisibility=hidden"),
    *(X86_32 if platform.machine() in {"i386", "i686", "x86_64", "AMD64"} and sys.maxsize < 2**32 else ()),
)
#: What the wheel's compiler is asked for as, by the backend.
WHEEL = "ziglang>=0.17"
ADVICE = (
    "Install a C compiler (Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc "
    "musl-dev; macOS: xcode-select --install), name one (CC=/path/to/cc), or install the one that comes as a wheel "
    "(pip install ziglang) beside the setuptools that builds this."
)
PROBE = """
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
double fourfold_probe(const double *values, size_t count);
double fourfold_probe(const double *values, size_t count) {
    double sum = 0, *copy = (double *)malloc(count * sizeof *copy);
    size_t i;
    if (!copy) return 0;
    memcpy(copy, values, count * sizeof *copy);
    for (i = 0; i < count; i++) sum += copy[i];
    free(copy);
    return sum;
}
"""
HEADERS = """
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
PyObject *fourfold_probe(void);
PyObject *fourfold_probe(void) { return PyLong_FromLong(1); }
"""


class CompilerError(Exception):
    """No compiler works, or the one that does refuses our files; the message is what it printed, and what to do."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler, as the words of a command that sources and options are added to."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The command, as a shell reads it."""
        return shlex.join(self.command)

    def run(self, *words: str | Path) -> str:
        """Runs the compiler; what it printed is returned where it failed, "" where it did not."""
        command = [*self.command, *(str(word) for word in words)]
        with tempfile.TemporaryDirectory(prefix="fourfold-cache-") as cache:
            # Zig keeps what it compiles of its C library: where the caller says, or nowhere.
            env = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache} | self.environment | os.environ
            try:
                finished = subprocess.run(
                    command, env=env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
                )
            except OSError as error:
                return f"{command[0]}: {error.strerror or error}"
        return "" if finished.returncode == 0 else finished.stdout.strip() or f"exit status {finished.returncode}"

    def shared(
        self,
        sources: Sequence[Path],
        output: Path,
        *,
        includes: Iterable[str] = (),
        definitions: Iterable[str] = (),
    ) -> str:
        """Compiles and links a shared object that Python loads; returns what the compiler printed if it failed."""
        linking = ["-shared", "-fPIC"]
        if sys.platform == "darwin":  # Python lends its names to what it loads; ARCHFLAGS says for which processors
            linking += ["-undefined", "dynamic_lookup", *shlex.split(os.environ.get("ARCHFLAGS", ""))]
        options = (*(f"-I{path}" for path in includes), *(f"-D{name}" for name in definitions))
        return self.run(*FLAGS, *options, *linking, *sources, "-o", output)

    def complaint(self, source: str = PROBE, includes: Iterable[str] = ()) -> str:
        """What the compiler says where it cannot make a shared object of a small source; "" where it can."""
        with tempfile.TemporaryDirectory(prefix="fourfold-probe-") as folder:
            file, output = Path(folder, "probe.c"), Path(folder, "probe.so")
            file.write_text(source, encoding="utf-8")
            said = self.shared([file], output, includes=includes)
            # A compiler that does not know an option may make nothing of it and call that a success.
            made = output.is_file() and output.stat().st_size > 0
            return said if said or made else "it made no file and said nothing"


def candidates() -> list[Compiler]:
    """The machine's own compilers that are worth a try: $CC and no other where it is set."""
    if chosen := shlex.split(os.environ.get("CC", "")):
        return [Compiler(tuple(chosen))]
    configured = shlex.split(sysconfig.get_config_var("CC") or "")  # what built this Python
    commands = [tuple(configured), ("cc",), ("gcc",), ("clang",)]
    return [Compiler(command) for command in dict.fromkeys(commands) if command]


def from_wheel() -> Compiler | None:
    """The compiler of the `ziglang` wheel, if that is installed beside this Python."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    # Left to itself it compiles for this very processor, and a wheel goes to others.
    return Compiler((str(Path(spec.origin).with_name("zig")), "cc", "-mcpu=baseline"))


def own() -> Compiler | None:
    """The first of the machine's own compilers that works."""
    return next((compiler for compiler in candidates() if not compiler.complaint()), None)


def find() -> Compiler:
    """The compiler to build with: the machine's own, else the wheel's.

    Raises:
        CompilerError: There is none; says what was tried, how each failed, and what to install.
    """
    tried = []
    wheel = from_wheel()
    for compiler in [*candidates(), *([wheel] if wheel and not os.environ.get("CC") else [])]:
        said = compiler.complaint()
        if not said:
            return compiler
        tried.append(f"  {compiler}: {said.splitlines()[0]}")
    shown = "\n".join(tried)
    raise CompilerError(f"Fourfold's evaluator is written in C, and no C compiler works here:\n{shown}\n{ADVICE}")


def needed() -> list[str]:
    """What has to be installed before `find` can succeed: nothing, or the wheel that is a compiler.

    Where $CC names a compiler that does not work, nothing: whoever named it is told so, rather than given another.
    """
    return [] if os.name == "nt" or os.environ.get("CC") or own() else [WHEEL]


def python_headers(compiler: Compiler) -> list[str]:
    """The folders of Python.h; none where it is missing, as in Debian's Python without python3-dev."""
    folders = [sysconfig.get_path(name) for name in ("include", "platinclude")]
    includes = list(dict.fromkeys(folder for folder in folders if folder))
    return [] if compiler.complaint(HEADERS, includes) else includes


def build_extension(sources: Sequence[Path], output: Path) -> Compiler:
    """Builds an extension module of the stable ABI from its C files; returns the compiler that did.

    Raises:
        CompilerError: No compiler works, or it refuses the files, or this Python has no stable ABI.
    """
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise CompilerError(
            "Fourfold's evaluator needs CPython, with its lock: no other Python has the stable ABI of 3.11."
        )
    compiler = find()
    includes = python_headers(compiler)
    definitions = [] if includes else ["FOURFOLD_WITHOUT_PYTHON_H"]  # then stable_abi.h declares what it is
    output.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and moved there at once: a process that has the old file loaded keeps it.
    made = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if said := compiler.shared(sources, made, includes=includes, definitions=definitions):
            raise CompilerError(f"{compiler} could not build {output.name}:\n{said}")
        made.replace(output)
    finally:
        made.unlink(missing_ok=True)
    return compiler


if __name__ == "__main__":
    works = own()
    none = "No C compiler of this machine works; the build takes the one in the wheel ziglang."
    print(works or none)
    sys.exit(works is None)
