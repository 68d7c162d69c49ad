"""Check the array files of a skops file before NumPy, SciPy and scikit-learn read them.

A header may announce more than its file holds, a compressed sparse matrix may unfold to any size, and a tree takes its
nodes as they are.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from sklearn.tree._tree import NODE_DTYPE

from fourfold.environment import read_bytes
from fourfold.errors import CorruptPackage, PackageError, printable
from fourfold.runtimes.sklearn.skops_schema import Part, SkopsFile
from fourfold.runtimes.sklearn.skops_types import COMPILED

__all__ = ["UNPACKED_VARIABLE", "check", "limit_bytes"]

#: The environment's variable for the most bytes to which the sparse matrices of a file may unfold.
UNPACKED_VARIABLE = "FOURFOLD_MAX_SPARSE_BYTES"
#: Without it: this, or so many times the bytes of the file. Honest matrices unfold to less than twenty times.
_MAX_UNPACKED_BYTES = 512 * 2**20
_MAX_UNPACKED_TIMES = 20
_MAX_DIMENSIONS = 32
#: How many values the states of a metric and of a search tree have.
_METRIC_STATE, _SEARCH_STATE = 3, 13
#: The arrays of the sparse formats that skops stores, beside the format and the shape.
_SPARSE_ARRAYS = {
    "csr": {"data", "indices", "indptr"},
    "csc": {"data", "indices", "indptr"},
    "bsr": {"data", "indices", "indptr"},
    "coo": {"data", "row", "col"},
    "dia": {"data", "offsets"},
}


def check(file: SkopsFile) -> None:
    """Check every array of a skops file.

    Raises:
        CorruptPackage: a file is no array of numbers or texts, or a tree's arrays do not fit each other.
    """
    unpacked_bytes = 0
    checked: set[str] = set()
    for part in file.root.walk():
        name = part.node.get("file")
        if part.loader == "NdArrayNode" and part.node["type"] == "numpy" and name not in checked:
            header(file.member(part))
        elif part.loader == "SparseMatrixNode" and name not in checked:
            unpacked_bytes += _sparse_bytes(file.member(part))
        elif part.loader == "TreeNode":
            _check_tree(part, file)
        elif part.loader == "ObjectNode" and part.path in COMPILED:
            _check_compiled(part, file)
        if part.loader == "NdArrayNode" and part.module == "numpy" and part.name != "ndarray":
            _check_scalar(part, file)
        checked |= {name} if isinstance(name, str) else set()
    limit = limit_bytes(sum(map(len, file.members.values())))
    if unpacked_bytes > limit:
        raise CorruptPackage(
            f"the sparse matrices of the skops file unfold to {unpacked_bytes:,} bytes; at most {limit:,} are read, "
            f"unless {UNPACKED_VARIABLE} is set to more"
        )


def limit_bytes(size_bytes: int) -> int:
    """Return to how many bytes a file of this size may unfold; raise `PackageError` where the variable is no number."""
    try:
        return read_bytes(UNPACKED_VARIABLE, max(_MAX_UNPACKED_BYTES, _MAX_UNPACKED_TIMES * size_bytes))
    except ValueError as error:
        raise PackageError(str(error)) from None


def header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the dtype of an array file.

    Raises:
        CorruptPackage: it is no array of numbers or texts, or has other bytes than its header announces.
    """
    stream = BytesIO(data)
    try:
        version = npy.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = npy.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, _, dtype = npy.read_array_header_2_0(stream)
        else:
            raise CorruptPackage(f"an array of the skops file has the version {version}")
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        raise CorruptPackage(f"an array of the skops file has no header: {printable(str(error))}") from error
    kept_bytes = len(data) - stream.tell()
    if dtype.hasobject:
        raise CorruptPackage("an array of the skops file holds a pickle (allow_pickle): objects are no arrays")
    is_sized = len(shape) <= _MAX_DIMENSIONS and all(0 <= size < 2**63 for size in shape)
    if not is_sized or (dtype.itemsize == 0 and math.prod(shape) > len(data)):
        raise CorruptPackage(f"an array of the skops file has the shape {shape!s:.100}")
    if math.prod(shape) * dtype.itemsize != kept_bytes:
        raise CorruptPackage(
            f"an array of the skops file announces {math.prod(shape) * dtype.itemsize:,} bytes and holds {kept_bytes:,}"
        )
    return shape, dtype


def _check_scalar(part: Part, file: SkopsFile) -> None:
    if part.node["type"] != "numpy" or header(file.member(part))[0] != ():
        raise CorruptPackage(f"a {part.name} of the skops file is no single value")


def _sparse_bytes(data: bytes) -> int:
    """Return the bytes to which a sparse matrix unfolds; raise `CorruptPackage` where it is none."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            size_bytes = sum(info.file_size for info in infos.values())
            known = set().union(*_SPARSE_ARRAYS.values(), {"format", "shape", "_is_array"})
            if len(infos) != len(archive.infolist()) or not {"data", "format", "shape"} <= set(infos) <= known:
                raise CorruptPackage("a sparse matrix of the skops file has other arrays than its format")
            form = archive.read(infos["format"]) if infos["format"].file_size < 4096 else b""
    except (BadZipFile, NotImplementedError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise CorruptPackage(f"a sparse matrix of the skops file is none: {printable(str(error))}") from error
    shape, dtype = header(form)
    if shape != () or dtype.kind not in "US":
        raise CorruptPackage("a sparse matrix of the skops file has no format")
    name = np.load(BytesIO(form), allow_pickle=False).item()
    arrays = _SPARSE_ARRAYS.get(name.decode("latin-1") if isinstance(name, bytes) else name)
    if arrays is None or not arrays <= set(infos):
        raise CorruptPackage("a sparse matrix of the skops file has other arrays than its format")
    return size_bytes


def _check_tree(part: Part, file: SkopsFile) -> None:
    """Check the arguments and the state of a tree, which takes them without a look at their sizes."""
    arguments, state = dict(part.items)["args"].elements, part.state
    names = {"max_depth", "node_count", "nodes", "values"}
    if dict(part.items)["args"].path != "builtins.tuple" or len(arguments) != 3 or not names <= set(state):
        raise CorruptPackage("a tree of the skops file lacks its nodes")
    width, outputs = (_count(arguments[index]) for index in (0, 2))
    depth, count = _count(state["max_depth"]), _count(state["node_count"])
    classes = _array(arguments[1], file)
    largest = int(classes.max()) if classes.size and classes.dtype.kind in "iu" else 0
    nodes_shape, nodes_dtype = _shape(state["nodes"], file)
    values_shape, values_dtype = _shape(state["values"], file)
    if not (
        classes.dtype.kind in "iu"
        and classes.shape == (outputs,)
        and outputs >= 1
        and width >= 0
        and depth >= 0
        and count >= 1
        and int(classes.min()) >= 1
        and nodes_shape == (count,)
        and nodes_dtype.names == NODE_DTYPE.names
        and values_shape == (count, outputs, largest)
        and values_dtype.kind == "f"
    ):
        raise CorruptPackage("a tree of the skops file has nodes and values that do not fit each other")


def _check_compiled(part: Part, file: SkopsFile) -> None:
    """Check the state of a search tree or a metric, whose classes read it as the tuple that they wrote."""
    content = dict(part.items).get("content")
    if content is None or content.loader != "TupleNode" or content.name != "tuple":
        raise CorruptPackage(f"a {part.name} of the skops file has no state")
    state = content.elements
    is_metric = "_dist_metrics" in part.module
    arrays = (1, 2) if is_metric else (0, 1, 2, 3)
    if len(state) != (_METRIC_STATE if is_metric else _SEARCH_STATE):
        raise CorruptPackage(f"a {part.name} of the skops file has a state of {len(state)} values")
    for index in arrays:
        _shape(state[index], file)
    if not is_metric:
        for index in range(4, 11):
            _count(state[index])
        metric = state[11]
        if metric.loader != "ObjectNode" or metric.path not in COMPILED or "_dist_metrics" not in metric.module:
            raise CorruptPackage(f"a {part.name} of the skops file has no metric")
        if state[12].loader != "JsonNode" or state[12].value() is not None:
            _shape(state[12], file)


def _count(part: Part) -> int:
    """Return an integer of 32 bits; raise `CorruptPackage` where a part is none."""
    value = part.value() if part.loader == "JsonNode" else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise CorruptPackage("a tree of the skops file has a count that is no number")
    return value


def _shape(part: Part, file: SkopsFile) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if part.loader != "NdArrayNode" or part.node["type"] != "numpy" or part.path != "numpy.ndarray":
        raise CorruptPackage("a tree of the skops file has no arrays")
    return header(file.member(part))


def _array(part: Part, file: SkopsFile) -> Any:
    shape, _ = _shape(part, file)
    if len(shape) != 1:
        raise CorruptPackage("a tree of the skops file has no classes")
    return np.load(BytesIO(file.member(part)), allow_pickle=False)
