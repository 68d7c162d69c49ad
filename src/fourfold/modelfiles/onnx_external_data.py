"""Put the tensors of an ONNX model that lie in other files into the model: PyTorch and MLflow write large models so.

A package's model must hold all of its data (see `onnx_protobuf`). This needs no library.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fourfold.durable.reading import open_file
from fourfold.errors import PackError, shorten
from fourfold.modelfiles import MalformedModel
from fourfold.modelfiles.onnx_protobuf import DATA_LOCATION, EXTERNAL_DATA, SUBMESSAGES, external_tensors, fields

__all__ = ["embed_tensors"]

_NAME, _RAW_DATA = 8, 9
#: The most bytes of a protobuf message.
_MAX_BYTES = 2**31 - 1


def embed_tensors(model: bytes, folder: Path) -> bytes:
    """Return a model with all of its tensors inside.

    Args:
        model: a serialised `ModelProto`.
        folder: the folder of the model's file; the files of its tensors lie there or below.

    Returns:
        The same bytes where no tensor lies in another file; otherwise the same model, serialised anew.

    Raises:
        PackError: a file is missing, lies elsewhere or is shorter than its tensors, or the result is larger than a
            model in one file can be.
        MalformedModel: the bytes are no model.
    """
    if not external_tensors(model):
        return model
    try:
        embedded = _embed("model", memoryview(model), _Values(folder.resolve(), _MAX_BYTES - len(model)))
    except RecursionError:
        raise MalformedModel("graphs nested deeper than a model's are") from None
    if len(embedded) > _MAX_BYTES:
        raise PackError(
            f"with its tensors the model has {len(embedded):,} bytes; one file of ONNX holds {_MAX_BYTES:,}"
        )
    return embedded


@dataclass
class _Values:
    """Say where the values of tensors lie, and how many bytes of them the model can still hold."""

    folder: Path
    bytes_left: int


def _embed(kind: str, message: memoryview, values: _Values) -> bytes:
    """Return a message with the values of its tensors inside, and the rest as it was."""
    if kind == "tensor":
        return _embed_values(message, values)
    parts: list[bytes | memoryview] = []
    for number, value, start, stop in fields(message):
        inner_kind = SUBMESSAGES[kind].get(number)
        if inner_kind is None or not isinstance(value, memoryview):
            parts.append(message[start:stop])
        else:
            parts += _bytes_field(number, _embed(inner_kind, value, values))
    return b"".join(parts)


def _embed_values(message: memoryview, values: _Values) -> bytes:
    """Return a tensor with its values inside."""
    parts: list[bytes | memoryview] = []
    entries: dict[str, str] = {}
    name = ""
    for number, value, start, stop in fields(message):
        if number == EXTERNAL_DATA and isinstance(value, memoryview):
            entries.update([_entry(value)])
            continue
        if number == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
        if number != DATA_LOCATION:
            parts.append(message[start:stop])
    if not entries:
        return bytes(message)
    return b"".join([*parts, *_bytes_field(_RAW_DATA, _read_values(name, entries, values))])


def _entry(message: memoryview) -> tuple[str, str]:
    """Return the key and the value of a `StringStringEntryProto`."""
    texts = {
        number: bytes(value).decode("utf-8", "replace")
        for number, value, _, _ in fields(message)
        if isinstance(value, memoryview)
    }
    return texts.get(1, ""), texts.get(2, "")


def _read_values(name: str, entries: dict[str, str], values: _Values) -> bytes:
    """Return the bytes of a tensor from its file, which must lie in the model's folder or below.

    Args:
        name: the tensor's name.
        entries: its `external_data`: the location, and the offset and length in bytes where it is a part of the file.
        values: the model's folder, resolved, and how many bytes the model can still hold; less afterwards.
    """
    location = entries.get("location", "")
    where = f"the model's tensor {shorten(name)} lies in the file {shorten(location)}"
    folder = values.folder
    path = folder if "\0" in location else (folder / location).resolve()
    if path == folder or not path.is_relative_to(folder):
        raise PackError(f"{where}: expected a file in the model's own folder")
    try:
        offset, length = int(entries.get("offset") or 0), int(entries["length"]) if entries.get("length") else None
    except ValueError:
        raise PackError(f"{where}, at a place that is no number: {shorten(entries)}") from None
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = size - offset if length is None else length
            if offset < 0 or length < 0 or offset + length > size:
                raise PackError(f"{where}: expected {length} bytes from byte {offset}; the file has {size}")
            values.bytes_left -= length
            if values.bytes_left < 0:
                raise PackError(f"{where}: with its {length:,} bytes the model has more than {_MAX_BYTES:,}")
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise PackError(
            f"{where}, which cannot be read ({error.strerror or error}): keep it beside the model, or save the model "
            "in one file, onnx.save_model(model, path, save_as_external_data=False)"
        ) from error


def _bytes_field(number: int, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the parts of a field of bytes: its tag, its length and the bytes."""
    return _varint(number << 3 | 2), _varint(len(data)), data


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
