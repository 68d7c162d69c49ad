"""Find the C compiler that builds the evaluator: the machine's own, or the one in the `ziglang` wheel.

python -m build_backend.compilers    prints the machine's own compiler; fails if none works

A compiler works if it has just compiled and linked a small shared object with our flags; its name proves nothing. Only
Python's own modules are imported, because this runs before anything is installed.
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

#: On 32-bit x86 processors, compilers compute doubles in 80 bits unless told otherwise.
X86_32 = ("-msse2", "-mfpmath=sse")
#: The bits of answers depend on these flags. CFLAGS is ignored, because any flag there could change the bits.
FLAGS = (
    *("-std=c99", "-O3", "-ffp-contract=off", "-fno-fast-math", "-fvisibility=hidden"),
    *(X86_32 if platform.machine() in {"i386", "i686", "x86_64", "AMD64"} and sys.maxsize < 2**32 else ()),
)
#: The requirement by which the build backend asks for the compiler in a wheel.
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
    """Report that no compiler works, or that it refuses our files; the message has its output and says what to do."""


@dataclass(frozen=True)
class Compiler:
    """Represent a C compiler by its command, to which sources and options are added."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the command in the syntax of a shell."""
        return shlex.join(self.command)

    def run(self, *words: str | Path) -> str:
        """Run the compiler; return its output if it failed, "" if it did not."""
        command = [*self.command, *(str(word) for word in words)]
        with tempfile.TemporaryDirectory(prefix="fourfold-cache-") as cache:
            # Zig caches the parts of its C library that it compiles: where the caller says, else in a temporary folder.
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
        """Compile and link a shared object for Python; return the compiler's output if it failed."""
        linking = ["-shared", "-fPIC"]
        if sys.platform == "darwin":  # Python provides its symbols at load time; ARCHFLAGS names the processors
            linking += ["-undefined", "dynamic_lookup", *shlex.split(os.environ.get("ARCHFLAGS", ""))]
        options = (*(f"-I{path}" for path in includes), *(f"-D{name}" for name in definitions))
        return self.run(*FLAGS, *options, *linking, *sources, "-o", output)

    def build_error(self, source: str = PROBE, includes: Iterable[str] = ()) -> str:
        """Return the compiler's error if it cannot build a shared object from a small source; "" if it can."""
        with tempfile.TemporaryDirectory(prefix="fourfold-probe-") as folder:
            file, output = Path(folder, "probe.c"), Path(folder, "probe.so")
            file.write_text(source, encoding="utf-8")
            error = self.shared([file], output, includes=includes)
            # A compiler that does not know an option may write nothing and still report success.
            is_built = output.is_file() and output.stat().st_size > 0
            return error if error or is_built else "it made no file and said nothing"


def candidates() -> list[Compiler]:
    """Return the machine's own compilers to try; only $CC, if that is set."""
    if chosen := shlex.split(os.environ.get("CC", "")):
        return [Compiler(tuple(chosen))]
    configured = shlex.split(sysconfig.get_config_var("CC") or "")  # the compiler that built this Python
    commands = [tuple(configured), ("cc",), ("gcc",), ("clang",)]
    return [Compiler(command) for command in dict.fromkeys(commands) if command]


def from_wheel() -> Compiler | None:
    """Return the compiler of the `ziglang` wheel, if that is installed for this Python."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    # Without -mcpu it compiles for this very processor, but wheels also run on others.
    return Compiler((str(Path(spec.origin).with_name("zig")), "cc", "-mcpu=baseline"))


def own() -> Compiler | None:
    """Return the first of the machine's own compilers that works."""
    return next((compiler for compiler in candidates() if not compiler.build_error()), None)


def find() -> Compiler:
    """Return the compiler to build with: the machine's own, else the wheel's.

    Raises:
        CompilerError: There is none; the message lists what was tried, each error, and what to install.
    """
    tried = []
    wheel = from_wheel()
    for compiler in [*candidates(), *([wheel] if wheel and not os.environ.get("CC") else [])]:
        error = compiler.build_error()
        if not error:
            return compiler
        tried.append(f"  {compiler}: {error.splitlines()[0]}")
    errors = "\n".join(tried)
    raise CompilerError(f"Fourfold's evaluator is written in C, and no C compiler works here:\n{errors}\n{ADVICE}")


def needed() -> list[str]:
    """Return the requirements that `find` needs: none, or the wheel that is a compiler.

    None if $CC names a compiler that does not work: then the build fails, rather than use another compiler.
    """
    return [] if os.name == "nt" or os.environ.get("CC") or own() else [WHEEL]


def python_headers(compiler: Compiler) -> list[str]:
    """Return the folders of Python.h; none if it is missing, as in Debian's Python without python3-dev."""
    folders = [sysconfig.get_path(name) for name in ("include", "platinclude")]
    includes = list(dict.fromkeys(folder for folder in folders if folder))
    return [] if compiler.build_error(HEADERS, includes) else includes


def build_extension(sources: Sequence[Path], output: Path) -> Compiler:
    """Build an extension module of the stable ABI from its C files; return the compiler.

    Raises:
        CompilerError: No compiler works, or it refuses the files, or this Python has no stable ABI.
    """
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise CompilerError(
            "Fourfold's evaluator needs CPython, with its lock: no other Python has the stable ABI of 3.11."
        )
    compiler = find()
    includes = python_headers(compiler)
    definitions = [] if includes else ["FOURFOLD_WITHOUT_PYTHON_H"]  # then stable_abi.h declares it
    output.parent.mkdir(parents=True, exist_ok=True)
    # Built under another name and then moved, so that a process that has loaded the old file keeps it.
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if error := compiler.shared(sources, temporary, includes=includes, definitions=definitions):
            raise CompilerError(f"{compiler} could not build {output.name}:\n{error}")
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return compiler


if __name__ == "__main__":
    compiler = own()
    print(compiler or "No C compiler of this machine works; the build takes the one in the wheel ziglang.")
    sys.exit(compiler is None)
