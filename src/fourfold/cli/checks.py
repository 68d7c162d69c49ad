"""Check the installation: Python, the libraries and the extras, and variables that nothing reads."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from fourfold.checks import Check
from fourfold.cli.groups import closest
from fourfold.installation import install_command

__all__ = ["check_clock", "check_libraries", "check_python", "check_unknown_variables"]

_PROJECT = "fourfold"
#: A requirement of the metadata: its name, extras, bounds, and the condition after the semicolon.
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?\s*\(?([^;()]*)\)?\s*(?:;(.*))?", re.DOTALL)
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_BOUND = re.compile(r"(>=|==)\s*([0-9][0-9.]*)")
#: The end of the variable that only the build reads.
_OF_THE_BUILD = "_WITHOUT_PYTHON_H"
#: How far the clock may be behind the files of the installation: their times can be of another zone.
MAX_CLOCK_GAP_S = 86_400.0


class _Requirement(NamedTuple):
    """Hold a library that is required: by the core, or by an extra."""

    library: str
    bounds: tuple[tuple[str, str], ...]
    extra: str | None


def check_python() -> Iterator[Check]:
    """Yield whether this Python is one that Fourfold runs on."""
    version = platform.python_version()
    try:
        required = importlib.metadata.metadata(_PROJECT)["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        text = f"{version}; Fourfold is not installed here, so what it requires cannot be compared"
        yield Check("Python", "note", text, install_command())
        return
    unmet = _unmet(version, tuple(_BOUND.findall(required)))
    if unmet is None:
        yield Check("Python", "ok", version)
    else:
        yield Check("Python", "problem", f"{version}; Fourfold requires {unmet}: install a newer Python")


def check_libraries() -> Iterator[Check]:
    """Yield which libraries are too old, and which extras are not installed whole."""
    missing: dict[str, list[str]] = {}
    installed: set[str] = set()
    too_old: dict[str, Check] = {}
    for requirement in _requirements():
        version = _version(requirement.library)
        if version is None and requirement.extra is None:
            text = f"{requirement.library} is not installed, and every command needs it"
            yield Check("libraries", "problem", text, install_command())
        elif version is None:
            missing.setdefault(requirement.extra or "", []).append(requirement.library)
        else:
            installed.add(requirement.extra or "")
            unmet = _unmet(version, requirement.bounds)
            if unmet is not None:
                text = f"{requirement.library} {version} is here; Fourfold requires {unmet}"
                mend = f"pip install --upgrade {shlex.quote(requirement.library + unmet)}"
                too_old[requirement.library] = Check("libraries", "problem", text, mend)
    yield from too_old.values()
    whole = sorted(installed - missing.keys() - {""})
    yield Check("extras", "ok", f"installed: {', '.join(whole) or 'none'}")
    for extra, libraries in sorted(missing.items()):
        text = f"not installed: {', '.join(sorted(set(libraries)))}"
        yield Check(f"extra {extra}", "note", text, install_command(extra))


def check_unknown_variables(known: Collection[str]) -> Iterator[Check]:
    """Yield the variables that begin as ours do, and that nothing reads: they are misspelt.

    Args:
        known: the variables that something reads.
    """
    for name in sorted(os.environ):
        if not name.upper().startswith("FOURFOLD_") or name in known or name.endswith(_OF_THE_BUILD):
            continue
        match = closest(name, [word.lower() for word in sorted(known)])
        mend, guess = f"unset {name}", ""
        if match is not None:
            mend, guess = f'export {match.upper()}="${name}"; unset {name}', f"; did you mean {match.upper()}?"
        yield Check(name, "problem", f"nothing reads this variable{guess}", mend if name.isidentifier() else "")


def check_clock() -> Iterator[Check]:
    """Yield whether the clock is behind the files of the installation: buckets then refuse this host."""
    gap_s = Path(__file__).stat().st_mtime - time.time()
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    if gap_s > MAX_CLOCK_GAP_S:
        text = f"it is {now} by this clock, {gap_s / 86_400:,.0f} days before Fourfold was installed"
        yield Check("clock", "problem", text, "timedatectl set-ntp true")
    else:
        yield Check("clock", "ok", now)


def _requirements() -> Iterator[_Requirement]:
    """Yield what the metadata of the installation requires; extras made of others are left out."""
    try:
        lines = importlib.metadata.requires(_PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        match = _REQUIREMENT.fullmatch(line.strip())
        if match is None or match[1] == _PROJECT:
            continue
        extra = _EXTRA.search(match[4] or "")
        yield _Requirement(match[1], tuple(_BOUND.findall(match[3])), None if extra is None else extra[1])


def _version(library: str) -> str | None:
    # The wheels of XGBoost without GPUs have a name of their own, and the same modules.
    for name in (library, f"{library}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _unmet(version: str, bounds: tuple[tuple[str, str], ...]) -> str | None:
    """Return the first bound that a version does not meet, such as `>=3.11`; `None` where it meets all."""
    for operator, bound in bounds:
        here, wanted = _numbers(version), _numbers(bound)
        if here < wanted if operator == ">=" else here != wanted:
            return f"{operator}{bound}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = tuple(int(part) for part in match[0].split(".")) if match else ()
    return (*numbers, *(0 for _ in range(4 - len(numbers))))
