"""The engines: one module or folder a runtime, with the same names in each.

    NAME                                                   the name that a package's manifest says
    claims(model) -> bool                                  whether the model is this runtime's
    prepare(model, sample, *, inputs=None, **options)      a model made ready for a package: `Prepared`
    load(settings, read, signature, trust) -> Engine       what a package holds, ready to answer

The modules import the libraries that they drive, so they are themselves imported only when one of them is needed:
this is one of the two places of the project that import inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from fourfold.errors import CorruptPackage, FourfoldError, MissingLibrary, PackError, shorten
from fourfold.runtimes import detection
from fourfold.runtimes.engine import Engine, Prepared, Runtime
from fourfold.signature.field import Signature

__all__ = ["NAMES", "TAKERS", "Engine", "Prepared", "Runtime", "claim", "load", "requires", "runtime"]

# In the order in which they are asked: a library's own estimators derive from scikit-learn's classes, too.
_CLAIMS: dict[str, Callable[[object], bool]] = {
    "lightgbm": detection.lightgbm,
    "xgboost": detection.xgboost,
    "catboost": detection.catboost,
    "onnx": detection.onnx,
    "sklearn": detection.sklearn,
    "python": detection.python,
}
#: The module of a runtime that has a folder; any other has one of its own name.
_FOLDERS = {"sklearn": "sklearn.runtime"}
#: The names of the runtimes that take models, and of all: a plan is what `pack` makes of another runtime's model.
TAKERS = tuple(_CLAIMS)
NAMES = ("plan", *TAKERS)


def runtime(name: str) -> Runtime:
    """The runtime of that name, imported.

    Raises:
        CorruptPackage: there is none, so a package that names it is not one of ours, or is newer than this version.
        MissingLibrary: a library that it drives is not installed.
    """
    if name not in NAMES:
        raise CorruptPackage(f"expected a runtime of {', '.join(NAMES)}; got {shorten(name)}")
    try:
        module: Any = import_module(f"fourfold.runtimes.{_FOLDERS.get(name, name)}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "fourfold"):
            raise
        raise MissingLibrary(missing, extra=name, purpose=f"the {name} runtime") from error
    found: Runtime = module
    return found


def claim(model: object) -> Runtime:
    """The runtime that packs this model.

    Raises:
        PackError: no runtime knows what it is.
        MissingLibrary: a library that the runtime drives is not installed.
    """
    for name, claims_it in _CLAIMS.items():
        if claims_it(model):
            return runtime(name)
    kind = type(model)
    raise PackError(
        f"no runtime packs a {kind.__module__}.{kind.__qualname__}: expected a scikit-learn estimator or pipeline, a "
        f"LightGBM, XGBoost or CatBoost model, an ONNX file or ModelProto, or a function or an object with `predict`"
    )


def requires(name: str, settings: dict[str, Any]) -> str:
    """What a host must allow before a package of these settings is loaded: nothing, `pickle` or `code`."""
    if name == "python":
        return "code"
    return "pickle" if name == "sklearn" and settings.get("file") == "model.pickle" else ""


def load(
    name: str, settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool
) -> Engine:
    """The engine that a package holds.

    Args:
        name: the runtime's name, as `Prepared.runtime` had it.
        settings: as `Prepared.settings` had them.
        read: gives the bytes of one of `Prepared.files`, verified.
        signature: the package's.
        trust: whether this host allows the package to run code of its own (pickle, Python files).

    Raises:
        TrustError: the package needs what the host has not allowed.
        CorruptPackage: its files are not what the runtime wrote.
        MissingLibrary: a library that the engine needs is not installed.
    """
    module = runtime(name)
    try:
        return module.load(settings, read, signature, trust)
    except FourfoldError:
        raise
    # Settings come with the package: what they lack or contradict shows wherever a runtime first uses them.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CorruptPackage(
            f"the {name} runtime cannot use the package's settings: {type(error).__name__}: {error}"
        ) from error
