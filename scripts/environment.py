"""Make the project's environment, `.venv`, and the lists of exact versions in it.

    scripts/environment.py demo    install what `make demo` needs, and the project itself
    scripts/environment.py dev     install what `make check` needs, and the project itself
    scripts/environment.py lock    write requirements/*.txt again from pyproject.toml; options go to `uv pip compile`

It needs only Python: pip, which every virtual environment has, installs uv into `.venv`, and uv does the rest.
The project has a part in C: if no compiler of this machine works, one is installed into `.venv` as well.
Every download is checked against the hashes in requirements/, and comes from the index that pip is configured for.
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

#: A setting's name in pip, its variable in uv, and the separator of its list in uv.
SETTINGS = (
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("cert", "SSL_CERT_FILE", " "),
    ("proxy", "HTTPS_PROXY", " "),
)
#: The content of each list, as arguments of `uv pip compile`; later lists take the versions of earlier ones.
LISTS = {
    "build": ["--group", "build"],
    "dev": ["pyproject.toml", "--all-extras", "--group", "dev", "--overrides", "requirements/overrides.in"],
    "demo": ["pyproject.toml", "--extra", "demo", "--constraints", "requirements/dev.txt"],
    "compiler": ["--group", "compiler", "--constraints", "requirements/dev.txt"],
}


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command in the project's root; exit if it fails."""
    finished = subprocess.run([str(word) for word in command], cwd=ROOT, env=env, check=False)
    if finished.returncode:
        sys.exit(f"failed, with exit status {finished.returncode}: {' '.join(str(word) for word in command)}")


def make_venv() -> None:
    """Make `.venv` unless it exists and works, and install the pinned uv and build backend into it."""
    works = PYTHON.exists() and not subprocess.run([PYTHON, "-c", "import pip"], check=False).returncode
    if not works:
        print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
        venv.create(VENV, clear=True, with_pip=True, symlinks=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "install", "--require-hashes", "--requirement", REQUIREMENTS / "build.txt")


def pip_settings() -> dict[str, str]:
    """Return pip's settings on this machine, from its files and the environment; the environment wins."""
    command: list[str | Path] = [PYTHON, "-m", "pip", "config", "list"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    # A line is `section.name='value'`. pip prints `:env:` first, then `global`, then `install`.
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in printed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in sections:
            sections[section][name] = str(ast.literal_eval(value))
    merged: dict[str, str] = {}
    for settings in sections.values():
        merged |= settings
    return merged


def uv_environment() -> dict[str, str]:
    """Return the environment for uv: pip's settings under uv's names, unless uv has its own."""
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
    """Return the list that installs a C compiler, if none works here; none if $CC is set."""
    if os.environ.get("CC"):
        return []
    command: list[str | Path] = [PYTHON, "-m", "build_backend.compilers"]
    search = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    return ["compiler"] if search.returncode else []


def install(name: str) -> None:
    """Install a list of requirements and, editable, the project itself; nothing that is not listed is installed."""
    make_venv()
    env = uv_environment()
    # Without isolation, packages are built by the pinned build backend, not by the newest one.
    uv = (VENV / "bin" / "uv", "pip", "install", "--python", PYTHON, "--no-build-isolation")
    lists = [f"--requirement={REQUIREMENTS / list_name}.txt" for list_name in [name, *compiler_lists()]]
    run(*uv, "--require-hashes", *lists, env=env)
    # Always build the project again: uv does not notice changes of the C files.
    run(*uv, "--quiet", "--no-deps", "--reinstall-package", "fourfold", "--editable", ".", env=env)


def lock(options: list[str]) -> None:
    """Write every list again; a version changes only if it must, or with the option `--upgrade`."""
    make_venv()
    env = uv_environment() | {"UV_CUSTOM_COMPILE_COMMAND": "make lock"}
    compile_ = (VENV / "bin" / "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11")
    output_options = ("--generate-hashes", "--no-emit-index-url", "--fork-strategy", "fewest")
    for name, arguments in LISTS.items():
        target = REQUIREMENTS / f"{name}.txt"
        print(f"Writing {target}", flush=True)
        run(*compile_, *output_options, *arguments, "--output-file", target, *options, env=env)


def main(words: list[str]) -> None:
    """Run the command that the first word names."""
    match words:
        case ["demo" | "dev" as name]:
            install(name)
        case ["lock", *options]:
            lock(options)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
