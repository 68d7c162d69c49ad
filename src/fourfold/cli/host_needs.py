"""Say in a line or two what a package's code needs of its host, and what it brings."""

from __future__ import annotations

from typing import Any

__all__ = ["host_needs"]

#: The most modules or distributions that a line names.
_MAX_NAMES = 12


def host_needs(manifest: Any) -> list[tuple[str, str]]:
    """Return facts about the code in a package, as labels and texts; none for a package without code.

    Args:
        manifest: the package's manifest, checked.
    """
    runtime = manifest["runtime"]
    facts = []
    modules = sorted(
        name.removeprefix("code/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in manifest["files"]
        if name.startswith("code/") and name.endswith(".py")
    )
    if modules:
        facts.append(("carries", f"the code of {_first_of(modules)}; the host's own modules are never used"))
    distributions = runtime.get("distributions", {})
    if distributions:
        named = [
            f"{name} {record['version']} ({_count(record['files'], 'file')}"
            f"{', and compiled ones for ' + record['platform'] if 'platform' in record else ''})"
            for name, record in sorted(distributions.items())
        ]
        facts.append(("of its host", f"{_first_of(named)}; checked when it is loaded"))
    elif modules or any(name.endswith(".pickle") for name in manifest["files"]):
        facts.append(("of its host", "no installed distribution but the libraries of the runtime"))
    return facts


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _first_of(names: list[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")
