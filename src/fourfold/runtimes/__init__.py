"""Drive the engines behind packages: one module or folder a runtime, the same names in each.

    NAME                                                   the runtime's name in a package's manifest
    prepare(model, sample, *, inputs=None, **options)      turn a model into what a package holds: `Prepared`
    load(settings, read, signature) -> Engine              turn what a package holds into an engine that answers
    open_model(path, **options)                            read the model of a file in the library's own format, if it
                                                           has one: the model, and notes for the user

`engine` defines these types. To add a runtime: write its module, add a test of types to `detection` and the name to
`_DETECTORS` below, and its library to `tests/project/test_libraries.py` and `pyproject.toml`.

Each module imports the library that it drives, so the functions here import it only when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import PurePath
from typing import Any

from fourfold.errors import (
    CorruptPackage,
    FourfoldError,
    PackError,
    TrustError,
    describe,
    naming_missing_library,
    printable,
    shorten,
)
from fourfold.package.levels import Level, allows, parse_level
from fourfold.runtimes import detection
from fourfold.runtimes.distributions import check_distributions
from fourfold.runtimes.engine import Engine, Prepared, Runtime
from fourfold.runtimes.networks import way_to_pack
from fourfold.signature.field import Signature

__all__ = [
    "MODEL_RUNTIMES",
    "NAMES",
    "Engine",
    "Prepared",
    "Runtime",
    "by_model",
    "by_name",
    "describe_need",
    "level_of",
    "load",
    "required_level",
    "requires",
]

# The first that detects a model packs it: the boosters' own estimators derive from scikit-learn's classes, too.
_DETECTORS: dict[str, Callable[[object], bool]] = {
    "lightgbm": detection.is_lightgbm,
    "xgboost": detection.is_xgboost,
    "catboost": detection.is_catboost,
    "onnx": detection.is_onnx,
    "sklearn": detection.is_sklearn,
    "python": detection.is_python,
}
#: The modules of runtimes that are not called like the runtime.
_MODULES = {"sklearn": "sklearn.runtime"}
#: The runtimes that pack models; `plan` has no models of its own, `pack` compiles it from another runtime's.
MODEL_RUNTIMES = tuple(_DETECTORS)
#: The library that parses or rebuilds what a package of a runtime holds.
_PARSERS = {
    "lightgbm": "LightGBM",
    "xgboost": "XGBoost",
    "catboost": "CatBoost",
    "onnx": "ONNX Runtime",
    "sklearn": "skops and scikit-learn",
}
#: All runtimes.
NAMES = ("plan", *MODEL_RUNTIMES)


def by_name(name: str) -> Runtime:
    """Import and return the runtime of that name.

    Raises:
        CorruptPackage: no runtime has that name: the package is damaged, or made by a newer version.
        MissingLibrary: a library that the runtime drives is not installed.
    """
    if name not in NAMES:
        raise CorruptPackage(f"expected a runtime of {', '.join(NAMES)}; got {shorten(name)}")
    with naming_missing_library(f"the {name} runtime", extra=name):
        module: Any = import_module(f"fourfold.runtimes.{_MODULES.get(name, name)}")
    runtime: Runtime = module
    return runtime


def by_model(model: object) -> Runtime:
    """Import and return the runtime that packs a model.

    Raises:
        PackError: no runtime packs models of this type; of a network, the lines that pack it.
        MissingLibrary: a library that the runtime drives is not installed.
    """
    way = way_to_pack(model)
    if way is not None:
        raise PackError(way)
    for name, detects in _DETECTORS.items():
        if detects(model):
            return by_name(name)
    if isinstance(model, (str, PurePath)):
        raise PackError(
            f"expected a model; got the path {shorten(str(model))}: load it first (of a pickle, joblib.load), or name "
            "its kind and file on the command line: fourfold pack NAME --from KIND FILE"
        )
    if isinstance(model, type):
        raise PackError(f"expected a model; got the class {model.__qualname__}: pack a fitted object of it")
    kind = type(model)
    raise PackError(
        f"no runtime packs a {kind.__module__}.{kind.__qualname__}: expected a scikit-learn estimator or pipeline, a "
        f"LightGBM, XGBoost or CatBoost model, an ONNX file or ModelProto, or a function or an object with `predict`"
    )


def requires(name: str, settings: dict[str, Any]) -> str:
    """Return what of a package of these settings runs when it is loaded: `""`, `"pickle"` or `"code"`."""
    if name == "python":
        return "code"
    return "pickle" if name == "sklearn" and settings.get("file") == "model.pickle" else ""


def required_level(name: str, settings: dict[str, Any]) -> Level:
    """Return the level of trust that a package of these settings needs."""
    if name == "plan":
        return "data"
    return "code" if requires(name, settings) else "foreign"


def level_of(manifest: Mapping[str, Any]) -> Level:
    """Return the level of trust that a package needs, whatever its manifest says about that."""
    return required_level(manifest["runtime"]["name"], manifest["runtime"]["settings"])


def describe_need(name: str, settings: dict[str, Any]) -> str:
    """Return what a package of these settings holds that needs trust, as the start of a sentence."""
    match requires(name, settings):
        case "code":
            module, function = (shorten(settings.get(key, "")) for key in ("module", "name"))
            return f"it holds Python code of its maker ({module}, {function}), which runs here"
        case "pickle":
            reasons = shorten(settings.get("notes", ""), 300)  # anything may stand there
            return f"it holds a pickle, which runs its maker's code when it is loaded ({reasons})"
        case _:
            parser = _PARSERS.get(name, "another library")
            return f"it is no plan: the {printable(name, 60)} runtime has {parser} read its file"


def load(
    name: str,
    settings: dict[str, Any],
    read: Callable[[str], bytes],
    signature: Signature,
    trust: Level,
    distributions: Mapping[str, Mapping[str, Any]] | None = None,
) -> Engine:
    """Return the engine that a package holds.

    Args:
        name: the runtime's name, `Prepared.runtime`.
        settings: the runtime's settings, `Prepared.settings`.
        read: returns the verified bytes of a file of the package, by its name in `Prepared.files`.
        signature: the package's signature.
        trust: the level that this host grants to the package.
        distributions: the installed distributions that the package's code needs, `Prepared.distributions`.

    Raises:
        TrustError: the package needs more than that; nothing of it was read.
        PackageError: a distribution is missing, or has another version or other files than when it was packed.
        CorruptPackage: the package's settings or files are not what the runtime wrote.
        MissingLibrary: a library that the engine needs is not installed.
    """
    required = required_level(name, settings)
    if not allows(parse_level(trust, "trust"), required):
        raise TrustError(
            f"the package needs trust '{required}', and '{trust}' is granted: {describe_need(name, settings)}"
        )
    runtime = by_name(name)
    if distributions:
        check_distributions(distributions)
    try:
        return runtime.load(settings, read, signature)
    except FourfoldError:
        raise
    # Settings come with the package. If they lack a key or have a wrong type, a runtime fails where it first uses them.
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CorruptPackage(f"the {name} runtime cannot use the package's settings: {describe(error)}") from error
