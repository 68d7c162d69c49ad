"""Read the schema of a skops file as a tree of parts, exactly as skops will read it.

A skops file is a zip: `schema.json` names the classes and nests their states, and members hold the arrays. Each node of
the schema becomes a `Part`. What skops would not read as it is read here is refused, so that a part that was judged is
the part that is built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from fourfold.errors import CorruptPackage, describe, printable, shorten

__all__ = ["SCHEMA", "Part", "SkopsFile", "nodes", "read"]

SCHEMA = "schema.json"
_PROTOCOL = 2  # the protocol of the first version of skops that Fourfold used

#: The keys under which nodes of a kind hold others: in the node's `content`, or (`None`) the content itself is one.
_CONTENT_KEYS: dict[str, tuple[str, ...] | None] = {
    "DTypeNode": None,
    "DefaultDictNode": ("main", "default_factory"),
    "LossNode": None,
    "MaskedArrayNode": ("data", "mask"),
    "ObjectNode": None,
    "PartialNode": ("func", "args", "kwds", "namespace"),
    "RandomGeneratorNode": ("bit_generator", "seed_seq"),
    "RandomStateNode": None,
    "TreeNode": None,
}
_SEQUENCES = frozenset({"ListNode", "SetNode", "TupleNode"})


@dataclass(slots=True)
class Part:
    """Represent a node of a schema.

    Attributes:
        loader: the kind of node.
        module: the module that the node names.
        name: the class or function that the node names.
        node: the node as it stands in the file.
        items: the parts inside it, with their keys: an attribute's or a key's name, an index, or a name of skops' own.
    """

    loader: str
    module: str
    name: str
    node: dict[str, Any]
    items: list[tuple[Any, Part]]

    @property
    def path(self) -> str:
        """Return the dotted name of the class or function."""
        return f"{self.module}.{self.name}"

    @property
    def state(self) -> dict[str, Part]:
        """Return the attributes of an object by their names; none where its state is no dict."""
        content = dict(self.items).get("content") if self.loader in ("ObjectNode", "TreeNode", "LossNode") else None
        return content.entries if content is not None and content.loader == "DictNode" else {}

    @property
    def entries(self) -> dict[str, Part]:
        """Return the values of a dict by their keys, as texts."""
        return {key: part for key, part in self.items if key is not _KEY_TYPES}

    @property
    def elements(self) -> list[Part]:
        """Return the parts of a list, a tuple, a set or an array of objects, without those that describe it."""
        return [part for key, part in self.items if isinstance(key, int)]

    def value(self) -> Any:
        """Return the number, text or nested list of a `JsonNode`; raise `CorruptPackage` where it is none."""
        try:
            return json.loads(self.node["content"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CorruptPackage(f"the skops file holds a value that is not valid: {printable(str(error))}") from error

    def walk(self) -> Iterator[Part]:
        """Yield the part and all parts inside it, in the order of the file."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(part for _, part in reversed(part.items))


#: The key of the types of a dict's keys; no text, so that no key of the dict equals it.
_KEY_TYPES = ("key_types",)


@dataclass(frozen=True)
class SkopsFile:
    """Hold a skops file that was read.

    Attributes:
        root: the part that is the model.
        members: the bytes of the members, by their names.
    """

    root: Part
    members: dict[str, bytes]

    def member(self, part: Part) -> bytes:
        """Return the bytes of the file that a part names; raise `CorruptPackage` where there is none."""
        name = part.node.get("file")
        if not isinstance(name, str) or name not in self.members:
            raise CorruptPackage("the skops file names a file that it lacks")
        return self.members[name]


def read(data: bytes) -> SkopsFile:
    """Return the parts of a skops file.

    Raises:
        CorruptPackage: it is no skops file, is compressed, or its nodes are not nested as skops nests them.
    """
    members = _members(data)
    try:
        schema = json.loads(members[SCHEMA])
        protocol = schema["protocol"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptPackage(f"not a skops file: {printable(str(error))}") from error
    # Nodes of older protocols have names in other keys than those that are judged.
    if isinstance(protocol, bool) or not isinstance(protocol, int) or protocol < _PROTOCOL:
        raise CorruptPackage(f"the skops file has the protocol {shorten(protocol)}: it was not written by Fourfold")
    try:
        file = SkopsFile(_part(schema), members)
        _check_numbers(file)
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise CorruptPackage(f"the skops file is not nested as skops nests: {describe(error)}") from error
    return file


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with ZipFile(BytesIO(data)) as archive:
            infos = archive.infolist()
            # `dumps` does not compress, so a small file cannot unfold to a huge one.
            if any(info.compress_type != ZIP_STORED for info in infos):
                raise CorruptPackage("the skops file is compressed: it was not written by Fourfold")
            # Members may lie over each other, and so unfold as well.
            if sum(info.file_size for info in infos) > len(data):
                raise CorruptPackage("the members of the skops file are longer than the file")
            if len({info.filename for info in infos}) != len(infos):
                raise CorruptPackage("the skops file has two members of one name")
            return {info.filename: archive.read(info) for info in infos}
    except (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise CorruptPackage(f"not a skops file: {printable(str(error))}") from error


def nodes(part: Any) -> Iterator[dict[str, Any]]:
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


def _part(node: Any) -> Part:
    """Return a node and what it holds; raise what a node raises that is not built as skops builds it."""
    loader, content = node["__loader__"], node.get("content")
    if not isinstance(loader, str):
        raise TypeError("a node without a kind")
    items: list[tuple[Any, Part]] = []
    if loader in _SEQUENCES or (loader == "NdArrayNode" and node["type"] == "json"):
        items = [(index, _part(item)) for index, item in enumerate(content)]
        if loader == "NdArrayNode":
            items.append(("shape", _part(node["shape"])))
    elif loader == "DictNode":
        items = [(_KEY_TYPES, _part(node["key_types"])), *((key, _part(value)) for key, value in content.items())]
    elif loader in _CONTENT_KEYS:
        keys = _CONTENT_KEYS[loader]
        if keys is not None:
            items = [(key, _part(content[key])) for key in keys]
        elif content is not None:
            items = [("content", _part(content))]
        if loader in ("LossNode", "TreeNode"):
            items.append(("args", _part(node["__reduce__"]["args"])))
    return Part(loader, node["__module__"], node["__class__"], node, items)


def _check_numbers(file: SkopsFile) -> None:
    """Check that nodes of one number are one: skops builds the first of them, and takes it for the others.

    Raises:
        CorruptPackage: they differ.
    """
    numbered: dict[int, Part] = {}
    names: dict[int, str] = {}
    for part in file.root.walk():
        number = part.node.get("__id__")
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int):
            raise CorruptPackage("the skops file numbers a part with what is no number")
        other = numbered.setdefault(number, part)
        if other is not part and _digest(other, names, file) != _digest(part, names, file):
            raise CorruptPackage(f"the skops file gives the number {number} to two parts that differ")


def _digest(part: Part, digests: dict[int, str], file: SkopsFile) -> str:
    """Return a digest of what a part is built from, without numbers; `digests` remembers them by the parts' `id`."""
    digest = digests.get(id(part))
    if digest is None:
        own = {
            key: value for key, value in part.node.items() if key in ("__loader__", "__module__", "__class__", "type")
        }
        if part.loader in ("JsonNode", "SliceNode"):
            own["content"] = part.node.get("content")
        if "file" in part.node:
            own["file"] = sha256(file.member(part)).hexdigest()
        inside = [[str(key), _digest(item, digests, file)] for key, item in part.items]
        digest = digests[id(part)] = sha256(json.dumps([own, inside], sort_keys=True).encode()).hexdigest()
    return digest
