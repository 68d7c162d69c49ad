"""Decide which classes and functions of a skops file may be built.

A skops file holds no code, only the names of classes and their states. This module decides by name, never the file:
each part must be of a kind in `_ALLOWED`, and must name a class or function that is defined where the file says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from fourfold.runtimes.sklearn.skops_schema import Part

__all__ = ["COMPILED", "NUMPY_FUNCTIONS", "attribute", "defined_class", "is_estimator", "judge"]

_DOTTED_NAME = re.compile(r"[A-Za-z_]\w{0,60}(?:\.[A-Za-z_]\w{0,60}){0,8}", re.ASCII)
_HEAP_TYPE = 1 << 9  # `Py_TPFLAGS_HEAPTYPE`: the class is not compiled
_PRIMITIVES = frozenset({"bool", "bytes", "complex", "float", "int", "list", "set", "str", "tuple"})
# Functions of arrays only: none of them reads or writes files, or calls its arguments.
NUMPY_FUNCTIONS = frozenset(
    [
        *("abs", "all", "amax", "amin", "any", "around", "average", "clip", "concatenate", "cumprod", "cumsum", "diff"),
        *("fix", "flip", "hstack", "max", "mean", "median", "min", "nan_to_num", "nanmax", "nanmean", "nanmedian"),
        *("nanmin", "ptp", "real", "round", "std", "sum", "var", "vstack", "where"),
    ]
)
_FUNCTIONS = frozenset(
    [
        *(f"sklearn.feature_selection._univariate_selection.{name}" for name in ("chi2", "f_classif", "f_regression")),
        "sklearn.feature_selection._univariate_selection.r_regression",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.utils.validation.check_array",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
    ]
)
# Compiled classes whose state `inspection.check_bounds` can check after loading; it cannot check any other.
_METRICS = (
    *("BrayCurtis", "Canberra", "Chebyshev", "Euclidean", "Hamming", "Jaccard", "Manhattan", "Minkowski", "SEuclidean"),
)
COMPILED = frozenset(
    [
        *(f"sklearn.metrics._dist_metrics.{name}Distance{bits}" for name in _METRICS for bits in (32, 64)),
        *(f"sklearn.neighbors._ball_tree.BallTree{bits}" for bits in ("", 32, 64)),
        *(f"sklearn.neighbors._kd_tree.KDTree{bits}" for bits in ("", 32, 64)),
    ]
)
# The modules whose classes fitted estimators hold beside other estimators.
_HELPERS = (
    "sklearn._loss.",
    "sklearn.calibration",
    "sklearn.cluster._bisect_k_means",
    "sklearn.compose._column_transformer",
    "sklearn.ensemble._hist_gradient_boosting.",
    "sklearn.gaussian_process.kernels",
    "sklearn.linear_model.",
    "sklearn.metrics._scorer",
    "sklearn.model_selection._split",
    "sklearn.neural_network._stochastic_optimizers",
    "sklearn.utils._metadata_requests",
)
# Modules of the trusted libraries that no fitted estimator uses; importing some of them has side effects: one makes
# folders and starts a process, since it imports matplotlib.
_UNUSED_MODULES = frozenset(
    [
        *("__main__", "_build_utils", "_examples", "_mocking", "_precompute", "_pyinstaller", "_testing", "conftest"),
        *("dask", "datasets", "distutils", "estimator_checks", "experimental", "externals", "f2py", "spark", "testing"),
        *("tests", "typing"),
    ]
)


def judge(root: Part) -> tuple[set[str], set[str]]:
    """Return the names in a skops file that may be built, and those that may not."""
    allowed, refused = set(), set()
    for part in root.walk():
        if not isinstance(part.module, str) or not isinstance(part.name, str):
            refused.add(part.loader)
        elif not _is_allowed(part.loader, part.module, part.name):
            refused.add(part.path if part.loader in _ALLOWED else f"{part.path} ({part.loader})")
        elif part.loader == "PartialNode" and dict(part.items)["func"].loader != "FunctionNode":
            refused.add(part.path)
        else:
            allowed.add(part.path)
    return allowed, refused


def _is_allowed(loader: str, module: str, name: str) -> bool:
    rule = _ALLOWED.get(loader)
    return rule is not None and rule(module, name)


def _defined(module: str, name: str) -> Any:
    """Return what a module of a trusted library defines under that name, not what it imports; otherwise `None`."""
    parts = module.split(".")
    if parts[0] not in ("sklearn", "lightgbm", "xgboost", "numpy", "scipy") or _UNUSED_MODULES.intersection(parts):
        return None
    value = attribute(module, name)
    return value if getattr(value, "__module__", None) == module and getattr(value, "__name__", None) == name else None


def defined_class(module: str, name: str) -> type | None:
    """Return the class that a module of a trusted library defines under that name; `None` where it defines none."""
    value = _defined(module, name)
    return value if isinstance(value, type) else None


def _is_object(module: str, name: str) -> bool:
    """Return whether objects of a class may be built by `__new__` and `__setstate__`, without its constructor."""
    cls = defined_class(module, name)
    if cls is None:
        return False
    is_compiled = any(not base.__flags__ & _HEAP_TYPE for base in cls.__mro__ if base.__module__ != "builtins")
    if module.startswith("sklearn."):
        if is_compiled:
            return f"{module}.{name}" in COMPILED
        # Beside estimators, only what they are made of: other classes of these modules call what they hold.
        return issubclass(cls, BaseEstimator) or module.startswith(_HELPERS)
    if module == "lightgbm.sklearn":
        return name.startswith("LGBM")
    if module == "xgboost.sklearn":
        return name.startswith("XGB")
    boosters = ("lightgbm.basic.Booster", "xgboost.core.Booster", "scipy.interpolate._bsplines.BSpline")
    return f"{module}.{name}" in boosters


def is_estimator(part: Part) -> bool:
    """Return whether a part is an estimator of a library that is trusted."""
    cls = defined_class(part.module, part.name) if part.loader == "ObjectNode" else None
    return cls is not None and issubclass(cls, BaseEstimator)


def _is_scalar(module: str, name: str) -> bool:
    cls = defined_class(module, name)
    # A `void` is as long as its number says, and an `object_` is whatever it is given.
    return cls is not None and issubclass(cls, np.generic) and not issubclass(cls, (np.void, np.object_))


def _is_array(module: str, name: str) -> bool:
    return (module, name) == ("numpy", "ndarray") or _is_scalar(module, name)


def _is_type(module: str, name: str) -> bool:
    plain = module == "builtins" and name in _PRIMITIVES
    return plain or (module, name) == ("collections", "OrderedDict") or _is_scalar(module, name)


def _is_function(module: str, name: str) -> bool:
    if f"{module}.{name}" in _FUNCTIONS:
        return _defined(module, name) is not None
    if module == "numpy" and name in NUMPY_FUNCTIONS:
        return _defined(module, name) is not None
    if module.partition(".")[0] not in ("numpy", "scipy") or _UNUSED_MODULES.intersection(module.split(".")):
        return False
    # A ufunc has no `__module__`, so any module that has it will do.
    return isinstance(attribute(module, name), np.ufunc)


def attribute(module: str, name: str) -> Any:
    """Return what a module has under a name; `None` where there is none. It is imported: judge its name first."""
    if not _DOTTED_NAME.fullmatch(module) or not name.isidentifier():
        return None
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def _is_sparse(module: str, name: str) -> bool:
    cls = defined_class(module, name)
    return cls is not None and issubclass(cls, (sparse.spmatrix, sparse.sparray))


def _is_named_tuple(module: str, name: str) -> bool:
    cls = defined_class(module, name)
    return cls is not None and module.startswith("sklearn.") and cls.__bases__ == (tuple,)


def _is_loss(module: str, name: str) -> bool:
    return (
        module in ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast") and defined_class(module, name) is not None
    )


def _one_of(*names: str) -> Callable[[str, str], bool]:
    return lambda module, name: f"{module}.{name}" in names


# The kinds of nodes that a file may have, with a test of their classes. All others are refused, such as nodes that call
# a constructor (`ConstructorFromReduceNode`), bind a method or look up an operator.
_ALLOWED: dict[str, Callable[[str, str], bool]] = {
    "BytearrayNode": _one_of("builtins.bytearray"),
    "BytesNode": _one_of("builtins.bytes"),
    "DTypeNode": _one_of("numpy.dtype"),
    "DefaultDictNode": _one_of("collections.defaultdict"),
    "DictNode": _one_of("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"),
    "FunctionNode": _is_function,
    "JsonNode": _one_of("builtins.str"),
    "ListNode": _one_of("builtins.list"),
    "LossNode": _is_loss,
    "MaskedArrayNode": _one_of("numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"),
    "NdArrayNode": _is_array,
    "ObjectNode": _is_object,
    "PartialNode": _one_of("functools.partial"),
    "RandomGeneratorNode": _one_of("numpy.random._generator.Generator"),
    "RandomStateNode": _one_of("numpy.random.mtrand.RandomState"),
    "SetNode": _one_of("builtins.set"),
    "SliceNode": _one_of("builtins.slice"),
    "SparseMatrixNode": _is_sparse,
    "TreeNode": _one_of("sklearn.tree._tree.Tree"),
    "TupleNode": lambda module, name: (module, name) == ("builtins", "tuple") or _is_named_tuple(module, name),
    "TypeNode": _is_type,
}
