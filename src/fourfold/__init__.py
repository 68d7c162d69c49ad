"""Pack a model once; run it as a microservice, a stream processor, a batch job or inside your own application.

A packaged model is one pure function from table to table; an architecture only moves tables to it and back.

    package = fourfold.pack(pipeline, name="eta", rows=X.head(2000))
    fourfold.push(package, repository="s3://bucket/models")
    eta = fourfold.load("eta@production", repository="s3://bucket/models")
    eta.predict(frame)
    eta.predict_one({...})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fourfold.errors import FourfoldError
    from fourfold.loading import load
    from fourfold.package import Package, open_package
    from fourfold.packing.packer import pack
    from fourfold.predictor import Predictor
    from fourfold.repository import Repository, push
    from fourfold.signature import Field, Signature

#: The module of each public name. It is imported at the first use: a process that only serves a package must not load
#: the libraries that packing needs.
_MODULES = {
    "Field": "fourfold.signature",
    "FourfoldError": "fourfold.errors",
    "Package": "fourfold.package",
    "Predictor": "fourfold.predictor",
    "Repository": "fourfold.repository",
    "Signature": "fourfold.signature",
    "load": "fourfold.loading",
    "open_package": "fourfold.package",
    "pack": "fourfold.packing.packer",
    "push": "fourfold.repository",
}

__all__ = [
    "Field",
    "FourfoldError",
    "Package",
    "Predictor",
    "Repository",
    "Signature",
    "__version__",
    "load",
    "open_package",
    "pack",
    "push",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'fourfold' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
