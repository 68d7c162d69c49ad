"""Define `fourfold show`: print what a package holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli import options
from fourfold.cli.figures import EngineFigures, cells, parse_figures, read_figures, slower_lines
from fourfold.cli.host_needs import host_needs
from fourfold.cli.output import clip, console, print_facts, print_json, print_table
from fourfold.errors import counted
from fourfold.package.words import (
    MAX_FINDINGS,
    engine_name,
    exactness_line,
    expected_line,
    field_cells,
    finding_line,
    number,
    origin_line,
    original_line,
    verdict_line,
)
from fourfold.runtimes import level_of

if TYPE_CHECKING:
    from fourfold.package import Package
    from fourfold.repository import Repository
    from fourfold.signature import Field

#: The most fields, and the most characters of a verdict, that are printed where `--all` is not said.
_MAX_FIELDS = 30
_MAX_VERDICT_CHARACTERS = 500
_MAX_NAMES = 4


@click.command("show")
@click.argument("package")
@click.option("--all", "is_whole", is_flag=True, help="Print every field, every file's digest, and whole reasons.")
@options.repository
@options.as_json
def command(package: str, repository: str | None, *, is_whole: bool, as_json: bool) -> None:
    """Print what a PACKAGE (a reference or a path) holds: signature, runtime, exactness, provenance, sizes.

    Nothing of the package runs, so a package that needs trust can be shown without it. Every file is verified.

    \b
    fourfold show eta@production
    fourfold show eta.fourfold --json
    """
    resolved, version, figures = _find(package, repository)
    if as_json:
        shown = {"digest": resolved.digest, "version": version, "trust": level_of(resolved.manifest)}
        measured = {name: engine.to_json() for name, engine in figures.items()}
        print_json({**shown, "figures": measured, "manifest": resolved.manifest})
    else:
        print_package(resolved, version, figures, is_whole=is_whole)


def show(
    source: str | os.PathLike[str] | Package,
    repository: str | os.PathLike[str] | Repository | None = None,
    *,
    whole: bool = False,
) -> None:
    """Print what a package holds, as `fourfold show` does: signature, engines, exactness, provenance, sizes.

    Nothing of it is loaded, so no trust is needed. Every file is verified.

    Args:
        source: a package, its path or a reference, as `fourfold.open` takes them.
        repository: where to look up a reference: a folder, or the URL of a bucket; by default `$FOURFOLD_REPOSITORY`.
        whole: whether every field, digest and reason is printed in full.

    Raises:
        FourfoldError: the package cannot be found or read, or is damaged; see `fourfold.open`.
    """
    print_package(*_find(source, repository), is_whole=whole)


def _find(
    source: str | os.PathLike[str] | Package, repository: str | os.PathLike[str] | Repository | None
) -> tuple[Package, int | None, EngineFigures]:
    """Return a package, verified, its version and what was measured of its engines."""
    from fourfold.loading import find

    located = find(source, repository=repository)
    located.package.verify()
    if located.is_path and located.location is not None:
        figures = read_figures(Path(located.location), located.package.digest)
    else:
        figures = parse_figures(located.package.figures)
    return located.package, located.version, figures


def print_package(
    package: Package, version: int | None = None, figures: EngineFigures | None = None, *, is_whole: bool = False
) -> None:
    """Print a package for people, with what was measured of its engines.

    Args:
        package: the package.
        version: its version in a repository.
        figures: what was measured of its engines.
        is_whole: whether every field, digest and reason is printed in full.
    """
    manifest = package.manifest
    print_title(package.name, version, package.digest)
    _print_fields("takes", package.signature.inputs, is_whole=is_whole)
    _print_fields("gives", package.signature.outputs, is_whole=is_whole)
    extra = "an error" if package.signature.extra == "forbid" else "dropped"
    print_facts(
        [
            *_decided(package.signature.inputs, manifest.get("decisions", {})),
            ("other keys", f"a key that is no field is {extra}"),
            *_facts(manifest),
            *([] if is_whole else [("files", _file_sizes(package))]),
        ]
    )
    print_engines(manifest["engines"], figures or {}, is_whole=is_whole)
    if is_whole:
        out = console()
        out.print()
        for name in package.names:
            entry = manifest["files"][name]
            out.print(f"{clip(name)}  {counted(entry['size'], 'byte')}", markup=False)
            out.print(f"  sha256:{entry['sha256']}", markup=False)


def print_title(name: str, version: int | None, digest: str) -> None:
    """Print which package it is: its name, its version where it has one, and its digest on a line of its own."""
    out = console()
    out.print(clip(name) + ("" if version is None else f":{version}"), style="bold", markup=False)
    out.print(digest, markup=False)


def _print_fields(heading: str, fields: Sequence[Field], *, is_whole: bool) -> None:
    shown = fields if is_whole else fields[:_MAX_FIELDS]
    rows = [field_cells(field) for field in shown]
    has_notes = any(notes for *_, notes in rows)
    columns = [heading, "dtype", "missing", *(["notes"] if has_notes else [])]
    print_table(columns, [row[: len(columns)] for row in rows])
    if len(shown) < len(fields):
        console().print(f" … and {len(fields) - len(shown):,} more (--all shows them)\n")


def _decided(fields: Sequence[Field], decisions: Any) -> list[tuple[str, str]]:
    """Return where the properties of the inputs come from; inputs with the same reasons share a line."""
    names_by_reason: dict[str, list[str]] = {}
    for field in fields:
        if reason := origin_line(decisions.get(field.name, {})):
            names_by_reason.setdefault(reason, []).append(field.name)
    lines = []
    for reason, names in names_by_reason.items():
        others = len(names) - _MAX_NAMES
        listed = ", ".join(clip(name, 100) for name in names[:_MAX_NAMES]) + (f" and {others:,} more" * (others > 0))
        lines.append(f"{listed}: {reason}")
    return [("decided" if index == 0 else "", line) for index, line in enumerate(lines)]


def _file_sizes(package: Package) -> str:
    entries = package.manifest["files"]
    sizes = ", ".join(f"{clip(name, 100)} {entries[name]['size']:,}" for name in package.names)
    return f"{sizes}: {counted(package.size, 'byte')} in all with the manifest"


def print_engines(entries: Any, figures: EngineFigures, *, is_whole: bool = False) -> None:
    """Print the verdict on every engine that could run the model, the chosen one first, and what was measured."""
    entries = sorted(entries, key=lambda entry: not entry["chosen"])
    if figures:
        columns = ["engine", "one row#", "rows/s#", "start-up#", "memory#", "bytes#"]
        measured = [entry for entry in entries if entry["engine"] in figures]
        print_table(columns, [(engine_name(entry), *cells(figures[entry["engine"]])) for entry in measured])
    else:
        console().print()
    limit = None if is_whole else _MAX_VERDICT_CHARACTERS
    verdicts = [(engine_name(entry), verdict_line(entry)) for entry in entries]
    print_facts([(name, verdict if limit is None else clip(verdict, limit)) for name, verdict in verdicts], indent=1)
    for line in slower_lines(entries, figures):
        console().print(f"\n{line}", markup=False)


def _facts(manifest: Any) -> list[tuple[str, str]]:
    runtime, exactness, golden = manifest["runtime"], manifest["exactness"], manifest["golden"]
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(runtime["libraries"].items()))
    needs = {
        "data": "trust data: a plan, which opens anywhere",
        "foreign": "trust foreign: other libraries read its files",
        "code": f"trust code: it carries {'a pickle' if runtime['requires'] == 'pickle' else 'Python code'}",
    }
    allowed = f"; on another host a relative gap of {golden['tolerance']:g}" if golden["tolerance"] else ""
    return [
        ("runtime", f"{runtime['name']} ({libraries})" if libraries else runtime["name"]),
        ("needs", needs[level_of(manifest)]),
        *host_needs(manifest),
        ("exactness", exactness_line(exactness)),
        ("tested", "; ".join(finding_line(finding) for finding in exactness["tested"][:MAX_FINDINGS])),
        *([("original", original_line(exactness["original"]))] if "original" in exactness else []),
        *([("expected", expected_line(exactness["expected"]))] if "expected" in exactness else []),
        ("golden rows", f"{number(golden['rows'], '')}, replayed at every start; same bits{allowed}"),
        ("provenance", ", ".join(f"{key} {value}" for key, value in sorted(manifest["provenance"].items()))),
    ]
