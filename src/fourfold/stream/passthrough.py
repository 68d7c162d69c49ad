"""Copy fields of an event to its answer, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from fourfold.errors import SignatureError, shorten
from fourfold.signature import Signature

__all__ = ["PassThrough"]

_ABSENT = msgspec.Raw(b"")


class PassThrough:
    """Copy fields of events in front of the outputs in their answers.

    The text of a value is copied, not its value: a number keeps its digits, and a string its escapes.

    Args:
        names: the fields' names, in the order in which they are written.
        signature: the signature of the package that answers.

    Attributes:
        names: the fields' names.
        extra: those names that are no inputs of the signature.

    Raises:
        SignatureError: a name is also an output's, or is listed twice.
    """

    def __init__(self, names: Sequence[str], signature: Signature) -> None:
        self.names = tuple(names)
        outputs = {field.name for field in signature.outputs}
        for name in self.names:
            if name in outputs:
                raise SignatureError(f"the field {shorten(name)} cannot be kept: an output of the model has that name")
            if self.names.count(name) > 1:
                raise SignatureError(f"the field {shorten(name)} is to be kept twice")
        inputs = {field.name for field in signature.inputs}
        self.extra = tuple(name for name in self.names if name not in inputs)
        self._encoded_names = [msgspec.json.encode(name) + b":" for name in self.names]
        self._read_values = self._struct_reader() if self._all_plain() else self._object_reader()

    def answer_prefix(self, event: bytes) -> bytes:
        """Return an answer's JSON object from its `{` to the last copied field's comma; absent fields stay absent.

        Args:
            event: one JSON object.
        """
        fields = zip(self._encoded_names, self._read_values(event), strict=True)
        return b"{" + b"".join([name + text + b"," for name, text in fields if text])

    def _all_plain(self) -> bool:
        return all(name.isprintable() and not {'"', "\\"} & set(name) for name in self.names)

    def _struct_reader(self) -> Callable[[bytes], list[bytes]]:
        """Return a function that reads the fields' texts, empty where absent, and builds no other field."""
        keys = {f"f{number}": name for number, name in enumerate(self.names)}
        struct = msgspec.defstruct("Kept", [(key, msgspec.Raw, _ABSENT) for key in keys], rename=keys)
        decode = msgspec.json.Decoder(struct).decode
        return lambda event: [bytes(raw) for raw in msgspec.structs.astuple(decode(event))]

    def _object_reader(self) -> Callable[[bytes], list[bytes]]:
        """Return the same function for names that a struct cannot have: it builds every field."""
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

        def read_values(event: bytes) -> list[bytes]:
            fields = decode(event)
            return [bytes(fields.get(name, _ABSENT)) for name in self.names]

        return read_values
