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
    from collections.abc import Iterable

    from fourfold import batch as batch
    from fourfold import embed as embed
    from fourfold import errors as errors
    from fourfold import service as service
    from fourfold import stream as stream
    from fourfold.certificate.certify import certify
    from fourfold.cli.show import show
    from fourfold.errors import FourfoldError
    from fourfold.loading import load
    from fourfold.loading import open as open  # noqa: A004
    from fourfold.package import Package
    from fourfold.packing.packer import pack
    from fourfold.predictor import Predictor
    from fourfold.repository import Repository, promote, pull, push
    from fourfold.repository import list as list  # noqa: A004
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
    "certify": "fourfold.certificate",
    "list": "fourfold.repository",
    "load": "fourfold.loading",
    "open": "fourfold.loading",
    "pack": "fourfold.packing.packer",
    "promote": "fourfold.repository",
    "pull": "fourfold.repository",
    "push": "fourfold.repository",
    "show": "fourfold.cli.show",
}
#: The rooms that are modules of their own for users: `fourfold.embed.mount` needs no import of `fourfold.embed`.
_ROOMS = ("batch", "embed", "errors", "service", "stream")

#: All public names but `list` and `open`: `from fourfold import *` must not take Python's own away.
__all__ = [
    "Field",
    "FourfoldError",
    "Package",
    "Predictor",
    "Repository",
    "Signature",
    "__version__",
    "certify",
    "load",
    "pack",
    "promote",
    "pull",
    "push",
    "show",
]


if not TYPE_CHECKING:  # to a type checker every name would exist

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name in _MODULES:
            try:
                value = getattr(import_module(_MODULES[name]), name)
            except (ModuleNotFoundError, import_module("fourfold.errors").MissingLibrary) as error:
                from fourfold.other_names import without_library

                return without_library(name, error)  # not kept: the library may be installed later
        elif name in _ROOMS:
            value = import_module(f"fourfold.{name}")
        else:
            from fourfold.other_names import OF_MODULE, missing

            if name[:1].isupper() and name in import_module("fourfold.errors").__all__:
                raise AttributeError(f"module 'fourfold' has no {name!r}: it is fourfold.errors.{name}")
            raise missing("module 'fourfold'", name, OF_MODULE) or AttributeError(
                f"module 'fourfold' has no attribute {name!r}"
            )
        globals()[name] = value
        return value


def __dir__() -> Iterable[str]:
    return sorted({*__all__, *_MODULES, "embed", "errors"})
