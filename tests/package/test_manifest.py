"""The manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fourfold.errors import CorruptPackage
from fourfold.package import Manifest, Package, canonical_json, check_name
from fourfold.package.manifest import MAX_VALUES
from tests.package.sample import FILES, manifest


def _raw(**changes: Any) -> bytes:
    return canonical_json({**json.loads(Package.build(manifest(), FILES).manifest_bytes), **changes})


def test_the_digest_is_the_hash_of_the_canonical_manifest() -> None:
    """One content, one name; another content, another name."""
    first = Package.build(manifest(), FILES)
    assert first.digest == Package.build(dict(reversed(manifest().items())), FILES).digest
    assert first.digest != Package.build(manifest(), {**FILES, "model.bin": b"other"}).digest
    assert first.digest.startswith("sha256:")
    assert len(first.digest) == 71


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not that of a Fourfold package"),
        (b'{"fourfold":2}', "format 2"),
        (b'{"fourfold":true}', "format True"),
        (_raw(fourfold=1.0), "format 1.0"),
        (b'{"fourfold":1,"fourfold":1}', "twice"),
        (b"[" * 100_000, "not JSON"),
        (_raw() + b" ", "canonical form"),
        (_raw(colour="red"), "expected the keys"),
        (_raw(name="../eta"), "name"),
        (_raw(name="Eta"), "name"),
        (_raw(exactness={"exact": True, "block": 0, "rows": 1, "tested": [], "accepted": "exact"}), "block"),
        (_raw(runtime={"name": "python", "settings": {}, "requires": "nothing", "libraries": {}}), "requires"),
        (_raw(golden={"file": "golden.json", "rows": 1, "tolerance": 2}), "tolerance"),
        (_raw(runtime={"name": [], "settings": {}, "requires": "", "libraries": {}}), "runtime.name"),
        (_raw(runtime={"name": "python", "settings": [], "requires": "", "libraries": {}}), "runtime.settings"),
        (_raw(runtime={"name": "python", "settings": {}, "requires": "", "libraries": []}), "runtime.libraries"),
        (_raw(runtime={"name": "python", "settings": {}, "requires": "", "libraries": {"numpy": 2}}), "libraries"),
        (_raw(exactness={"exact": 1, "block": None, "rows": 1, "tested": [], "accepted": ""}), "exactness.exact"),
        (_raw(exactness={"exact": True, "block": None, "rows": 1, "tested": 7, "accepted": ""}), "exactness.tested"),
        (_raw(golden={"file": [], "rows": 1, "tolerance": 0}), "golden.file"),
        (_raw(golden={"file": "golden.json", "rows": "1", "tolerance": 0}), "golden.rows"),
        (_raw(provenance=[1]), "provenance"),
        (_raw(decisions=[]), "decisions"),
        (_raw(decisions={"x": {"dtype": 1}}), "decisions on 'x'"),
        (_raw(decisions={"x": {"colour": "red"}}), "decisions: expected categories, dtype, nullable"),
        (_raw(provenance={"maker": {}}), "provenance"),
        (_raw(golden={"file": "other.json", "rows": 1, "tolerance": 0}), "golden file"),
        (_raw(signature={"inputs": [], "outputs": [], "extra": "forbid"}), "signature"),
        (_raw(files=[]), "files"),
        (_raw(provenance={"": "[" * 2_000_001}), "lists and objects; expected at most 2,000,000"),
        (_raw(golden={"file": "golden.json", "rows": 1, "tolerance": 10**400}), "tolerance"),
    ],
)
def test_a_manifest_is_read_strictly(raw: bytes, message: str) -> None:
    """What is not exactly a manifest of format 1 is refused, with the reason."""
    with pytest.raises(CorruptPackage, match=message):
        Manifest(raw)


_RECORD = {"version": "1.2", "modules": ["acme.table"], "files": 2, "sha256": "0" * 64}
_COMPILED = {"compiled": "1" * 64, "platform": "linux-x86_64 cpython-311"}


def _needing(distributions: Any, requires: str = "code") -> bytes:
    runtime = {"name": "python", "settings": {}, "requires": requires, "libraries": {}, "distributions": distributions}
    return _raw(runtime=runtime)


def test_distributions_that_code_needs() -> None:
    """A package with code may name the distributions that it needs of its host, each with its version and hash."""
    for record in (_RECORD, {**_RECORD, **_COMPILED}):
        assert Manifest(_needing({"acme-tools": record})).data["runtime"]["distributions"] == {"acme-tools": record}


@pytest.mark.parametrize(
    "distributions",
    [
        *({}, [], None, {"acme": {}}, {"acme": None}, {"Acme": _RECORD}, {"../acme": _RECORD}, {"": _RECORD}),
        *({"acme": {**_RECORD, "version": version}} for version in ("", 1, "1" * 256, "1\n2", "\x1b[31m")),
        *({"acme": {**_RECORD, "modules": modules}} for modules in ([], "acme", ["a b"], [7], ["a."], ["a"] * 10_001)),
        *({"acme": {**_RECORD, "files": files}} for files in (True, -1, 1.0, 2**40, "2")),
        *({"acme": {**_RECORD, "sha256": sha256}} for sha256 in ("", "0" * 63, "G" * 64, None)),
        {"acme": {**_RECORD, "compiled": "1" * 64}},
        {"acme": {**_RECORD, **_COMPILED, "platform": ["x"]}},
        {f"acme{number}": _RECORD for number in range(1001)},
    ],
)
def test_distributions_are_read_strictly(distributions: Any) -> None:
    """What is no record of a distribution, and too many of them, make a manifest corrupt."""
    with pytest.raises(CorruptPackage, match=r"runtime\.distributions"):
        Manifest(_needing(distributions))


def test_data_needs_no_distributions() -> None:
    """A package that requires nothing needs no code of its host either."""
    with pytest.raises(CorruptPackage, match=r"runtime\.distributions"):
        Manifest(_needing({"acme": _RECORD}, ""))


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (7, "expected the keys largest_gap, rows, rtol"),
        ({"rows": 3, "rtol": 1e-5}, "expected the keys largest_gap, rows, rtol"),
        ({"rows": True, "rtol": 1e-5, "largest_gap": 0}, "expected a number of rows"),
        ({"rows": -1, "rtol": 1e-5, "largest_gap": 0}, "expected a number of rows"),
        ({"rows": 3, "rtol": "1e-5", "largest_gap": 0}, "expected a rtol from 0 to 1"),
        ({"rows": 3, "rtol": 1e-5, "largest_gap": 1}, "expected a largest_gap from 0 to 1"),
    ],
)
def test_what_was_expected_is_read_strictly(expected: object, message: str) -> None:
    """What a manifest says of expected outputs is there whole, or not at all."""
    exactness: dict[str, Any] = {"exact": True, "block": None, "rows": 1, "tested": [], "accepted": "tight"}
    valid = {"rows": 3, "rtol": 1e-5, "largest_gap": 2e-7}
    assert Manifest(_raw(exactness={**exactness, "expected": valid})).data["exactness"]["expected"] == valid
    with pytest.raises(CorruptPackage, match=message):
        Manifest(_raw(exactness={**exactness, "expected": expected}))


COMPARISON = {"rows": 3, "differing": 1, "ulp": 2.5, "gap": "Infinity"}


@pytest.mark.parametrize("comparison", [COMPARISON, {"rows": 3, "differing": 0}, {**COMPARISON, "ulp": 10**400}])
def test_what_a_comparison_found(comparison: dict[str, Any]) -> None:
    """Counts and distances stand beside an engine, and beside the package as a whole; old figures are passed over."""
    exactness = {**manifest()["exactness"], "original": comparison}
    entry = {"engine": "plan", "verdict": "bound", "chosen": True, "figures": {"one_row": 10**400}}
    engines = [{**entry, "scaled": [{**comparison, "factor": 10}]}]
    data = Manifest(_raw(exactness=exactness, engines=engines)).data
    assert (data["exactness"]["original"], data["engines"]) == (comparison, engines)


@pytest.mark.parametrize(
    "comparison",
    [
        7,
        {},
        {"rows": 3},
        {"rows": 3, "differing": 0, "ulp": 1.0},
        {**COMPARISON, "more": 1},
        {**COMPARISON, "rows": -1},
        {**COMPARISON, "rows": 1.5},
        {**COMPARISON, "differing": True},
        {**COMPARISON, "ulp": "many"},
        {**COMPARISON, "gap": -1.0},
    ],
)
def test_a_comparison_is_read_strictly(comparison: Any) -> None:
    """A comparison that is no counts and distances is refused, wherever it stands."""
    with pytest.raises(CorruptPackage, match=r"exactness\.original: expected the numbers differing, rows, and ulp"):
        Manifest(_raw(exactness={**manifest()["exactness"], "original": comparison}))
    scaled = [{**comparison, "factor": 10} if isinstance(comparison, dict) else comparison]
    entry = {"engine": "plan", "verdict": "bound", "chosen": True, "scaled": scaled}
    with pytest.raises(CorruptPackage, match="scaled: expected the numbers differing, factor, rows"):
        Manifest(_raw(engines=[entry]))


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../b", "a//b", "a\\b", "C:x", ".hidden", "a\x00b", "a b", "manifest.json", "x" * 300, "a/", "é"],
)
def test_a_file_name_cannot_leave_the_package(name: str) -> None:
    """A name that could be a path out of the folder, on any system, is refused before anything is read."""
    entry = {"size": 1, "sha256": "0" * 64}
    files = {**json.loads(_raw())["files"], name: entry}
    with pytest.raises(CorruptPackage, match="not allowed"):
        Manifest(_raw(files=files))


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"size": -1, "sha256": "0" * 64},
        {"size": 1, "sha256": "x"},
        {"size": True, "sha256": "0" * 64},
        {"size": 2**64, "sha256": "0" * 64},
        5,
    ],
)
def test_a_file_entry_is_read_strictly(entry: object) -> None:
    """A size and a SHA-256, and nothing else."""
    files = {**json.loads(_raw())["files"], "model.bin": entry}
    with pytest.raises(CorruptPackage, match=r"model\.bin"):
        Manifest(_raw(files=files))


def test_two_names_that_differ_only_in_case_are_refused() -> None:
    """On some systems they would be one file."""
    with pytest.raises(CorruptPackage, match="case"):
        Package.build(manifest(), {**FILES, "Model.bin": b"x"})


@pytest.mark.parametrize("name", ["eta", "eta-2", "a", "my.model_3", "0"])
def test_names_that_models_have(name: str) -> None:
    """Lower-case words with digits, dots, dashes and underscores."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "Eta", "eta@x", "eta:1", "-eta", "eta.", "a/b", "é", "x" * 129])
def test_names_that_models_cannot_have(name: str) -> None:
    """A name is part of references, paths and URLs."""
    with pytest.raises(ValueError, match="expected a name"):
        check_name(name)


@pytest.mark.parametrize("part", [b"0,", b'"a",'])
def test_many_small_values_are_refused_before_they_are_parsed(part: bytes) -> None:
    """Two bytes of JSON take thirty times as much in memory."""
    raw = b'{"engines":[' + part * (MAX_VALUES + 1) + b'0],"fourfold":1}'
    with pytest.raises(CorruptPackage, match=r"has 4,000,\d{3} values; expected at most 4,000,000"):
        Manifest(raw)
