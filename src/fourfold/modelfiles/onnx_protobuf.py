"""The bytes of an ONNX file, read only as far as trust needs: a model must hold all of its own data.

A tensor can say that its values lie in another file, by a path that the file's maker chose. ONNX Runtime would open it,
so such a model is refused before any library sees it. This needs the protobuf wire format, and no library.
"""

from __future__ import annotations

from collections.abc import Iterator

from fourfold.modelfiles import MalformedModel

__all__ = ["DATA_LOCATION", "EXTERNAL_DATA", "INSIDE", "external_tensors", "fields"]

#: The fields of onnx.proto that lead to tensors, by message: field number -> message.
INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
#: The fields of a tensor that lies in another file.
EXTERNAL_DATA, DATA_LOCATION = 13, 14
_TENSOR_NAME = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# The most bytes of a number: of a tag or a length, which have 32 bits, and of any other.
_SHORT, _LONG = 5, 10


def external_tensors(model: bytes) -> list[str]:
    """The names of the tensors whose values lie outside of a model.

    Args:
        model: a serialised `ModelProto`.

    Raises:
        MalformedModel: it is none.
    """
    # Only an entry with this key makes anybody open a file, and walking through a large forest takes seconds.
    if b"location" not in model:
        return []
    outside: list[str] = []
    stack = [("model", memoryview(model))]
    while stack:
        kind, message = stack.pop()
        name, external = "", False
        for number, value, _, _ in fields(message):
            if kind == "tensor" and number in (EXTERNAL_DATA, DATA_LOCATION):
                external = external or value != 0
            elif kind == "tensor" and number == _TENSOR_NAME and isinstance(value, memoryview):
                name = bytes(value).decode("utf-8", "replace")
            inner = INSIDE[kind].get(number)
            if inner is not None:
                if not isinstance(value, memoryview):
                    raise MalformedModel(f"a {kind} whose {inner} is no message")
                stack.append((inner, value))
        if external:
            outside.append(name or "a tensor without a name")
    return outside


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, int, int]]:
    """The fields of a message: the number, the value, and where in the message it starts and stops.

    Raises:
        MalformedModel: it is no message.
    """
    position = 0
    while position < len(message):
        start = position
        key, position = _tag(message, position)
        wire = key & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value, start, position
            continue
        if wire == _BYTES:
            size, position = _varint(message, position, limit=_SHORT)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise MalformedModel(f"wire type {wire}")
        if position + size > len(message):
            raise MalformedModel("a field longer than its message")
        inside, position = message[position : position + size], position + size
        yield key >> 3, inside, start, position


def _tag(message: memoryview, position: int) -> tuple[int, int]:
    """A field's number and wire type, refused unless written as every writer does.

    Parsers differ in how many bits they keep of a tag that is too long, and each would see another field.
    """
    tag, end = _varint(message, position, limit=_SHORT)
    if tag >> 32 or not tag >> 3:
        raise MalformedModel(f"a field number {tag >> 3}")
    if end - position > 1 and not message[end - 1]:
        raise MalformedModel("a field number that is written longer than it is")
    return tag, end


def _varint(message: memoryview, position: int, limit: int = _LONG) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * limit, 7):
        if position >= len(message):
            raise MalformedModel("a number that is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise MalformedModel(f"a number of more than {limit} bytes")
