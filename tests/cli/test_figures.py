"""Figures stand beside a package, belong to it, and are printed where they can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fourfold.cli.figures import figures_path, parse_figures, read_figures, slower_lines, write_figures
from fourfold.errors import PackageError, SinkError
from fourfold.packing.engines.benchmark import Figures

FAST: dict[str, Any] = {"one_row": 1e-6, "rows_per_second": 1e6, "start_up": 0.1, "memory": 2**20, "size": 1000}
BULK = {**FAST, "one_row": 1e-3, "rows_per_second": 2.5e6}
DIGEST = f"sha256:{'0' * 64}"


def test_figures_are_kept_for_their_package_only(tmp_path: Path) -> None:
    """They come back for the same digest, and are none for another."""
    package = tmp_path / "eta.fourfold"
    assert read_figures(package, DIGEST) == {}
    assert write_figures(package, DIGEST, {"plan": FAST}) == tmp_path / "eta.figures.json"
    assert read_figures(package, DIGEST) == {"plan": Figures(**FAST)}
    assert read_figures(package, DIGEST.replace("0", "1")) == {}


def test_figures_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    """The package is there, and the error names both."""
    package = tmp_path / "eta.fourfold"
    figures_path(package).mkdir()
    with pytest.raises(SinkError, match=r"eta\.fourfold is written, but not its figures, .*eta\.figures\.json"):
        write_figures(package, DIGEST, {"plan": FAST})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"digest": 1, "figures": 2}',
        b'{"digest": "x", "figures": {"plan": {}}}',
        *(
            b'{"digest": "x", "figures": {"plan": {"one_row": %s, "rows_per_second": 1, "start_up": 1, "memory": 1, '
            b'"size": 1}}}' % odd
            for odd in (b'"1"', b"1e999", b"true", b"-1", b"0", b"null", b"[]")
        ),
        b"[" * 60_000,
        b"\xff\xfe",
        b"1" * 70_000,
    ],
)
def test_what_holds_no_figures_is_said(tmp_path: Path, content: bytes) -> None:
    """A file that is damaged, too long or none is an error that names it."""
    package = tmp_path / "eta.fourfold"
    figures_path(package).write_bytes(content)
    with pytest.raises(PackageError, match=r"eta\.figures\.json"):
        read_figures(package, "x")


def _entry(engine: str, verdict: str, *, chosen: bool = False) -> dict[str, Any]:
    return {"engine": engine, "verdict": verdict, "chosen": chosen}


def test_a_slower_engine_is_said() -> None:
    """Where another engine with the same answers is clearly faster for a shape of calls, a line says how to get it."""
    entries = [_entry("plan", "bound", chosen=True), _entry("onnx", "rejected"), _entry("catboost", "original")]
    figures = parse_figures({"plan": FAST, "catboost": BULK, "onnx": {**BULK, "rows_per_second": 1e9}})
    assert slower_lines(entries, figures) == [
        "for many rows a call catboost is 2.5 times as fast as plan: --for many packs the faster one"
    ]
    alone = parse_figures({"plan": FAST})
    assert slower_lines(entries, alone) == []
    assert slower_lines([_entry("plan", "odd", chosen=True)], alone) == []
