"""Estimators as skops files: the same bytes for the same model, and only types that this host knows.

skops writes no code, only the names of classes and their state. Which classes may be built is decided here, by the
host, and never by the file: each node of the file must be of a kind listed in `_ALLOWED`, name a class or function
that is defined where the file says, and pass skops' own audit after that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import skops.io
from scipy import sparse
from skops.io.exceptions import UntrustedTypesFoundException

from fourfold.errors import CorruptPackage, TrustError
from fourfold.modelfiles import lightgbm_text, xgboost_ubjson
from fourfold.runtimes.sklearn.inspection import reachable

__all__ = ["dumps", "loads", "loads_trusted", "refused"]

_SCHEMA = "schema.json"
_PROTOCOL = 2  # of the first skops that Fourfold wrote with
# Nodes whose objects cannot change: whether two of them are one object depends on what the process did before.
_VALUES = frozenset({"JsonNode", "TypeNode", "FunctionNode", "TupleNode", "SliceNode", "BytesNode", "DTypeNode"})
_HEAP_TYPE = 1 << 9

_PRIMITIVES = frozenset({"bool", "bytes", "complex", "float", "int", "list", "set", "str", "tuple"})
# Functions of arrays alone: none of them reads a file, writes one or calls what it is given.
_NUMPY_FUNCTIONS = frozenset(
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
# Compiled classes whose state can be checked after loading (`estimators.check_bounds`); the rest of them cannot.
_METRICS = (
    *("BrayCurtis", "Canberra", "Chebyshev", "Euclidean", "Hamming", "Jaccard", "Manhattan", "Minkowski", "SEuclidean"),
)
_COMPILED = frozenset(
    [
        *(f"sklearn.metrics._dist_metrics.{name}Distance{bits}" for name in _METRICS for bits in (32, 64)),
        *(f"sklearn.neighbors._ball_tree.BallTree{bits}" for bits in ("", 32, 64)),
        *(f"sklearn.neighbors._kd_tree.KDTree{bits}" for bits in ("", 32, 64)),
    ]
)
# Parts of the trusted libraries that no fitted estimator is made of, some of which act when imported.
_ASIDE = frozenset({"__main__", "conftest", "datasets", "distutils", "externals", "f2py", "testing", "tests"})


def dumps(model: object) -> bytes:
    """A model as a skops file, the same bytes in every process.

    skops names the parts of a file by their addresses in memory and dates them; here they are numbered as they
    appear, sets are sorted, what only counts or pads is zero, and the members have one date and no compression.

    Raises:
        Exception: whatever skops and the model's own `__getstate__` raise on what they cannot hold.
    """
    # A partial call has no namespace until somebody looks at it, and skops writes down whether it has one: look at all.
    for _ in reachable(model):
        pass
    with ZipFile(BytesIO(skops.io.dumps(model))) as source:
        members = {name: _without_padding(name, source.read(name)) for name in source.namelist()}
    schema = json.loads(members.pop(_SCHEMA))
    _settle(schema)
    _sort_sets(schema, {name: sha256(data).hexdigest() for name, data in members.items()})
    _number_objects(schema)
    files = _number_files(schema, members)
    text = json.dumps(schema, separators=(",", ":")).encode()
    target = BytesIO()
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name, data in {_SCHEMA: text, **files}.items():
            info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o600 << 16
            archive.writestr(info, data)
    return target.getvalue()


def _without_padding(name: str, data: bytes) -> bytes:
    """An array's bytes with zeros between its fields, where a tree's nodes have whatever was in memory."""
    if not name.endswith(".npy"):
        return data
    array = np.load(BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros(array.shape, array.dtype, order="F" if array.flags.fnc else "C")
    for field in array.dtype.names:
        clean[field] = array[field]
    target = BytesIO()
    np.save(target, clean, allow_pickle=False)
    return target.getvalue()


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Every node of a schema, in the order in which the file has them."""
    stack = [part]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if isinstance(part.get("__loader__"), str):
                yield part
            stack.extend(reversed(part.values()))
        elif isinstance(part, list):
            stack.extend(reversed(part))


def _settle(schema: Any) -> None:
    """Write in one way what depends on what the process did before."""
    for node in _nodes(schema):
        name = node["__class__"]
        if node["__loader__"] == "ObjectNode" and name.startswith(("KDTree", "BallTree")):
            # How often the tree was asked, and how that went.
            for counter in node["content"]["content"][7:11]:
                counter["content"] = "0"
        elif node["__loader__"] == "DictNode" and "_stop_words_id" in node["content"]:
            # The address of a vectorizer's stop words, by which it knows that it has checked them.
            node["content"]["_stop_words_id"]["content"] = "0"
        elif node["__loader__"] == "FunctionNode":
            # A ufunc does not know its module: skops takes the first one imported that has it.
            homes = [home for home in ("numpy", "scipy.special") if isinstance(_reachable(home, name), np.ufunc)]
            if homes and _reachable(node["__module__"], name) is _reachable(homes[0], name):
                node["__module__"] = homes[0]


def _sort_sets(schema: Any, digests: dict[str, str]) -> None:
    def key(node: Any) -> str:
        if isinstance(node, dict):
            kept = {name: value for name, value in node.items() if name != "__id__"}
            return repr([(name, digests.get(str(value)) or key(value)) for name, value in kept.items()])
        return repr([key(each) for each in node]) if isinstance(node, list) else repr(node)

    for node in _nodes(schema):
        if node["__loader__"] == "SetNode":
            node["content"].sort(key=key)


def _number_objects(schema: Any) -> None:
    counts: dict[int, int] = {}
    for node in _nodes(schema):
        if node["__loader__"] not in _VALUES and "__id__" in node:
            counts[node["__id__"]] = counts.get(node["__id__"], 0) + 1
    numbers: dict[int, int] = {}
    for node in _nodes(schema):
        old = node.pop("__id__", None)
        # An object's number says only that it is there again: what is there once needs none. Numbers start at 1,
        # since skops takes 0 for none.
        if node["__loader__"] not in _VALUES and counts.get(old, 0) > 1:
            node["__id__"] = numbers.setdefault(old, len(numbers) + 1)


def _number_files(schema: Any, members: dict[str, bytes]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        old = node.get("file")
        if isinstance(old, str) and old in members:
            if old not in names:
                names[old] = f"{len(names)}.{old.rpartition('.')[2]}"
                files[names[old]] = members[old]
            node["file"] = names[old]
    return files


def refused(data: bytes) -> list[str]:
    """The types and functions in a skops file that `loads` would not build, by name and sorted.

    Raises:
        CorruptPackage: it is no skops file of ours.
    """
    return sorted(_judged(data)[1])


def loads(data: bytes) -> Any:
    """The estimator in a skops file.

    Raises:
        TrustError: it holds a type that is none of scikit-learn's, LightGBM's, XGBoost's, NumPy's or SciPy's own.
        CorruptPackage: it is no skops file of ours, or one whose parts contradict each other.
    """
    allowed, names = _judged(data)
    if names:
        raise TrustError(f"the skops file holds what no model may hold: {', '.join(sorted(names))}")
    _check_boosters(data)
    try:
        # skops still audits the file itself, and learns of no name that was not judged above.
        return skops.io.loads(data, trusted=sorted(allowed))
    except UntrustedTypesFoundException as error:
        raise TrustError(f"the skops file holds what no model may hold: {error}") from error
    # A file that contradicts itself fails anywhere in the libraries that take it, with any error.
    except Exception as error:
        raise CorruptPackage(f"the skops file cannot be loaded: {type(error).__name__}: {error}") from error


def loads_trusted(data: bytes) -> Any:
    """The estimator in a skops file of somebody whom the host trusts, whatever it is made of.

    Raises:
        CorruptPackage: it is no skops file, or it cannot be loaded.
    """
    try:
        return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    except Exception as error:  # classes of anybody's
        raise CorruptPackage(f"the skops file cannot be loaded: {type(error).__name__}: {error}") from error


def _check_boosters(data: bytes) -> None:
    """Check the models that LightGBM and XGBoost read by themselves while skops makes their boosters.

    Raises:
        CorruptPackage: one contradicts itself.
    """
    schema = _schema(data)
    with ZipFile(BytesIO(data)) as archive:
        for node in _nodes(schema):
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if node["__loader__"] != "ObjectNode" or name not in ("lightgbm.basic.Booster", "xgboost.core.Booster"):
                continue
            try:
                # A number that is there twice could be that of a part that was made before, of other content.
                state = node["content"]
                known = state["content"]
                handle = known["_handle" if name.startswith("lightgbm") else "handle"]
                if any(_times(schema, each.get("__id__")) > 1 for each in (state, handle)) or "model_str" in known:
                    raise CorruptPackage("the skops file shares the state of a booster")
                if name.startswith("lightgbm") and handle["__loader__"] == "JsonNode":
                    lightgbm_text.check(json.loads(handle["content"]))
                elif name.startswith("xgboost") and handle["__loader__"] == "BytearrayNode":
                    xgboost_ubjson.check(archive.read(handle["file"]))
                else:
                    raise CorruptPackage(f"the skops file holds a booster in a {handle['__loader__']}")
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise CorruptPackage(f"the skops file holds a booster that is none: {error}") from error


def _times(schema: Any, number: Any) -> int:
    """How often a number of an object stands in a schema, wherever a reader may look for one."""
    count, stack = 0, [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            count += "__id__" in part and part["__id__"] == number
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return count


def _judged(data: bytes) -> tuple[set[str], set[str]]:
    """The names in a skops file that may be built, and those that may not."""
    schema = _schema(data)
    allowed, names = set(), set()
    for node in _nodes(schema):
        loader, module, name = node["__loader__"], node.get("__module__"), node.get("__class__")
        if not isinstance(module, str) or not isinstance(name, str):
            names.add(loader)
        elif _is_allowed(loader, module, name) and (loader != "PartialNode" or _calls_function(node)):
            allowed.add(f"{module}.{name}")
        else:
            names.add(f"{module}.{name}" if loader in _ALLOWED else f"{module}.{name} ({loader})")
    return allowed, names


def _schema(data: bytes) -> Any:
    try:
        with ZipFile(BytesIO(data)) as archive:
            # What is written here is never compressed, so a small file cannot unfold to a huge one.
            if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
                raise CorruptPackage("the skops file is compressed: it was not written by Fourfold")
            schema = json.loads(archive.read(_SCHEMA))
        protocol = schema["protocol"]
    except (BadZipFile, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptPackage(f"not a skops file: {error}") from error
    # Nodes of older protocols keep names in other places than those that are judged.
    if not isinstance(protocol, int) or protocol < _PROTOCOL:
        raise CorruptPackage(f"the skops file has the protocol {protocol!r}: it was not written by Fourfold")
    return schema


def _calls_function(node: dict[str, Any]) -> bool:
    """Whether a partial call is one of a function, which is judged as a node of its own."""
    try:
        return bool(node["content"]["func"]["__loader__"] == "FunctionNode")
    except (KeyError, TypeError):
        return False


def _is_allowed(loader: str, module: str, name: str) -> bool:
    rule = _ALLOWED.get(loader)
    return rule is not None and rule(module, name)


def _defined(module: str, name: str) -> Any:
    """What is defined in a module of a trusted library under that name, and not merely reachable there, or `None`."""
    parts = module.split(".")
    if parts[0] not in ("sklearn", "lightgbm", "xgboost", "numpy", "scipy") or _ASIDE.intersection(parts):
        return None
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return None
    return found if getattr(found, "__module__", None) == module and getattr(found, "__name__", None) == name else None


def _class(module: str, name: str) -> type | None:
    found = _defined(module, name)
    return found if isinstance(found, type) else None


def _is_object(module: str, name: str) -> bool:
    """Whether a class's objects may be made by `__new__` and `__setstate__`, its constructor never being called."""
    cls = _class(module, name)
    if cls is None:
        return False
    compiled = any(not each.__flags__ & _HEAP_TYPE for each in cls.__mro__ if each.__module__ != "builtins")
    if module.startswith("sklearn."):
        return not compiled or f"{module}.{name}" in _COMPILED
    if module == "lightgbm.sklearn":
        return name.startswith("LGBM")
    if module == "xgboost.sklearn":
        return name.startswith("XGB")
    boosters = ("lightgbm.basic.Booster", "xgboost.core.Booster", "scipy.interpolate._bsplines.BSpline")
    return f"{module}.{name}" in boosters


def _is_scalar(module: str, name: str) -> bool:
    cls = _class(module, name)
    return cls is not None and issubclass(cls, np.generic)


def _is_array(module: str, name: str) -> bool:
    return (module, name) == ("numpy", "ndarray") or _is_scalar(module, name)


def _is_type(module: str, name: str) -> bool:
    plain = module == "builtins" and name in _PRIMITIVES
    return plain or (module, name) == ("collections", "OrderedDict") or _is_scalar(module, name)


def _is_function(module: str, name: str) -> bool:
    if f"{module}.{name}" in _FUNCTIONS:
        return _defined(module, name) is not None
    if module == "numpy" and name in _NUMPY_FUNCTIONS:
        return _defined(module, name) is not None
    if module.partition(".")[0] not in ("numpy", "scipy") or _ASIDE.intersection(module.split(".")):
        return False
    # A ufunc has no `__module__`, so any module that reaches it does.
    return isinstance(_reachable(module, name), np.ufunc)


def _reachable(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def _is_sparse(module: str, name: str) -> bool:
    cls = _class(module, name)
    return cls is not None and issubclass(cls, (sparse.spmatrix, sparse.sparray))


def _is_named_tuple(module: str, name: str) -> bool:
    cls = _class(module, name)
    return cls is not None and module.startswith("sklearn.") and cls.__bases__ == (tuple,)


def _is_loss(module: str, name: str) -> bool:
    return module in ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast") and _class(module, name) is not None


def _one_of(*names: str) -> Callable[[str, str], bool]:
    return lambda module, name: f"{module}.{name}" in names


# The kinds of node that a file may have, and of which classes. Not here, so never built: nodes that call a constructor
# (`ConstructorFromReduceNode`), bind a method or look up an operator.
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
