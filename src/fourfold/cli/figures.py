"""Keep what was measured of a package's engines in a file beside it, and print it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

from fourfold.cli.output import printable
from fourfold.durable.files import temporary_path, write_file
from fourfold.durable.reading import read_file
from fourfold.errors import PackageError, SinkError
from fourfold.package.manifest import ACCEPTED_VERDICTS
from fourfold.package.words import figure_cells
from fourfold.packing.engines.benchmark import CLEARLY_FASTER, Figures

__all__ = ["EngineFigures", "cells", "figures_path", "parse_figures", "read_figures", "slower_lines", "write_figures"]

#: The longest file of figures that is read.
MAX_FIGURES_BYTES = 65_536
_KEYS = {field.name for field in fields(Figures)}
_SHAPES: tuple[tuple[Literal["one", "many"], str], ...] = (("one", "one row"), ("many", "many rows"))

#: What was measured of each engine, by the engine's name.
EngineFigures = Mapping[str, Figures]


def figures_path(package_path: Path) -> Path:
    """Return where the figures of a package in a file are kept: `eta.figures.json` beside `eta.fourfold`."""
    return package_path.with_name(f"{package_path.name.removesuffix('.fourfold')}.figures.json")


def write_figures(package_path: Path, digest: str, figures: Mapping[str, Mapping[str, float]]) -> Path:
    """Write what was measured of a package to a file beside it, and return the file's path.

    Raises:
        SinkError: the file cannot be written; the package is there all the same.
    """
    path = figures_path(package_path)
    data = json.dumps({"digest": digest, "figures": figures}, indent=1).encode() + b"\n"
    try:
        write_file(path, data, temporary_path(path), replace=True)
    except OSError as error:
        raise SinkError(f"{package_path} is written, but not its figures, {path}: {error.strerror or error}") from error
    return path


def read_figures(package_path: Path, digest: str) -> EngineFigures:
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
        owner, figures = content["digest"], parse_figures(content["figures"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PackageError(f"{path} holds no figures of a package: pack it again, or remove the file") from None
    return figures if owner == digest else {}


def parse_figures(content: Mapping[str, Any]) -> EngineFigures:
    """Return the figures of engines, by name; raise `ValueError` where JSON holds something else."""
    for measured in content.values():
        if set(measured) != _KEYS or not all(map(_is_figure, measured.values())):
            raise ValueError("no figures")
    return {name: Figures(**measured) for name, measured in content.items()}


def _is_figure(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e15


def cells(figures: Figures) -> tuple[str, ...]:
    """Return the cells of a table for an engine: one row, rows a second, start-up, memory and size."""
    return figure_cells(asdict(figures))


def slower_lines(entries: Any, figures: EngineFigures) -> list[str]:
    """Return a sentence for each shape of calls in which another engine with the same answers is clearly faster.

    Args:
        entries: the manifest's `engines`.
        figures: what was measured of them.
    """
    verdicts = ("original", *ACCEPTED_VERDICTS)
    accepted = [entry for entry in entries if entry["verdict"] in verdicts and entry["engine"] in figures]
    chosen = next((entry["engine"] for entry in accepted if entry["chosen"]), None)
    if chosen is None:
        return []
    lines = []
    for shape, words in _SHAPES:
        costs = {entry["engine"]: figures[entry["engine"]].cost(shape) for entry in accepted}
        best = min(costs, key=costs.__getitem__)
        ratio = costs[chosen] / costs[best]
        if ratio > CLEARLY_FASTER:
            lines.append(
                f"for {words} a call {printable(best)} is {ratio:,.1f} times as fast as {printable(chosen)}: "
                f"--for {shape} packs the faster one"
            )
    return lines
