"""Make a small package for tests: it can be read and written, but no runtime can load it."""

from __future__ import annotations

from typing import Any

from fourfold.package import Package
from fourfold.signature import Field, Signature

FILES = {
    "model.bin": b"\x00\x01model",
    "golden.json": b'{"inputs":[{"x":1.0}],"outputs":[{"y":2.0}]}',
    "code/a.py": b"",
}

SIGNATURE = Signature((Field("x", "float64"),), (Field("y", "float64"),))


def manifest(**changes: Any) -> dict[str, Any]:
    """Return a manifest without its files."""
    return {
        "fourfold": 1,
        "name": "sample",
        "signature": SIGNATURE.to_json(),
        "runtime": {"name": "python", "settings": {}, "requires": "", "libraries": {}},
        "exactness": {"exact": True, "block": None, "rows": 1, "tested": [], "accepted": "exact"},
        "engines": [],
        "golden": {"file": "golden.json", "rows": 1, "tolerance": 0},
        "provenance": {},
        **changes,
    }


def package(**changes: Any) -> Package:
    """Return the package."""
    return Package.build(manifest(**changes), FILES)
