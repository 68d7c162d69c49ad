"""Makes sure that this machine has what the tests run besides Python: compilers, emulators of other processors, Node.

    scripts/components.py    installs with apt-get what is missing, where it may; otherwise says what to install

The evaluator is one C file that must give the same bits everywhere, so the tests compile it with more than one
compiler, with sanitizers and a fuzzer, and run it on other processors and as WebAssembly. None of that is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FUZZED = "int LLVMFuzzerTestOneInput(const unsigned char *at, unsigned long size) { return at && size ? 0 : 0; }"


@dataclass(frozen=True)
class Component:
    """Something that the tests run.

    Attributes:
        what: it is, and what for.
        packages: Debian's packages that bring it.
        there: whether it is.
    """

    what: str
    packages: tuple[str, ...]
    there: Callable[[], bool]


def command(*names: str) -> Callable[[], bool]:
    """Whether all these commands are there."""
    return lambda: all(shutil.which(name) for name in names)


def compiles(compiler: str, source: str, *flags: str) -> Callable[[], bool]:
    """Whether a compiler makes a program of a source."""

    def there() -> bool:
        if not shutil.which(compiler):
            return False
        with tempfile.TemporaryDirectory() as folder:
            words = [compiler, *flags, "-x", "c", "-", "-o", str(Path(folder) / "out")]
            run = subprocess.run(words, input=source, text=True, check=False, capture_output=True)
        return run.returncode == 0

    return there


def python_headers() -> bool:
    """Whether the headers of the Python that the environment is made from are there."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


SANITIZERS = ("-fsanitize=address,undefined",)
COMPONENTS = (
    Component(
        "gcc, with sanitizers", ("gcc", "libc6-dev"), compiles("gcc", "int main(void) { return 0; }", *SANITIZERS)
    ),
    Component(
        "clang, with sanitizers and libFuzzer",
        ("clang", "libclang-rt-dev"),
        compiles("clang", FUZZED, "-fsanitize=fuzzer,address,undefined"),
    ),
    Component(
        "emulators of other processors",
        ("qemu-user",),
        command("qemu-aarch64", "qemu-arm", "qemu-riscv64", "qemu-i386"),
    ),
    Component("Node, for WebAssembly", ("nodejs",), command("node")),
    Component("Python's headers", (f"python{sys.version_info[0]}.{sys.version_info[1]}-dev",), python_headers),
)


def missing() -> list[Component]:
    """The components that are not there."""
    return [each for each in COMPONENTS if not each.there()]


def install(wanted: list[Component]) -> None:
    """Installs Debian's packages for components; what it does not bring is found by the next look."""
    known = []
    for package in dict.fromkeys(name for each in wanted for name in each.packages):
        shown = subprocess.run(["apt-cache", "show", package], check=False, capture_output=True)
        known += [package] if shown.returncode == 0 else []
    if known:
        print(f"Installing {', '.join(known)}", flush=True)
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        words = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *known]
        subprocess.run(words, check=False, env=env, stdout=subprocess.DEVNULL)


def main() -> None:
    """Looks, installs, looks again."""
    wanted = missing()
    if wanted and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "--quiet"], check=False, stdout=subprocess.DEVNULL)
        install(wanted)
        wanted = missing()
    if wanted:
        lines = [f"  {each.what} (Debian, Ubuntu: apt install {' '.join(each.packages)})" for each in wanted]
        sys.exit(
            "The tests compare the evaluator's bits across places, for which this machine lacks\n" + "\n".join(lines)
        )


if __name__ == "__main__":
    main()
