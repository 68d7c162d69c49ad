"""Change skops files: their arrays, their numbers and texts, and the arrangement of their parts."""

from __future__ import annotations

import copy
import io
import json
import random
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from fourfold.errors import EngineError
from fourfold.runtimes.sklearn import storage
from tests.fuzz.harness import Target
from tests.fuzz.skops_models import bases

__all__ = ["TARGET", "attempt", "mutate"]

INTEGERS = (0, 1, 2, 3, -1, -2, 7, 100, 1000, 65536, 2**24, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0, -0.0, -1.0, 2.0**31, 1e10)
DTYPES = (
    "int8",
    "int32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
    "bool",
    "complex128",
    "<U0",
    "S3",
    ">f8",
    "M8[s]",
)
#: A file that no model may read or write; a name of this process's own, so that an audit hook can look for it.
CANARY = str(Path(tempfile.gettempdir()) / "fourfold-canary")
TEXTS = (
    *(
        "precomputed",
        "callable",
        "euclidean",
        "minkowski",
        "haversine",
        "cosine",
        "brute",
        "kd_tree",
        "ball_tree",
        "rbf",
    ),
    *(
        "poly",
        "linear",
        "sigmoid",
        "",
        "filename",
        "file",
        "content",
        "tofile",
        "dump",
        "predict",
        "drop",
        "passthrough",
    ),
    *("predict_proba", "word", "char", "char_wb", "uniform", "distance", "onehot", "ordinal", "lil", "(a+)+$", CANARY),
    *("pandas", "polars", "auto", "__class__", "tostring", "setfield", "resize", "random", "mean", "lars", "cd", "omp"),
)
#: Larger sparse answers stay sparse: they take the memory that their width asks for.
MAX_CELLS = 2**24
METHODS = ("predict", "predict_proba", "decision_function", "score_samples", "transform")

Schema = dict[str, Any]
Members = dict[str, bytes]


def mutate(base: tuple[bytes, Any], source: random.Random) -> tuple[bytes, Any]:
    """Return a changed skops file, with the rows of the good one."""
    data, rows = base
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        change = source.choices(CHANGES, WEIGHTS)[0]
        change(schema, members, source)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue(), rows


def _nodes(schema: Schema, loader: str = "") -> list[Schema]:
    """Return the nodes of a schema, or those of one kind."""
    nodes, stack = [], [schema]
    while stack:
        part: Any = stack.pop()
        if isinstance(part, dict):
            if isinstance(part.get("__loader__"), str) and loader in ("", part["__loader__"]):
                nodes.append(part)
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return nodes


def _change_array(schema: Schema, members: Members, source: random.Random) -> None:
    names = [name for name in members if name.endswith((".npy", ".npz"))]
    if not names:
        return
    name = source.choice(sorted(names))
    target = io.BytesIO()
    try:
        loaded = np.load(io.BytesIO(members[name]), allow_pickle=False)
        if name.endswith(".npy"):
            np.save(target, _changed(loaded, source), allow_pickle=False)
        else:
            arrays = dict(loaded)
            key = source.choice(sorted(arrays))
            if key == "format":
                arrays[key] = np.array(source.choice([b"csr", b"csc", b"coo", b"bsr", b"dia"]))
            else:
                arrays[key] = _changed(arrays[key], source)
            np.savez(target, **arrays)
    except (ValueError, EOFError, OSError, MemoryError):
        return  # an earlier change left no array
    members[name] = target.getvalue()


def _changed(array: Any, source: random.Random) -> Any:
    """Return an array with other numbers, another shape or another dtype."""
    array = array.copy()
    if array.dtype.names and array.size and source.random() < 0.75:
        field = source.choice(array.dtype.names)
        for _ in range(source.choice((1, 1, 3))):
            _set_number(array[field].reshape(-1), source) if array.ndim == 1 else None
        return array
    chance = source.random()
    if chance < 0.5 and array.size:
        flat = array.reshape(-1)
        for _ in range(source.choice((1, 1, 2, 5))):
            _set_number(flat, source)
        return flat.reshape(array.shape)
    if array.dtype.kind != "V" and chance < 0.6:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return array.astype(source.choice(DTYPES))
    return source.choice(_SHAPES)(array, source)


def _set_number(flat: Any, source: random.Random) -> None:
    """Set one number of a flat array."""
    index = source.randrange(flat.size)
    kind = flat.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):
            flat[index] = source.choice(FLOATS)
    elif kind in "iu":
        limits = np.iinfo(flat.dtype)
        number = source.choice(
            [*INTEGERS, int(flat[index]) + 1, int(flat[index]) - 1, int(limits.max), int(limits.min)]
        )
        flat[index] = max(int(limits.min), min(int(limits.max), number))
    elif kind == "b":
        flat[index] = not flat[index]
    elif kind == "U":
        flat[index] = source.choice(TEXTS)


_SHAPES = (
    lambda array, source: array[: source.randrange(len(array) + 1)] if array.ndim else array.reshape(1),
    lambda array, source: np.concatenate([array, array]) if array.ndim else array,
    lambda array, source: array[:, : source.randrange(array.shape[1] + 1)] if array.ndim == 2 else array[None],
    lambda array, source: np.concatenate([array, array], 1) if array.ndim == 2 else array,
    lambda array, source: np.asfortranarray(array) if array.ndim > 1 else np.flip(array).copy(),
    lambda array, source: array.reshape(-1) if array.ndim > 1 else array.reshape(-1, 1),
    lambda array, source: array.T.copy(),
    lambda array, source: array.reshape(-1)[0].copy() if array.size else array.reshape(0, 0),
    lambda array, source: np.zeros(array.shape, np.float64),
)


def _change_header(schema: Schema, members: Members, source: random.Random) -> None:
    """Announce another shape than an array has."""
    names = sorted(name for name in members if name.endswith(".npy"))
    if names:
        name = source.choice(names)
        shape = source.choice([b"(),", b"(0,),", b"(1099511627776,),", b"(-1,),", b"(4611686018427387904, 4),"])
        head, mark, tail = members[name].partition(b"'shape': ")
        end = tail.find(b"}")
        if mark and end > 0:
            members[name] = head + mark + (shape + b" ").ljust(end)[: max(end, len(shape))] + tail[end:]


def _change_json(schema: Schema, members: Members, source: random.Random) -> None:
    nodes = _nodes(schema, "JsonNode")
    if not nodes:
        return
    node = source.choice(nodes)
    try:
        value = json.loads(node["content"])
    except (KeyError, TypeError, ValueError):
        return
    if isinstance(value, bool):
        value = source.choice([not value, None, 0])
    elif isinstance(value, int):
        value = source.choice([*INTEGERS, value + 1, value - 1, value * 2, 0.5])
    elif isinstance(value, float):
        value = source.choice([*map(float, FLOATS), *INTEGERS])
    elif value is None:
        value = source.choice([0, 1, "auto", True, [1, 2], {"a": 1}])
    else:
        value = source.choice(TEXTS)
    node["content"] = json.dumps(value)


def _swap_files(schema: Schema, members: Members, source: random.Random) -> None:
    nodes = [node for node in _nodes(schema) if isinstance(node.get("file"), str)]
    if len(nodes) > 1:
        left, right = source.sample(nodes, 2)
        left["file"], right["file"] = right["file"], source.choice([left["file"], right["file"]])


def _graft(schema: Schema, members: Members, source: random.Random) -> None:
    """Put a copy of one part in the place of another."""
    nodes = _nodes(schema)
    left, right = source.choice(nodes), source.choice([*nodes, *FOREIGN])
    replaced = copy.deepcopy(right)
    if left is not schema:
        left.clear()
        left.update(replaced)


def _rename(schema: Schema, members: Members, source: random.Random) -> None:
    """Drop an attribute, or give it another's name."""
    nodes = [node for node in _nodes(schema, "DictNode") if isinstance(node.get("content"), dict) and node["content"]]
    if nodes:
        content = source.choice(nodes)["content"]
        name = source.choice(sorted(content))
        value = content.pop(name)
        if source.random() < 0.4:
            others = [key for node in nodes for key in node["content"]]
            content[source.choice([*others, *METHODS, "_impl", "__class__", "stack_method_", "n_features_in_"])] = value


def _share(schema: Schema, members: Members, source: random.Random) -> None:
    """Give two parts one number: skops builds the first, and takes it for the second."""
    nodes = _nodes(schema)
    left, right = source.choice(nodes), source.choice(nodes)
    left["__id__"] = right["__id__"] = 77


def _change_class(schema: Schema, members: Members, source: random.Random) -> None:
    nodes = _nodes(schema)
    left, right = source.choice(nodes), source.choice(nodes)
    left["__class__"], left["__module__"] = right["__class__"], right["__module__"]
    if source.random() < 0.3:
        left["__loader__"] = right["__loader__"]


def _node(loader: str, name: str, **more: Any) -> Schema:
    module, _, cls = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": cls, **more}


#: Parts of other files.
FOREIGN = (
    _node("JsonNode", "builtins.str", content="null"),
    _node("JsonNode", "builtins.str", content=json.dumps(CANARY)),
    _node("JsonNode", "builtins.str", content='"passthrough"'),
    _node("FunctionNode", "numpy.max"),
    _node("FunctionNode", "numpy.add"),
    _node("TypeNode", "builtins.list"),
    _node("ListNode", "builtins.list", content=[]),
    _node("ObjectNode", "sklearn.preprocessing._data.StandardScaler"),
    _node("ObjectNode", "sklearn.neighbors._kd_tree.KDTree64"),
    _node("ObjectNode", "sklearn.metrics._dist_metrics.EuclideanDistance64"),
)
CHANGES = (*(_change_array, _change_header, _change_json, _swap_files, _graft, _rename, _share, _change_class),)
WEIGHTS = (40, 3, 25, 8, 10, 6, 4, 4)

_touched: list[str] = []
_is_watched = False


def _watch(event: str, words: tuple[Any, ...]) -> None:
    """Note what opens the canary, a socket or a process; joblib counts the cores with `lscpu`."""
    if event == "subprocess.Popen" and words[0] == "lscpu":
        return
    is_canary = event == "open" and isinstance(words[0], (str, bytes)) and CANARY in str(words[0])
    if is_canary or event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec"):
        _touched.append(f"{event} {words[0]!s:.100}")


def attempt(changed: tuple[bytes, Any]) -> None:
    """Load a file and ask the model with each of its methods.

    Raises:
        CorruptPackage, TrustError, PackageError: the file is refused.
        EngineError: the model fails on its rows.
        RuntimeError: the model opens a file, a socket or a process.
    """
    global _is_watched  # noqa: PLW0603 - an audit hook cannot be taken away
    if not _is_watched:
        sys.addaudithook(_watch)
        _is_watched = True
    _touched.clear()
    data, rows = changed
    problem: Exception | None = None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = storage.restore(storage.SKOPS, data)
            for name in METHODS:
                try:
                    method = getattr(model, name, None)
                    if method is not None:
                        _read(method(rows))
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - an engine turns what its model raises into an EngineError
                    problem = error
        finally:
            if _touched:
                raise RuntimeError(f"it reached outside: {_touched[0]}")
    if problem is not None:
        raise EngineError(str(problem))


def _read(answer: Any) -> None:
    """Read an answer as an engine does: a sparse one becomes an array."""
    if sparse.issparse(answer) and answer.shape[0] * answer.shape[1] <= MAX_CELLS:
        answer.toarray()


TARGET = Target("skops", bases, mutate, attempt, lambda changed: changed[0])
