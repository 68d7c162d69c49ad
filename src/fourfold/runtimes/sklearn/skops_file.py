"""Read and write skops files: the same bytes for the same model, and only types that this host knows.

A skops file holds no code, only the names of classes and their states. Before anything of it is built, `skops_schema`
reads it as skops will, `skops_types` decides by name what may be built, `skops_layout` where it may stand and how
functions may be called, and `skops_arrays` what its arrays look like; `inspection` checks the built model's indices.
"""

from __future__ import annotations

import json
from hashlib import sha256
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from fourfold.errors import CorruptPackage, TrustError, describe, printable
from fourfold.modelfiles import lightgbm_text, xgboost_ubjson
from fourfold.runtimes.sklearn import skops_arrays, skops_layout, skops_schema, skops_types
from fourfold.runtimes.sklearn.inspection import check_bounds, walk_parts
from fourfold.runtimes.sklearn.patterns import check_patterns
from fourfold.runtimes.sklearn.skops_schema import SCHEMA, nodes
from fourfold.runtimes.sklearn.skops_types import attribute
from fourfold.runtimes.sklearn.widths import check_widths

__all__ = ["dumps", "loads", "loads_trusted", "refused_names"]

#: The most names that a message lists, and the most characters of one.
MAX_NAMES_SHOWN, MAX_NAME_CHARACTERS = 10, 120
# Nodes of immutable objects. Whether two of them are one object depends on what the process did before.
_IMMUTABLE = frozenset({"JsonNode", "TypeNode", "FunctionNode", "TupleNode", "SliceNode", "BytesNode", "DTypeNode"})


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
    schema = json.loads(members.pop(SCHEMA))
    _reset_state(schema)
    _sort_sets(schema, {name: sha256(data).hexdigest() for name, data in members.items()})
    _number_objects(schema)
    files = _number_files(schema, members)
    text = json.dumps(schema, separators=(",", ":")).encode()
    target = BytesIO()
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name, data in {SCHEMA: text, **files}.items():
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


def _reset_state(schema: Any) -> None:
    """Replace values that depend on what the process did before."""
    for node in nodes(schema):
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
            modules = [module for module in ("numpy", "scipy.special") if isinstance(attribute(module, name), np.ufunc)]
            if modules and attribute(node["__module__"], name) is attribute(modules[0], name):
                node["__module__"] = modules[0]


def _sort_sets(schema: Any, digests: dict[str, str]) -> None:
    """Sort the members of sets by their content; `digests` are those of the files' contents, by their names."""

    def key(node: Any) -> str:
        if isinstance(node, dict):
            content = {name: value for name, value in node.items() if name != "__id__"}
            return repr([(name, digests.get(str(value)) or key(value)) for name, value in content.items()])
        return repr([key(item) for item in node]) if isinstance(node, list) else repr(node)

    for node in nodes(schema):
        if node["__loader__"] == "SetNode":
            node["content"].sort(key=key)


def _number_objects(schema: Any) -> None:
    """Number objects in order instead of by their addresses."""
    counts: dict[int, int] = {}
    for node in nodes(schema):
        if node["__loader__"] not in _IMMUTABLE and "__id__" in node:
            counts[node["__id__"]] = counts.get(node["__id__"], 0) + 1
    numbers: dict[int, int] = {}
    for node in nodes(schema):
        old = node.pop("__id__", None)
        # The number says that two nodes are one object, so an object with one node needs none. Numbers start at 1:
        # skops takes 0 for no number.
        if node["__loader__"] not in _IMMUTABLE and counts.get(old, 0) > 1:
            node["__id__"] = numbers.setdefault(old, len(numbers) + 1)


def _number_files(schema: Any, members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files under names that are numbered in order, and write these into the schema."""
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    for node in nodes(schema):
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
    refused = skops_types.judge(skops_schema.read(data).root)[1]
    return [printable(name, MAX_NAME_CHARACTERS) for name in sorted(refused)]


def _list_names(names: set[str]) -> str:
    """Return the first of the names of a file for a message."""
    shown = ", ".join(printable(name, MAX_NAME_CHARACTERS) for name in sorted(names)[:MAX_NAMES_SHOWN])
    return shown + (f" and {len(names) - MAX_NAMES_SHOWN:,} more" if len(names) > MAX_NAMES_SHOWN else "")


def loads(data: bytes) -> Any:
    """Return the estimator in a skops file.

    Raises:
        TrustError: the file holds a type that is not of scikit-learn, LightGBM, XGBoost, NumPy or SciPy, or arranges
            its parts as no fitted model has them.
        CorruptPackage: Fourfold did not write the file, or its parts contradict each other.
    """
    file = skops_schema.read(data)
    allowed, refused = skops_types.judge(file.root)
    if refused:
        raise TrustError(f"the skops file holds what no model may hold: {_list_names(refused)}")
    skops_arrays.check(file)
    skops_layout.check(file.root)
    _check_boosters(file)
    try:
        # skops audits the file again, and trusts only the names that were allowed above.
        model = skops.io.loads(data, trusted=sorted(allowed))
    except UntrustedTypesFoundException as error:
        raise TrustError(f"the skops file holds what no model may hold: {printable(str(error))}") from error
    # If the file contradicts itself, the libraries that read it may raise anything.
    except Exception as error:
        raise CorruptPackage(f"the skops file cannot be loaded: {describe(error)}") from error
    try:
        check_bounds(model)
        check_patterns(model)
        check_widths(model)
    except RecursionError as error:
        raise CorruptPackage("the skops file holds an estimator that contains itself") from error
    return model


def loads_trusted(data: bytes) -> Any:
    """Return the estimator in a skops file of a maker whom the host trusts, with any types in any arrangement.

    Raises:
        CorruptPackage: the file is no skops file, cannot be loaded, or leads compiled code out of bounds.
    """
    try:
        file = skops_schema.read(data)
    except CorruptPackage:
        file = None  # a compressed file, one of an older protocol, or none at all, which skops says
    if file is not None:
        skops_arrays.check(file)
        _check_boosters(file)
    try:
        model = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    except Exception as error:  # the maker's own classes may raise anything
        raise CorruptPackage(f"the skops file cannot be loaded: {describe(error)}") from error
    check_bounds(model)
    return model


def _check_boosters(file: skops_schema.SkopsFile) -> None:
    """Check the models that LightGBM and XGBoost parse while skops builds their boosters.

    Raises:
        CorruptPackage: a model contradicts itself.
    """
    for part in file.root.walk():
        if part.loader != "ObjectNode" or part.path not in ("lightgbm.basic.Booster", "xgboost.core.Booster"):
            continue
        is_lightgbm = part.module.startswith("lightgbm")
        handle = part.state.get("_handle" if is_lightgbm else "handle")
        if handle is None or "model_str" in part.state:
            raise CorruptPackage("the skops file holds a booster without its bytes")
        try:
            if is_lightgbm and handle.loader == "JsonNode":
                lightgbm_text.check(handle.value())
            elif not is_lightgbm and handle.loader == "BytearrayNode":
                xgboost_ubjson.check(file.member(handle))
            else:
                raise CorruptPackage(f"the skops file holds a booster in a {handle.loader}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CorruptPackage(
                f"the skops file holds a booster that cannot be read: {printable(str(error))}"
            ) from error
