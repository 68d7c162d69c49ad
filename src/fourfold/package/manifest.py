"""Read and check manifests: the canonical JSON that describes a package (docs/spec/package.md, format 1)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from fourfold.codecs.unique_keys import unique_keys
from fourfold.errors import CorruptPackage, SignatureError, shorten
from fourfold.package.names import MANIFEST, MAX_FILES, check_file_names
from fourfold.signature import Signature

__all__ = [
    "ACCEPTED_VERDICTS",
    "FORMAT",
    "MANIFEST",
    "Manifest",
    "canonical_json",
    "check_name",
    "digest_of",
    "file_entry",
]

#: The version of the package format that this version of Fourfold writes and reads.
FORMAT = 1

# Limits against a package made to exhaust its reader; far above what any model needs.
MAX_MANIFEST_BYTES = 64 * 2**20
#: Two bytes of JSON make a list of a hundred in memory. A field is one object, and a model has thousands.
MAX_PARTS = 2_000_000
#: Two bytes of JSON are a text of sixty in memory, too. The category of a field is one value.
MAX_VALUES = 4_000_000
MAX_DISTRIBUTIONS = 1_000
MAX_DISTRIBUTION_MODULES = 10_000
MAX_DISTRIBUTION_TEXT_CHARACTERS = 255

_KEYS = {"fourfold", "name", "signature", "runtime", "exactness", "engines", "golden", "provenance", "files"}
_OPTIONAL_KEYS = {"decisions"}  # which packages of earlier versions lack
_DECISION_KEYS = {"dtype", "nullable", "categories"}
_RUNTIME_KEYS = {"name", "settings", "requires", "libraries"}  # and `distributions`, where code needs some
_DISTRIBUTION_KEYS = {"version", "modules", "files", "sha256"}
_COMPILED_KEYS = {"compiled", "platform"}  # of a distribution with compiled files
_EXACTNESS_KEYS = {"exact", "block", "rows", "tested", "accepted"}
_EXACTNESS_OPTIONAL_KEYS = {"original", "expected"}  # `expected` where pack was given answers
_EXPECTED_KEYS = {"rows", "rtol", "largest_gap"}
_COMPARISON_KEYS, _DISTANCE_KEYS = {"rows", "differing"}, {"ulp", "gap"}
_GOLDEN_KEYS = {"file", "rows", "tolerance"}
# The values that are checked by their type alone.
_TYPES = {
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
#: The verdicts of `engines` on an engine that gives the original's answers, beside `original` itself.
ACCEPTED_VERDICTS = ("exact", "equal", "bound")
# The keys of an entry of `engines`, with the types of their values; the others are optional.
_ENGINE_REQUIRED = {"engine", "verdict", "chosen"}
_ENGINE_TYPES: dict[str, type | tuple[type, ...]] = {
    "engine": str,
    "verdict": str,
    "chosen": bool,
    "why": str,
    "rows": int,
    "differing": int,
    "ulp": (int, float, str),
    "gap": (int, float, str),
    "scaled": list,
    "figures": dict,  # of packages that were made while figures stood in the manifest; nothing reads them
}
# No file has more bytes; JSON has integers of any length.
_MAX_SIZE_BYTES = 2**63
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?", re.ASCII)
_DISTRIBUTION = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_MODULE = re.compile(r"\w+(?:\.\w+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def canonical_json(value: object) -> bytes:
    """Return the canonical JSON of a value, in UTF-8: sorted keys, no spaces. Equal values give equal bytes.

    Raises:
        ValueError: the value holds NaN or an infinity.
        TypeError: the value is not JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(data: bytes) -> str:
    """Return the digest of bytes: `sha256:` and 64 hexadecimal digits. That of a manifest names its package."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def file_entry(data: bytes) -> dict[str, Any]:
    """Return a file's entry in the manifest: its size in bytes and its SHA-256."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def check_name(name: str) -> str:
    """Check the name of a package, and return it.

    A name has 1 to 128 of a-z, 0-9, `.`, `_` and `-`, and begins and ends with a letter or digit.

    Raises:
        ValueError: the name is invalid.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"expected a name of a-z, 0-9, '.', '_' and '-', at most 128 of them, beginning and ending with a letter "
            f"or digit; got {shorten(name)}"
        )
    return name


class Manifest:
    """Hold a checked manifest.

    Args:
        raw: the manifest's bytes.

    Attributes:
        data: the manifest as JSON values; treat it as read-only.
        digest: the digest of its bytes.
        signature: the package's signature.

    Raises:
        CorruptPackage: the bytes are not canonical JSON, have another format, or hold invalid values.
    """

    def __init__(self, raw: bytes) -> None:
        if len(raw) > MAX_MANIFEST_BYTES:
            raise CorruptPackage(f"the manifest is {len(raw)} bytes long; expected at most {MAX_MANIFEST_BYTES}")
        self.data = _parse(raw)
        _check(self.data)
        self.digest = digest_of(raw)
        try:
            self.signature = Signature.from_json(self.data["signature"])
        except SignatureError as error:
            raise CorruptPackage(f"the manifest's signature: {error}") from error

    @property
    def name(self) -> str:
        """Return the package's name."""
        return str(self.data["name"])

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the package's files, without the manifest: `{name: {"size": bytes, "sha256": hex}}`."""
        files: Mapping[str, Mapping[str, Any]] = self.data["files"]
        return files

    @property
    def block(self) -> int | None:
        """Return the rows of every engine call, or `None` where the answers do not depend on their number."""
        block: int | None = self.data["exactness"]["block"]
        return block


def _parse(raw: bytes) -> dict[str, Any]:
    """Parse a manifest, and check its format and that it is canonical JSON."""
    parts = raw.count(b"[") + raw.count(b"{")
    if parts > MAX_PARTS:
        raise CorruptPackage(f"the manifest has {parts:,} lists and objects; expected at most {MAX_PARTS:,}")
    values = raw.count(b",")
    if values > MAX_VALUES:
        raise CorruptPackage(f"the manifest has {values:,} values; expected at most {MAX_VALUES:,}")
    try:
        data = json.loads(raw.decode(), object_pairs_hook=unique_keys)
        is_canonical = canonical_json(data) == raw
    except (ValueError, RecursionError) as error:
        raise CorruptPackage(f"the manifest is not JSON: {shorten(str(error), 120)}") from error
    if not isinstance(data, dict) or "fourfold" not in data:
        raise CorruptPackage("the manifest is not that of a Fourfold package: it has no key 'fourfold'")
    if data["fourfold"] != FORMAT or type(data["fourfold"]) is not int:
        raise CorruptPackage(
            f"the package has format {shorten(data['fourfold'])}; this version of Fourfold reads format {FORMAT}"
        )
    if not is_canonical:
        raise CorruptPackage("the manifest is not in canonical form (sorted keys, no spaces): it was changed by hand")
    return data


def _check(data: dict[str, Any]) -> None:
    """Check every part of a parsed manifest but its signature; raise `CorruptPackage` for the first that is invalid."""
    _check_keys(data)
    _check_types(data)
    _check_engines(data["engines"])
    _check_texts("provenance", data["provenance"])
    _check_texts("libraries", data["runtime"]["libraries"])
    try:
        check_name(data["name"])
    except ValueError as error:
        raise CorruptPackage(f"the manifest's name: {error}") from None
    if "original" in data["exactness"]:
        _check_comparison("exactness.original", data["exactness"]["original"], _COMPARISON_KEYS)
    if "expected" in data["exactness"]:
        _check_expected(data["exactness"]["expected"])
    block = data["exactness"]["block"]
    if block is not None and (not isinstance(block, int) or isinstance(block, bool) or not 1 <= block <= 65_536):
        raise CorruptPackage(f"the manifest's block: expected null or an integer from 1 to 65536; got {shorten(block)}")
    requires = data["runtime"]["requires"]
    if requires not in ("", "code", "pickle"):
        raise CorruptPackage(
            f"the manifest's runtime.requires: expected '', 'code' or 'pickle'; got {shorten(requires)}"
        )
    tolerance = data["golden"]["tolerance"]
    if not isinstance(tolerance, (int, float)) or isinstance(tolerance, bool) or not 0 <= tolerance < 1:
        raise CorruptPackage(
            f"the manifest's golden.tolerance: expected a number from 0 to 1; got {shorten(tolerance)}"
        )
    if "distributions" in data["runtime"]:
        _check_distributions(data["runtime"]["distributions"], requires)
    _check_decisions(data.get("decisions", {}))
    _check_files(data["files"])
    if data["golden"]["file"] not in data["files"]:
        raise CorruptPackage(f"the manifest's golden file {shorten(data['golden']['file'])} is not one of its files")


def _check_keys(data: dict[str, Any]) -> None:
    exactness = data.get("exactness")
    found_keys = _EXACTNESS_OPTIONAL_KEYS & set(exactness) if isinstance(exactness, dict) else set()
    runtime = data.get("runtime")
    has_distributions = isinstance(runtime, dict) and "distributions" in runtime
    for label, part, keys in (
        ("", data, _KEYS | (_OPTIONAL_KEYS & set(data))),
        ("'s runtime", runtime, _RUNTIME_KEYS | {"distributions"} if has_distributions else _RUNTIME_KEYS),
        ("'s exactness", exactness, _EXACTNESS_KEYS | found_keys),
        ("'s golden", data.get("golden"), _GOLDEN_KEYS),
    ):
        if not isinstance(part, dict) or set(part) != keys:
            raise CorruptPackage(
                f"the manifest{label}: expected the keys {', '.join(sorted(keys))}; got {shorten(part, 200)}"
            )


def _check_types(data: dict[str, Any]) -> None:
    for path, value_type in _TYPES.items():
        part, _, key = path.rpartition(".")
        value = (data[part] if part else data)[key]
        if type(value) is not value_type:
            raise CorruptPackage(f"the manifest's {path}: expected a {value_type.__name__}; got {shorten(value)}")


def _check_texts(name: str, texts: dict[str, Any]) -> None:
    if not all(isinstance(text, str) for text in texts.values()):
        raise CorruptPackage(f"the manifest's {name}: expected a string for each key; got {shorten(texts, 120)}")


def _check_decisions(decisions: object) -> None:
    """Check `decisions`: where the properties of each input come from, in words."""
    if not isinstance(decisions, dict) or not all(
        isinstance(origins, dict) and set(origins) <= _DECISION_KEYS for origins in decisions.values()
    ):
        raise CorruptPackage(
            f"the manifest's decisions: expected {', '.join(sorted(_DECISION_KEYS))} for each input; got "
            f"{shorten(decisions, 120)}"
        )
    for name, origins in decisions.items():
        _check_texts(f"decisions on {shorten(name, 40)}", origins)


def _check_expected(expected: object) -> None:
    """Check `exactness.expected`: the comparison with the answers that `pack` was given."""
    if not isinstance(expected, dict) or set(expected) != _EXPECTED_KEYS:
        raise CorruptPackage(
            f"the manifest's exactness.expected: expected the keys {', '.join(sorted(_EXPECTED_KEYS))}; got "
            f"{shorten(expected, 120)}"
        )
    if type(expected["rows"]) is not int or expected["rows"] < 0:
        raise CorruptPackage(
            f"the manifest's exactness.expected: expected a number of rows; got {shorten(expected['rows'])}"
        )
    for key in ("rtol", "largest_gap"):
        if type(expected[key]) not in (int, float) or not 0 <= expected[key] < 1:
            raise CorruptPackage(
                f"the manifest's exactness.expected: expected a {key} from 0 to 1; got {shorten(expected[key])}"
            )


def _check_comparison(name: str, comparison: object, required: set[str]) -> None:
    """Check what a comparison of answers found: counts, and distances where a row differed."""
    keys = ", ".join(sorted(required))
    expected = f"the manifest's {name}: expected the numbers {keys}, and ulp and gap where a row differed"
    if not isinstance(comparison, dict) or set(comparison) not in (required, required | _DISTANCE_KEYS):
        raise CorruptPackage(f"{expected}; got {shorten(comparison, 120)}")
    for key, value in comparison.items():
        is_number = type(value) is int or (key in _DISTANCE_KEYS and type(value) is float)
        if not (is_number and value >= 0) and not (key in _DISTANCE_KEYS and value == "Infinity"):
            raise CorruptPackage(f"{expected}; got {shorten(comparison, 120)}")


def _check_distributions(distributions: object, requires: str) -> None:
    """Check `runtime.distributions`: what code needs of its host, which a package without code has not."""
    has_code = requires not in ("", "data", "foreign")
    if not isinstance(distributions, dict) or not 0 < len(distributions) <= MAX_DISTRIBUTIONS or not has_code:
        raise CorruptPackage(
            f"the manifest's runtime.distributions: expected an object of 1 to {MAX_DISTRIBUTIONS} entries, in a "
            f"package that requires code or a pickle; got {shorten(distributions)}"
        )
    for name, record in distributions.items():
        keys = set(record) if isinstance(record, dict) else set[str]()
        has_keys = keys in (_DISTRIBUTION_KEYS, _DISTRIBUTION_KEYS | _COMPILED_KEYS)
        texts = [name, *(record[key] for key in keys - {"modules", "files"})] if has_keys else []
        is_sound = (
            has_keys
            and all(isinstance(text, str) and 0 < len(text) <= MAX_DISTRIBUTION_TEXT_CHARACTERS for text in texts)
            and all(text.isprintable() for text in texts)
            and _DISTRIBUTION.fullmatch(name)
            and all(_SHA256.fullmatch(record[key]) for key in keys & {"sha256", "compiled"})
            and type(record["files"]) is int
            and 0 <= record["files"] < 2**31
            and _are_modules(record["modules"])
        )
        if not is_sound:
            raise CorruptPackage(
                f"the manifest's runtime.distributions: expected for {shorten(name)} a version, 1 to "
                f"{MAX_DISTRIBUTION_MODULES} modules, a number of files, a sha256, and for compiled files their "
                f"sha256 and platform; got {shorten(record, 120)}"
            )


def _are_modules(names: object) -> bool:
    return (
        isinstance(names, list)
        and 0 < len(names) <= MAX_DISTRIBUTION_MODULES
        and all(
            isinstance(name, str) and len(name) <= MAX_DISTRIBUTION_TEXT_CHARACTERS and _MODULE.fullmatch(name)
            for name in names
        )
    )


def _check_engines(engines: list[Any]) -> None:
    for entry in engines:
        has_keys = isinstance(entry, dict) and _ENGINE_REQUIRED <= set(entry) <= set(_ENGINE_TYPES)
        if not has_keys or not all(isinstance(value, _ENGINE_TYPES[key]) for key, value in entry.items()):
            raise CorruptPackage(
                f"the manifest's engines: expected for each its name, verdict and what was found; got "
                f"{shorten(entry, 200)}"
            )
        for comparison in entry.get("scaled", ()):
            _check_comparison("engines, scaled", comparison, {*_COMPARISON_KEYS, "factor"})


def _check_files(files: object) -> None:
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        raise CorruptPackage(f"the manifest's files: expected an object of at most {MAX_FILES} entries")
    try:
        check_file_names(files)
    except ValueError as error:
        raise CorruptPackage(f"the manifest lists {error}") from None
    for name, entry in files.items():
        size = entry.get("size") if isinstance(entry, dict) else None
        if type(size) is not int or not 0 <= size <= _MAX_SIZE_BYTES or set(entry) != {"size", "sha256"}:
            raise CorruptPackage(
                f"the manifest's entry of the file {shorten(name)} needs a size and a sha256; got {shorten(entry)}"
            )
        if not isinstance(entry["sha256"], str) or not _SHA256.fullmatch(entry["sha256"]):
            raise CorruptPackage(
                f"the manifest's entry of the file {shorten(name)} has a sha256 that is not 64 hexadecimal digits: "
                f"{shorten(entry['sha256'])}"
            )
