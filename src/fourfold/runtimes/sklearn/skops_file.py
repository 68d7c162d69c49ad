"""Read and write skops files: the same bytes for the same model, and only types that this host knows.

A skops file holds no code, only the names of classes and their states. This module decides which classes may be built,
never the file: each node of the file must be of a kind in `_ALLOWED`, must name a class or function that is defined
where the file says, and must pass skops' own audit after that.
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
from fourfold.runtimes.sklearn.inspection import walk_parts

__all__ = ["dumps", "loads", "loads_trusted", "refused_names"]

_SCHEMA = "schema.json"
_PROTOCOL = 2  # the protocol of the first version of skops that Fourfold used
# Nodes of immutable objects. Whether two of them are one object depends on what the process did before.
_IMMUTABLE = frozenset({"JsonNode", "TypeNode", "FunctionNode", "TupleNode", "SliceNode", "BytesNode", "DTypeNode"})
_HEAP_TYPE = 1 << 9  # `Py_TPFLAGS_HEAPTYPE`: the class is not compiled

_PRIMITIVES = frozenset({"bool", "bytes", "complex", "float", "int", "list", "set", "str", "tuple"})
# Functions of arrays only: none of them reads or writes files, or calls its arguments.
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
# Compiled classes whose state `inspection.check_bounds` can check after loading; it cannot check any other.
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
# Modules of the trusted libraries that no fitted estimator uses; importing some of them has side effects.
_UNUSED_MODULES = frozenset({"__main__", "conftest", "datasets", "distutils", "externals", "f2py", "testing", "tests"})


def dumps(model: object) -> bytes:
    """Return a model as a skops file, the same bytes in every process.

    skops names the parts of a file by their addresses in memory, and dates them. Here parts are numbered in order, sets
    are sorted, counters and padding are zero, and the members have one date and no compression.

    Raises:
        Exception: what skops and the model's own `__getstate__` raise where they cannot store something.
    """
    # skops stores whether a `functools.partial` has a `__dict__`, which Python creates at the first look: look at all.
    for _ in walk_parts(model):
        pass
    with ZipFile(BytesIO(skops.io.dumps(model))) as source:
        members = {name: _without_padding(name, source.read(name)) for name in source.namelist()}
    schema = json.loads(members.pop(_SCHEMA))
    _reset_state(schema)
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
    """Return a member with zeros between the fields of an array, where the nodes of a tree have random bytes."""
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
    """Yield every node of a schema, in the order of the file."""
    stack = [part]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if isinstance(part.get("__loader__"), str):
                yield part
            stack.extend(reversed(part.values()))
        elif isinstance(part, list):
            stack.extend(reversed(part))


def _reset_state(schema: Any) -> None:
    """Replace values that depend on what the process did before."""
    for node in _nodes(schema):
        name = node["__class__"]
        if node["__loader__"] == "ObjectNode" and name.startswith(("KDTree", "BallTree")):
            # The tree's counters of queries.
            for counter in node["content"]["content"][7:11]:
                counter["content"] = "0"
        elif node["__loader__"] == "DictNode" and "_stop_words_id" in node["content"]:
            # The address of a vectorizer's stop words, by which it remembers that it has checked them.
            node["content"]["_stop_words_id"]["content"] = "0"
        elif node["__loader__"] == "FunctionNode":
            # A ufunc does not know its module: skops takes the first imported module that has it.
            modules = [
                module for module in ("numpy", "scipy.special") if isinstance(_attribute(module, name), np.ufunc)
            ]
            if modules and _attribute(node["__module__"], name) is _attribute(modules[0], name):
                node["__module__"] = modules[0]


def _sort_sets(schema: Any, digests: dict[str, str]) -> None:
    """Sort the members of sets by their content; `digests` are those of the files' contents, by their names."""

    def key(node: Any) -> str:
        if isinstance(node, dict):
            content = {name: value for name, value in node.items() if name != "__id__"}
            return repr([(name, digests.get(str(value)) or key(value)) for name, value in content.items()])
        return repr([key(item) for item in node]) if isinstance(node, list) else repr(node)

    for node in _nodes(schema):
        if node["__loader__"] == "SetNode":
            node["content"].sort(key=key)


def _number_objects(schema: Any) -> None:
    """Number objects in order instead of by their addresses."""
    counts: dict[int, int] = {}
    for node in _nodes(schema):
        if node["__loader__"] not in _IMMUTABLE and "__id__" in node:
            counts[node["__id__"]] = counts.get(node["__id__"], 0) + 1
    numbers: dict[int, int] = {}
    for node in _nodes(schema):
        old = node.pop("__id__", None)
        # The number says that two nodes are one object, so an object with one node needs none. Numbers start at 1:
        # skops takes 0 for no number.
        if node["__loader__"] not in _IMMUTABLE and counts.get(old, 0) > 1:
            node["__id__"] = numbers.setdefault(old, len(numbers) + 1)


def _number_files(schema: Any, members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files under names that are numbered in order, and write these into the schema."""
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


def refused_names(data: bytes) -> list[str]:
    """Return the sorted names of the types and functions in a skops file that `loads` would not build.

    Raises:
        CorruptPackage: Fourfold did not write the file.
    """
    return sorted(_judge_names(data)[1])


def loads(data: bytes) -> Any:
    """Return the estimator in a skops file.

    Raises:
        TrustError: the file holds a type that is not of scikit-learn, LightGBM, XGBoost, NumPy or SciPy.
        CorruptPackage: Fourfold did not write the file, or its parts contradict each other.
    """
    allowed, refused = _judge_names(data)
    if refused:
        raise TrustError(f"the skops file holds what no model may hold: {', '.join(sorted(refused))}")
    _check_boosters(data)
    try:
        # skops audits the file again, and trusts only the names that were allowed above.
        return skops.io.loads(data, trusted=sorted(allowed))
    except UntrustedTypesFoundException as error:
        raise TrustError(f"the skops file holds what no model may hold: {error}") from error
    # If the file contradicts itself, the libraries that read it may raise anything.
    except Exception as error:
        raise CorruptPackage(f"the skops file cannot be loaded: {type(error).__name__}: {error}") from error


def loads_trusted(data: bytes) -> Any:
    """Return the estimator in a skops file of a maker whom the host trusts, with any types.

    Raises:
        CorruptPackage: the file is no skops file, or cannot be loaded.
    """
    try:
        return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    except Exception as error:  # the maker's own classes may raise anything
        raise CorruptPackage(f"the skops file cannot be loaded: {type(error).__name__}: {error}") from error


def _check_boosters(data: bytes) -> None:
    """Check the models that LightGBM and XGBoost parse while skops builds their boosters.

    Raises:
        CorruptPackage: a model contradicts itself.
    """
    schema = _schema(data)
    with ZipFile(BytesIO(data)) as archive:
        for node in _nodes(schema):
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if node["__loader__"] != "ObjectNode" or name not in ("lightgbm.basic.Booster", "xgboost.core.Booster"):
                continue
            try:
                # skops would take a part whose number stands twice from the other node, with unchecked content.
                state = node["content"]
                attributes = state["content"]
                handle = attributes["_handle" if name.startswith("lightgbm") else "handle"]
                is_shared = any(_count_number(schema, part.get("__id__")) > 1 for part in (state, handle))
                if is_shared or "model_str" in attributes:
                    raise CorruptPackage("the skops file shares the state of a booster")
                if name.startswith("lightgbm") and handle["__loader__"] == "JsonNode":
                    lightgbm_text.check(json.loads(handle["content"]))
                elif name.startswith("xgboost") and handle["__loader__"] == "BytearrayNode":
                    xgboost_ubjson.check(archive.read(handle["file"]))
                else:
                    raise CorruptPackage(f"the skops file holds a booster in a {handle['__loader__']}")
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise CorruptPackage(f"the skops file holds a booster that is none: {error}") from error


def _count_number(schema: Any, number: Any) -> int:
    """Return how often an object's number stands in a schema, wherever a reader may look for numbers."""
    count, stack = 0, [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            count += "__id__" in part and part["__id__"] == number
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return count


def _judge_names(data: bytes) -> tuple[set[str], set[str]]:
    """Return the names in a skops file that may be built, and those that may not."""
    schema = _schema(data)
    allowed, refused = set(), set()
    for node in _nodes(schema):
        loader, module, name = node["__loader__"], node.get("__module__"), node.get("__class__")
        if not isinstance(module, str) or not isinstance(name, str):
            refused.add(loader)
        elif _is_allowed(loader, module, name) and (loader != "PartialNode" or _calls_function(node)):
            allowed.add(f"{module}.{name}")
        else:
            refused.add(f"{module}.{name}" if loader in _ALLOWED else f"{module}.{name} ({loader})")
    return allowed, refused


def _schema(data: bytes) -> Any:
    """Return the schema of a skops file; raise `CorruptPackage` where Fourfold did not write the file."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            # `dumps` does not compress, so a small file cannot unfold to a huge one.
            if any(member.compress_type != ZIP_STORED for member in archive.infolist()):
                raise CorruptPackage("the skops file is compressed: it was not written by Fourfold")
            schema = json.loads(archive.read(_SCHEMA))
        protocol = schema["protocol"]
    except (BadZipFile, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptPackage(f"not a skops file: {error}") from error
    # Nodes of older protocols have names in other keys than those that are judged.
    if not isinstance(protocol, int) or protocol < _PROTOCOL:
        raise CorruptPackage(f"the skops file has the protocol {protocol!r}: it was not written by Fourfold")
    return schema


def _calls_function(node: dict[str, Any]) -> bool:
    """Return whether a partial call is one of a function, which is a node of its own and judged."""
    try:
        return bool(node["content"]["func"]["__loader__"] == "FunctionNode")
    except (KeyError, TypeError):
        return False


def _is_allowed(loader: str, module: str, name: str) -> bool:
    rule = _ALLOWED.get(loader)
    return rule is not None and rule(module, name)


def _defined(module: str, name: str) -> Any:
    """Return what a module of a trusted library defines under that name, not what it imports; otherwise `None`."""
    parts = module.split(".")
    if parts[0] not in ("sklearn", "lightgbm", "xgboost", "numpy", "scipy") or _UNUSED_MODULES.intersection(parts):
        return None
    try:
        value = getattr(import_module(module), name, None)
    except ImportError:
        return None
    return value if getattr(value, "__module__", None) == module and getattr(value, "__name__", None) == name else None


def _class(module: str, name: str) -> type | None:
    value = _defined(module, name)
    return value if isinstance(value, type) else None


def _is_object(module: str, name: str) -> bool:
    """Return whether objects of a class may be built by `__new__` and `__setstate__`, without its constructor."""
    cls = _class(module, name)
    if cls is None:
        return False
    is_compiled = any(not base.__flags__ & _HEAP_TYPE for base in cls.__mro__ if base.__module__ != "builtins")
    if module.startswith("sklearn."):
        return not is_compiled or f"{module}.{name}" in _COMPILED
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
    if module.partition(".")[0] not in ("numpy", "scipy") or _UNUSED_MODULES.intersection(module.split(".")):
        return False
    # A ufunc has no `__module__`, so any module that has it will do.
    return isinstance(_attribute(module, name), np.ufunc)


def _attribute(module: str, name: str) -> Any:
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
