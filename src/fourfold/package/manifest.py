"""The manifest: what a package says of itself, in canonical JSON (docs/spec/package.md, format 1)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from fourfold.codecs.unique_keys import unique_keys
from fourfold.errors import CorruptPackage, SignatureError, shorten
from fourfold.signature import Signature

__all__ = ["FORMAT", "MANIFEST", "Manifest", "canonical", "check_name", "digest_of", "file_entry"]

FORMAT = 1
MANIFEST = "manifest.json"

# Caps against a package made to exhaust its reader; far above what any model needs.
MAX_MANIFEST_BYTES = 64 * 2**20
MAX_FILES = 10_000

_KEYS = {"fourfold", "name", "signature", "runtime", "exactness", "engines", "golden", "provenance", "files"}
_RUNTIME_KEYS = {"name", "settings", "requires", "libraries"}
_EXACTNESS_KEYS = {"exact", "block", "rows", "tested", "accepted"}
_EXPECTED_KEYS = {"rows", "rtol", "largest_gap"}  # of exactness.expected, which is there where answers were expected
_GOLDEN_KEYS = {"file", "rows", "tolerance"}
# What has one type wherever it is read; the rest is looked at value by value below.
_KINDS = {
    "runtime.name": str,
    "runtime.settings": dict,
    "runtime.libraries": dict,
    "exactness.exact": bool,
    "exactness.rows": int,
    "exactness.tested": list,
    "exactness.accepted": str,
    "engines": list,
    "golden.file": str,
    "golden.rows": int,
    "provenance": dict,
}
# What an entry of the engines may have, and the first three must.
_ENGINE_KINDS: dict[str, type | tuple[type, ...]] = {
    "engine": str,
    "verdict": str,
    "chosen": bool,
    "why": str,
    "rows": int,
    "differing": int,
    "ulp": (int, float, str),
    "gap": (int, float, str),
    "figures": dict,
}
_ENGINE_NEEDS = {"engine", "verdict", "chosen"}
_FIGURES = {"one_row", "rows_per_second", "start_up", "memory", "size"}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*", re.ASCII)


def canonical(value: object) -> bytes:
    """JSON with sorted keys and nothing to spare, as UTF-8: one value, one sequence of bytes.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value is not JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(manifest_bytes: bytes) -> str:
    """The name of the package that has this manifest: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(manifest_bytes).hexdigest()


def file_entry(data: bytes) -> dict[str, Any]:
    """What a manifest says of a file: its size in bytes and its SHA-256."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def check_name(name: str) -> str:
    """The name, where a package can have it: 1 to 128 of a-z, 0-9, `.`, `_`, `-`, a letter or digit at the ends.

    Raises:
        ValueError: it cannot.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"expected a name of a-z, 0-9, '.', '_' and '-', at most 128 of them, beginning and ending with a letter "
            f"or digit; got {shorten(name)}"
        )
    return name


class Manifest:
    """A manifest that has been checked.

    Attributes:
        data: the manifest as JSON values; treat it as read-only.
        signature: its signature.

    Raises:
        CorruptPackage: it is not canonical JSON, has another format, or contradicts itself.
    """

    def __init__(self, raw: bytes) -> None:
        if len(raw) > MAX_MANIFEST_BYTES:
            raise CorruptPackage(f"the manifest is {len(raw)} bytes long; expected at most {MAX_MANIFEST_BYTES}")
        self.data = _parse(raw)
        self.digest = digest_of(raw)
        try:
            self.signature = Signature.from_json(self.data["signature"])
        except SignatureError as error:
            raise CorruptPackage(f"the manifest's signature: {error}") from error

    @property
    def name(self) -> str:
        """The package's name."""
        return str(self.data["name"])

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """Every file of the package but the manifest: `{name: {"size": bytes, "sha256": hex}}`."""
        files: Mapping[str, Mapping[str, Any]] = self.data["files"]
        return files

    @property
    def block(self) -> int | None:
        """The rows of every engine call, or `None` where the answers do not depend on them."""
        block: int | None = self.data["exactness"]["block"]
        return block


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw.decode(), object_pairs_hook=unique_keys)
        same = canonical(data) == raw
    except (ValueError, RecursionError) as error:
        raise CorruptPackage(f"the manifest is not JSON: {shorten(str(error), 120)}") from error
    if not isinstance(data, dict) or "fourfold" not in data:
        raise CorruptPackage("the manifest is not that of a Fourfold package: it has no key 'fourfold'")
    if data["fourfold"] != FORMAT or type(data["fourfold"]) is not int:
        raise CorruptPackage(
            f"the package has format {shorten(data['fourfold'])}; this version of Fourfold reads format {FORMAT}"
        )
    if not same:
        raise CorruptPackage("the manifest is not in canonical form (sorted keys, no spaces): it was changed by hand")
    problem = _problem(data)
    if problem:
        raise CorruptPackage(f"the manifest{problem}")
    return data


def _problem(data: dict[str, Any]) -> str | None:
    """What is wrong with a manifest, to be read after the words "the manifest"; `None` where nothing is."""
    for where, part, keys in (
        ("", data, _KEYS),
        ("'s runtime", data.get("runtime"), _RUNTIME_KEYS),
        ("'s exactness", data.get("exactness"), _EXACTNESS_KEYS | _expected_key(data.get("exactness"))),
        ("'s golden", data.get("golden"), _GOLDEN_KEYS),
    ):
        if not isinstance(part, dict) or set(part) != keys:
            return f"{where}: expected the keys {', '.join(sorted(keys))}; got {shorten(part, 200)}"
    for name, kind in _KINDS.items():
        part, _, key = name.rpartition(".")
        value = (data[part] if part else data)[key]
        if type(value) is not kind:
            return f"'s {name}: expected a {kind.__name__}; got {shorten(value)}"
    problem = _engines_problem(data["engines"])
    if problem:
        return problem
    for name in ("provenance", "libraries"):
        texts = data[name] if name == "provenance" else data["runtime"][name]
        if not all(isinstance(text, str) for text in texts.values()):
            return f"'s {name}: expected a string for each key; got {shorten(texts, 120)}"
    try:
        check_name(data["name"])
    except ValueError as error:
        return f"'s name: {error}"
    problem = _expected_problem(data["exactness"].get("expected", dict.fromkeys(_EXPECTED_KEYS, 0)))
    if problem:
        return problem
    block = data["exactness"]["block"]
    if block is not None and (not isinstance(block, int) or isinstance(block, bool) or not 1 <= block <= 65_536):
        return f"'s block: expected null or an integer from 1 to 65536; got {shorten(block)}"
    if data["runtime"]["requires"] not in ("", "code", "pickle"):
        return f"'s runtime.requires: expected '', 'code' or 'pickle'; got {shorten(data['runtime']['requires'])}"
    tolerance = data["golden"]["tolerance"]
    if not isinstance(tolerance, (int, float)) or isinstance(tolerance, bool) or not 0 <= tolerance < 1:
        return f"'s golden.tolerance: expected a number from 0 to 1; got {shorten(tolerance)}"
    return _files_problem(data["files"], data["golden"]["file"])


def _expected_key(exactness: object) -> set[str]:
    return {"expected"} if isinstance(exactness, dict) and "expected" in exactness else set()


def _expected_problem(expected: object) -> str | None:
    if not isinstance(expected, dict) or set(expected) != _EXPECTED_KEYS:
        return (
            f"'s exactness.expected: expected the keys {', '.join(sorted(_EXPECTED_KEYS))}; got "
            f"{shorten(expected, 120)}"
        )
    if type(expected["rows"]) is not int or expected["rows"] < 0:
        return f"'s exactness.expected: expected a number of rows; got {shorten(expected['rows'])}"
    for key in ("rtol", "largest_gap"):
        if type(expected[key]) not in (int, float) or not 0 <= expected[key] < 1:
            return f"'s exactness.expected: expected a {key} from 0 to 1; got {shorten(expected[key])}"
    return None


def _engines_problem(engines: list[Any]) -> str | None:
    for entry in engines:
        fits = isinstance(entry, dict) and _ENGINE_NEEDS <= set(entry) <= set(_ENGINE_KINDS)
        if not fits or not all(isinstance(value, _ENGINE_KINDS[key]) for key, value in entry.items()):
            return f"'s engines: expected for each its name, verdict and what was found; got {shorten(entry, 200)}"
        figures = entry.get("figures", dict.fromkeys(_FIGURES, 0))
        if set(figures) != _FIGURES or not all(type(value) in (int, float) for value in figures.values()):
            return f"'s engines: expected the figures {', '.join(sorted(_FIGURES))}; got {shorten(figures, 200)}"
    return None


def _files_problem(files: object, golden: object) -> str | None:
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        return f"'s files: expected an object of at most {MAX_FILES} entries"
    for name, entry in files.items():
        # Names become paths and object keys: nothing that could leave the package's folder, on any system.
        if name == MANIFEST or len(name) > 255 or not all(_SEGMENT.fullmatch(part) for part in name.split("/")):
            return f" lists a file with a name that is not allowed: {shorten(name)}"
        size = entry.get("size") if isinstance(entry, dict) else None
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or set(entry) != {"size", "sha256"}:
            return f"'s entry of the file {shorten(name)} needs a size and a sha256; got {shorten(entry)}"
        if not isinstance(entry["sha256"], str) or not _SHA256.fullmatch(entry["sha256"]):
            return f"'s entry of the file {shorten(name)} has a sha256 that is none: {shorten(entry['sha256'])}"
    if len({name.lower() for name in files}) != len(files):
        return " lists two files whose names differ only in case"
    if golden not in files:
        return f"'s golden file {shorten(golden)} is not one of its files"
    return None
