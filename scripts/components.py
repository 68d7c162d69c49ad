"""Make sure that this machine has what a target's tests need besides Python: compilers, emulators, Node.

    scripts/components.py TARGET    installs with apt-get what is missing, where it may; otherwise says what to install

`make test` needs none of it. A component's tests bear a marker of the target's name (tests/conftest.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

FUZZ_TARGET = (
    "int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size) { return data && size ? 0 : 0; }"
)


@dataclass(frozen=True)
class Component:
    """Describe a program that tests run.

    Attributes:
        name: what the message about a missing component calls it.
        packages: the packages of Debian that contain it.
        is_there: whether this machine has it.
    """

    name: str
    packages: tuple[str, ...]
    is_there: Callable[[], bool]


def has_commands(*names: str) -> Callable[[], bool]:
    """Return a check that all these commands are on the PATH."""
    return lambda: all(shutil.which(name) for name in names)


def can_compile(compiler: str, source: str, *flags: str) -> Callable[[], bool]:
    """Return a check that a compiler builds a program from a source."""

    def check() -> bool:
        if not shutil.which(compiler):
            return False
        with tempfile.TemporaryDirectory() as folder:
            words = [compiler, *flags, "-x", "c", "-", "-o", str(Path(folder) / "out")]
            run = subprocess.run(words, input=source, text=True, check=False, capture_output=True)
        return run.returncode == 0

    return check


def has_python_headers() -> bool:
    """Return whether the headers of the Python that the environment is made from are installed."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


SANITIZERS = ("-fsanitize=address,undefined",)
#: The components of each target `test-NAME`. The evaluator is one C file that must give the same bits everywhere, so
#: `places` compiles it with more than one compiler, with sanitizers and a fuzzer, and runs it on other processors.
TARGETS: dict[str, tuple[Component, ...]] = {
    "places": (
        Component(
            "gcc, with sanitizers",
            ("gcc", "libc6-dev"),
            can_compile("gcc", "int main(void) { return 0; }", *SANITIZERS),
        ),
        Component(
            "clang, with sanitizers and libFuzzer",
            ("clang", "libclang-rt-dev"),
            can_compile("clang", FUZZ_TARGET, "-fsanitize=fuzzer,address,undefined"),
        ),
        Component(
            "emulators of other processors",
            ("qemu-user",),
            has_commands("qemu-aarch64", "qemu-arm", "qemu-riscv64", "qemu-i386"),
        ),
        Component("Node, for WebAssembly", ("nodejs",), has_commands("node")),
        Component("Python's headers", (f"python{sys.version_info[0]}.{sys.version_info[1]}-dev",), has_python_headers),
        Component("curl", ("curl",), has_commands("curl")),
        Component("nginx", ("nginx-light",), has_commands("nginx")),
        Component("systemd-analyze", ("systemd",), has_commands("systemd-analyze")),
    ),
}


def missing(components: Sequence[Component]) -> list[Component]:
    """Return the components that this machine lacks."""
    return [component for component in components if not component.is_there()]


def install(components: Sequence[Component]) -> None:
    """Install the packages that contain components, as far as this Debian knows them."""
    packages = []
    for package in dict.fromkeys(name for component in components for name in component.packages):
        shown = subprocess.run(["apt-cache", "show", package], check=False, capture_output=True)
        packages += [package] if shown.returncode == 0 else []
    if packages:
        print(f"Installing {', '.join(packages)}", flush=True)
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        words = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
        subprocess.run(words, check=False, env=env, stdout=subprocess.DEVNULL)


def main(words: list[str]) -> None:
    """Check for a target's components, install what is missing, and check again."""
    if len(words) != 1 or words[0] not in TARGETS:
        sys.exit(f"expected one of {', '.join(TARGETS)}; got {' '.join(words) or 'nothing'}")
    lacking = missing(TARGETS[words[0]])
    if lacking and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "--quiet"], check=False, stdout=subprocess.DEVNULL)
        install(lacking)
        lacking = missing(lacking)
    if lacking:
        lines = [f"  {item.name} (Debian, Ubuntu: apt install {' '.join(item.packages)})" for item in lacking]
        sys.exit(f"make test-{words[0]} needs what this machine lacks:\n" + "\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
