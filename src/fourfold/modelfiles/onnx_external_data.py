"""An ONNX model whose tensors lie in other files, made whole: PyTorch and MLflow write large models that way.

A package's model holds all of its own data (`onnx_protobuf`), so packing puts the tensors where they belong.
This needs the protobuf wire format, and no library.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fourfold.errors import PackError, shorten
from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.onnx_protobuf import (
    DATA_LOCATION,
    EXTERNAL_DATA,
    INSIDE,
    external_tensors,
    fields,
)

__all__ = ["whole"]

_NAME, _RAW_DATA = 8, 9
#: The most bytes of a protobuf message, and so of a model in one.
_LIMIT = 2**31 - 1


def whole(model: bytes, folder: Path) -> bytes:
    """A model with all of its tensors inside.

    Args:
        model: a serialised `ModelProto`.
        folder: where the file of the model lies; the files of its tensors lie there or below.

    Returns:
        The model itself where no tensor lies outside; otherwise the same model, serialised anew.

    Raises:
        PackError: a file is not there, lies elsewhere or is shorter than its tensors, or all of it is more than a
            model in one file can be.
        MalformedModel: the bytes are no model.
    """
    if not external_tensors(model):
        return model
    try:
        out = _rewritten("model", memoryview(model), folder.resolve())
    except RecursionError:
        raise MalformedModel("graphs nested deeper than a model's are") from None
    if len(out) > _LIMIT:
        raise PackError(f"with its tensors the model has {len(out):,} bytes; one file of ONNX holds {_LIMIT:,}")
    return out


def _rewritten(kind: str, message: memoryview, folder: Path) -> bytes:
    """A message with the tensors inside of it made whole, the rest as it was."""
    if kind == "tensor":
        return _tensor(message, folder)
    out: list[bytes | memoryview] = []
    for number, value, start, stop in fields(message):
        inner = INSIDE[kind].get(number)
        if inner is None or not isinstance(value, memoryview):
            out.append(message[start:stop])
        else:
            out += _field(number, _rewritten(inner, value, folder))
    return b"".join(out)


def _tensor(message: memoryview, folder: Path) -> bytes:
    out: list[bytes | memoryview] = []
    place: dict[str, str] = {}
    name = ""
    for number, value, start, stop in fields(message):
        if number == EXTERNAL_DATA and isinstance(value, memoryview):
            place.update([_entry(value)])
            continue
        if number == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
        if number != DATA_LOCATION:
            out.append(message[start:stop])
    if not place:
        return bytes(message)
    return b"".join([*out, *_field(_RAW_DATA, _data(name, place, folder))])


def _entry(message: memoryview) -> tuple[str, str]:
    """A key and its value."""
    pair = {number: bytes(value).decode("utf-8", "replace") for number, value in _texts(message)}
    return pair.get(1, ""), pair.get(2, "")


def _texts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    return ((number, value) for number, value, _, _ in fields(message) if isinstance(value, memoryview))


def _data(name: str, place: dict[str, str], folder: Path) -> bytes:
    """The bytes of a tensor from its file, which is only looked for in the model's own folder."""
    location = place.get("location", "")
    where = f"the model's tensor {shorten(name)} lies in the file {shorten(location)}"
    path = folder if "\0" in location else (folder / location).resolve()
    if path == folder or not path.is_relative_to(folder):
        raise PackError(f"{where}: expected a file in the model's own folder")
    try:
        offset, length = int(place.get("offset") or 0), int(place["length"]) if place.get("length") else None
    except ValueError:
        raise PackError(f"{where}, at a place that is no number: {shorten(place)}") from None
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = size - offset if length is None else length
            if offset < 0 or length < 0 or offset + length > size:
                raise PackError(f"{where}: expected {length} bytes from byte {offset}; the file has {size}")
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise PackError(
            f"{where}, which cannot be read ({error.strerror or error}): keep it beside the model, or save the model "
            "in one file, onnx.save_model(model, path, save_as_external_data=False)"
        ) from error


def _field(number: int, data: bytes) -> tuple[bytes, bytes, bytes]:
    """A field of bytes as protobuf writes it."""
    return _number(number << 3 | 2), _number(len(data)), data


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
