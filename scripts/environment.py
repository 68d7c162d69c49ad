"""Makes the project's own environment, `.venv`, and the lists of exact versions that it is made from.

    scripts/environment.py demo    what `make demo` needs, and the project itself
    scripts/environment.py dev     what `make check` needs, and the project itself
    scripts/environment.py lock    writes requirements/*.txt anew from pyproject.toml; options go to `uv pip compile`

It needs nothing but Python: pip, which every virtual environment has, installs uv into `.venv`, and uv does the rest.
The project has a part in C: where no compiler of this machine works, one is installed into `.venv` as well.
Every download is held to the hashes in requirements/, and comes from where this machine's pip is configured to look.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = Path("requirements")

#: What pip calls a setting, and what uv calls it (whose lists are separated by the third).
SETTINGS = (
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("cert", "SSL_CERT_FILE", " "),
    ("proxy", "HTTPS_PROXY", " "),
)
#: What each list holds, as arguments of `uv pip compile`, in an order in which each can hold to the ones before.
LISTS = {
    "build": ["--group", "build"],
    "dev": ["pyproject.toml", "--all-extras", "--group", "dev", "--overrides", "requirements/overrides.in"],
    "demo": ["pyproject.toml", "--extra", "demo", "--constraints", "requirements/dev.txt"],
    "compiler": ["--group", "compiler", "--constraints", "requirements/dev.txt"],
}


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Runs a command in the project's root; the program ends with its exit status if it fails."""
    finished = subprocess.run([str(word) for word in command], cwd=ROOT, env=env, check=False)
    if finished.returncode:
        sys.exit(f"failed, with exit status {finished.returncode}: {' '.join(str(word) for word in command)}")


def make_venv() -> None:
    """Makes `.venv` where there is none that works, and installs the pinned uv and build backend into it."""
    works = PYTHON.exists() and not subprocess.run([PYTHON, "-c", "import pip"], check=False).returncode
    if not works:
        print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
        venv.create(VENV, clear=True, with_pip=True, symlinks=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "install", "--require-hashes", "--requirement", REQUIREMENTS / "build.txt")


def pip_settings() -> dict[str, str]:
    """This machine's settings of pip, from its files and the environment, which is the stronger."""
    command: list[str | Path] = [PYTHON, "-m", "pip", "config", "list"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    # A line is `section.name='value'`. pip prints `:env:` first, then `global`, then `install`.
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in printed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in sections:
            sections[section][name] = str(ast.literal_eval(value))
    for settings in sections.values():
        found |= settings
    return found


def uv_environment() -> dict[str, str]:
    """The environment that uv runs in: pip's settings in uv's words, except where uv has been given its own."""
    env = dict(os.environ)
    env.setdefault("UV_SYSTEM_CERTS", "1")  # the certificates that this machine trusts, not only those that uv ships
    settings = pip_settings()
    for name, variable, separator in SETTINGS:
        values = settings.get(name, "").split()
        if name == "find-links":  # uv, unlike pip, fails on a folder that does not exist
            values = [value for value in values if "://" in value or Path(value).is_dir()]
        if values:
            env.setdefault(variable, separator.join(values))
    return env


def compiler_lists() -> list[str]:
    """The list that brings a C compiler, where none of this machine's own works; $CC is its owner's affair."""
    if os.environ.get("CC"):
        return []
    found = subprocess.run([PYTHON, "-m", "build_backend.compilers"], cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    return ["compiler"] if found.returncode else []


def install(name: str) -> None:
    """Installs a list of requirements and, in place, the project itself, which brings nothing that is not listed."""
    make_venv()
    env = uv_environment()
    # Without isolation, what must be built is built by the pinned build backend rather than by the newest one.
    uv = (VENV / "bin" / "uv", "pip", "install", "--python", PYTHON, "--no-build-isolation")
    lists = [f"--requirement={REQUIREMENTS / each}.txt" for each in [name, *compiler_lists()]]
    run(*uv, "--require-hashes", *lists, env=env)
    # Built anew even where uv thinks that nothing changed: it does not look at the C files.
    run(*uv, "--quiet", "--no-deps", "--reinstall-package", "fourfold", "--editable", ".", env=env)


def lock(options: list[str]) -> None:
    """Writes every list anew; a version changes only where it must, or where `--upgrade` is among the options."""
    make_venv()
    env = uv_environment() | {"UV_CUSTOM_COMPILE_COMMAND": "make lock"}
    compile_ = (VENV / "bin" / "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11")
    written = ("--generate-hashes", "--no-emit-index-url", "--fork-strategy", "fewest")
    for name, wanted in LISTS.items():
        target = REQUIREMENTS / f"{name}.txt"
        print(f"Writing {target}", flush=True)
        run(*compile_, *written, *wanted, "--output-file", target, *options, env=env)


def main(words: list[str]) -> None:
    """Does what the first word says."""
    match words:
        case ["demo" | "dev" as name]:
            install(name)
        case ["lock", *options]:
            lock(options)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
