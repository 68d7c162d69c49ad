"""Write what a notebook shows of a package: its fields, its engines and how exact it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fourfold import notebook
from fourfold.package import words
from fourfold.signature import Field, Signature

__all__ = ["package_html"]

_FIELD_COLUMNS = ("dtype", "missing", "notes")
_FIGURE_COLUMNS = ("one row#", "rows/s#", "start-up#", "memory#", "bytes#")


def package_html(
    manifest: Mapping[str, Any],
    signature: Signature,
    digest: str,
    figures: Mapping[str, Mapping[str, float]],
    *,
    version: int | None = None,
    more: Sequence[tuple[str, object]] = (),
) -> str:
    """Return the HTML of a package.

    Args:
        manifest: its manifest.
        signature: its inputs and outputs.
        digest: its digest.
        figures: what was measured of each engine, by the engine's name.
        version: its version in a repository.
        more: more facts, as labels and texts.
    """
    name = manifest["name"] if version is None else f"{manifest['name']}:{version}"
    extra = "an error" if signature.extra == "forbid" else "dropped"
    return notebook.block(
        notebook.heading(name, digest),
        _fields("takes", signature.inputs),
        _fields("gives", signature.outputs),
        _engines(manifest["engines"], figures),
        notebook.facts([*_facts(manifest), ("other keys", f"a key that is no field is {extra}"), *more]),
    )


def _fields(heading: str, fields: Sequence[Field]) -> str:
    # Only those that are shown are put into words: a package may have very many.
    rows = [words.field_cells(field) for field in fields[: notebook.MAX_ROWS]]
    more = len(fields) - len(rows)
    return notebook.table((heading, *_FIELD_COLUMNS), rows) + (notebook.line(f"… and {more:,} more") if more else "")


def _engines(entries: Sequence[Any], figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of the tournament, the chosen engine first; empty where there was none."""
    rows = []
    for entry in sorted(entries, key=lambda entry: not entry["chosen"]):
        measured = figures.get(entry["engine"])
        cells = () if not figures else words.figure_cells(measured) if measured else ("",) * len(_FIGURE_COLUMNS)
        rows.append((words.engine_name(entry), *cells, words.verdict_line(entry)))
    if not rows:
        return ""
    return notebook.table(("engine", *(_FIGURE_COLUMNS if figures else ()), "against the original"), rows)


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, object]]:
    runtime, exactness, golden = manifest["runtime"], manifest["exactness"], manifest["golden"]
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(runtime["libraries"].items()))
    original = exactness.get("original")
    return [
        ("runtime", f"{runtime['name']} ({libraries})" if libraries else runtime["name"]),
        ("exactness", words.exactness_line(exactness)),
        ("original", words.original_line(original) if original else ""),
        ("golden rows", f"{words.number(golden['rows'], '')}, replayed at every start"),
        ("provenance", ", ".join(f"{key} {value}" for key, value in sorted(manifest["provenance"].items()))),
    ]
