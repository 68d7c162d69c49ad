"""Builds examples/c for a place, and asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from build_backend.compilers import X86_32, from_wheel
from tests.project.tree import ROOT

__all__ = ["ASKED", "PLACES", "STRICT", "Place", "compiled", "results_of"]

EVALUATOR = ROOT / "src" / "fourfold" / "plan" / "evaluator"
EXAMPLE = ROOT / "examples" / "c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
#: What Zig compiles of its C library is kept beside the environment: half a minute for each processor, once.
ZIG_CACHE = Path(sys.prefix) / "zig-cache"


@dataclass(frozen=True)
class Place:
    """Where a plan is computed.

    Attributes:
        name: of the place.
        compiler: the words of a compiler.
        flags: what it gets besides the strict ones.
        runner: what runs the program.
        source: the program, in examples/c.
    """

    name: str
    compiler: tuple[str, ...]
    flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    source: str = "predict.c"
    environment: dict[str, str] = field(default_factory=dict)


def _zig(target: str, *flags: str, qemu: str) -> Place:
    options = ("-target", target, "-O3", "-static", *flags)
    return Place(f"{target.partition('-')[0]}, under {qemu}", ("zig",), options, (qemu,))


PLACES = [
    *(
        Place(f"gcc {flags}", ("gcc",), tuple(flags.split()))
        for flags in ("-O0", "-O1", "-O2", "-O3", "-O3 -march=native", "-Os")
    ),
    *(
        Place(f"clang {flags}", ("clang",), tuple(flags.split()))
        for flags in ("-O0", "-O2", "-O3", "-O3 -march=native")
    ),
    Place("gcc, sanitizers", ("gcc",), SANITIZERS),
    Place("clang, sanitizers", ("clang",), SANITIZERS),
    _zig("aarch64-linux-musl", qemu="qemu-aarch64"),
    _zig("arm-linux-musleabihf", qemu="qemu-arm"),
    _zig("riscv64-linux-musl", qemu="qemu-riscv64"),
    _zig("x86-linux-musl", *X86_32, qemu="qemu-i386"),
    Place(
        "WebAssembly, in Node",
        ("zig",),
        ("-target", "wasm32-freestanding", "-Os", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all"),
        ("node", str(EXAMPLE / "browser.mjs")),
        "browser.c",
    ),
]
#: What else each plan is asked with: bytes that tables of forests may take.
ASKED = ("67108864", "0")


def compiled(place: Place, folder: Path) -> Path:
    """The program of a place, built into a folder."""
    compiler, env = place.compiler, dict(os.environ)
    if compiler == ("zig",):
        wheel = from_wheel()
        assert wheel is not None, "the ziglang wheel is not installed: make test"
        compiler = wheel.command[:2]
        env |= {"ZIG_GLOBAL_CACHE_DIR": str(ZIG_CACHE), "ZIG_LOCAL_CACHE_DIR": str(ZIG_CACHE)}
    program = folder / "program"
    sources = (EXAMPLE / place.source, EVALUATOR / "evaluator.c")
    run = subprocess.run(
        [*compiler, *STRICT, *place.flags, f"-I{EVALUATOR}", *sources, "-o", program],
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return program


def results_of(place: Place, program: Path, plan: Path, rows: Path, budget: str = ASKED[0]) -> bytes:
    """What a place answers to a file of rows."""
    results = program.with_name("results")
    command: list[str | Path] = [*place.runner, program, plan, rows, results, budget]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, f"{place.name}, {plan.name}: {run.stderr}"
    return results.read_bytes()
