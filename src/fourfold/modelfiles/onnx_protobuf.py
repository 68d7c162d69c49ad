"""Find the tensors of an ONNX file whose values lie in other files: a package's model must hold all of its data.

A tensor can name the file of its values by any path, which ONNX Runtime would open. So such a model is refused before
any library sees it. This needs no library, only the field numbers in `onnx.proto` and the wire format of protobuf
(https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Iterator

from fourfold.modelfiles import MalformedModel

__all__ = ["DATA_LOCATION", "EXTERNAL_DATA", "SUBMESSAGES", "external_tensors", "fields"]

#: The fields that lead to tensors: for each kind of message the kind of message in a field, by the field's number.
SUBMESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
#: The fields of a tensor whose values lie in another file.
EXTERNAL_DATA, DATA_LOCATION = 13, 14
_TENSOR_NAME = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# The most bytes of a varint of 32 bits (a tag or a length), and of any other.
_MAX_BYTES_32, _MAX_BYTES_64 = 5, 10


def external_tensors(model: bytes) -> list[str]:
    """Return the names of the tensors whose values lie in other files.

    Args:
        model: a serialised `ModelProto`.

    Raises:
        MalformedModel: the bytes are no `ModelProto`.
    """
    # Parsers open a file only for an entry with this key. The check saves seconds: a large forest has many messages.
    if b"location" not in model:
        return []
    outside: list[str] = []
    stack = [("model", memoryview(model))]
    while stack:
        kind, message = stack.pop()
        name, is_external = "", False
        for number, value, _, _ in fields(message):
            if kind == "tensor" and number in (EXTERNAL_DATA, DATA_LOCATION):
                is_external = is_external or value != 0
            elif kind == "tensor" and number == _TENSOR_NAME and isinstance(value, memoryview):
                name = bytes(value).decode("utf-8", "replace")
            inner_kind = SUBMESSAGES[kind].get(number)
            if inner_kind is not None:
                if not isinstance(value, memoryview):
                    raise MalformedModel(f"a {kind} whose {inner_kind} is no message")
                stack.append((inner_kind, value))
        if is_external:
            outside.append(name or "a tensor without a name")
    return outside


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, int, int]]:
    """Yield the fields of a message: the number, the value, and the positions where the field starts and stops.

    Raises:
        MalformedModel: the bytes are no message.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _tag(message, position)
        wire_type = tag & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield tag >> 3, value, start, position
            continue
        if wire_type == _BYTES:
            size, position = _varint(message, position, max_bytes=_MAX_BYTES_32)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise MalformedModel(f"wire type {wire_type}")
        if position + size > len(message):
            raise MalformedModel("a field longer than its message")
        content, position = message[position : position + size], position + size
        yield tag >> 3, content, start, position


def _tag(message: memoryview, position: int) -> tuple[int, int]:
    """Return a field's tag, its number and wire type, and the position after it.

    A tag that is longer than needed is refused: parsers keep different bits of it, and each would see another field.
    """
    tag, end = _varint(message, position, max_bytes=_MAX_BYTES_32)
    if tag >> 32 or not tag >> 3:
        raise MalformedModel(f"a field number {tag >> 3}")
    if end - position > 1 and not message[end - 1]:
        raise MalformedModel("a field number that is written longer than it is")
    return tag, end


def _varint(message: memoryview, position: int, max_bytes: int = _MAX_BYTES_64) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    value = 0
    for shift in range(0, 7 * max_bytes, 7):
        if position >= len(message):
            raise MalformedModel("a number that is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise MalformedModel(f"a number of more than {max_bytes} bytes")
