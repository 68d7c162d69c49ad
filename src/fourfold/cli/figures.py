"""Keep what was measured of a package's engines in a file beside it, and print it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourfold.cli.output import printable
from fourfold.durable.files import temporary_path, write_file
from fourfold.durable.reading import read_file
from fourfold.errors import PackageError

__all__ = ["cells", "figures_path", "read_figures", "slower_lines", "write_figures"]

#: The longest file of figures that is read.
MAX_FIGURES_BYTES = 65_536
_KEYS = {"one_row", "rows_per_second", "start_up", "memory", "size"}
#: An engine that is so many times faster is mentioned.
_CLEARLY_FASTER = 1.3

Figures = Mapping[str, Mapping[str, float]]


def figures_path(package_path: Path) -> Path:
    """Return where the figures of a package in a file are kept: `eta.figures.json` beside `eta.fourfold`."""
    return package_path.with_name(f"{package_path.name.removesuffix('.fourfold')}.figures.json")


def write_figures(package_path: Path, digest: str, figures: Figures) -> Path | None:
    """Write what was measured beside a package; remove what an older package left there.

    Returns:
        The file's path, or `None` where nothing was measured.
    """
    path = figures_path(package_path)
    if not figures:
        path.unlink(missing_ok=True)
        return None
    data = json.dumps({"digest": digest, "figures": figures}, indent=1).encode() + b"\n"
    write_file(path, data, temporary_path(path), replace=True)
    return path


def read_figures(package_path: Path, digest: str) -> Figures:
    """Return what was measured of a package; empty where nothing is kept beside it, or that of another package.

    Raises:
        PackageError: the file cannot be read, or holds something else.
    """
    path = figures_path(package_path)
    try:
        data = read_file(path, MAX_FIGURES_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PackageError(f"the figures {path} cannot be read: {error.strerror or error}") from error
    try:
        content = json.loads(data)
        owner, figures = content["digest"], content["figures"]
        is_sound = all(
            isinstance(measured, dict) and set(measured) == _KEYS and all(map(_is_figure, measured.values()))
            for measured in figures.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_sound = False
    if not is_sound:
        raise PackageError(f"{path} holds no figures of a package: pack it again, or remove the file")
    return figures if owner == digest else {}


def _is_figure(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e15


def cells(figures: Mapping[str, float] | None) -> tuple[str, ...]:
    """Return the cells of a table for an engine: one row, rows a second, start-up, memory and size."""
    if figures is None:
        return ("-",) * 5
    one_row = figures["one_row"]
    return (
        f"{one_row * 1e6:,.3g} µs" if one_row < 1e-3 else f"{one_row * 1e3:,.3g} ms",
        f"{figures['rows_per_second']:,.0f}",
        f"{figures['start_up'] * 1e3:,.0f} ms",
        f"{figures['memory'] / 2**20:,.0f} MB",
        f"{figures['size']:,}",
    )


def slower_lines(entries: Any, figures: Figures) -> list[str]:
    """Return a sentence for each shape of calls in which another engine with the same answers is clearly faster.

    Args:
        entries: the manifest's `engines`.
        figures: what was measured of them.
    """
    chosen = next((entry["engine"] for entry in entries if entry["chosen"]), None)
    others = [
        entry["engine"]
        for entry in entries
        if entry["verdict"] in ("original", "exact", "equal", "bound") and entry["engine"] in figures
    ]
    if chosen not in figures or chosen not in others:
        return []
    lines = []
    for shape, words in (("one", "one row"), ("many", "many rows")):
        costs = {name: _cost(figures[name], shape) for name in others}
        best = min(others, key=costs.__getitem__)
        ratio = costs[chosen] / costs[best]
        if ratio > _CLEARLY_FASTER:
            lines.append(
                f"for {words} a call {printable(best)} is {ratio:,.1f} times as fast as {printable(chosen)}: "
                f"--for {shape} packs the faster one"
            )
    return lines


def _cost(figures: Mapping[str, float], shape: str) -> float:
    return figures["one_row"] if shape == "one" else 1 / figures["rows_per_second"]
