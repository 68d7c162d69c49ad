"""Fields of an event that travel on to its answer, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from fourfold.errors import SignatureError, shorten
from fourfold.signature import Signature

__all__ = ["Keeper"]

_ABSENT = msgspec.Raw(b"")


class Keeper:
    """Copies fields of events in front of their answers.

    The text of a value is copied, not its value: a number keeps its digits and a string its escapes.

    Args:
        names: the fields' names, in the order in which they are written.
        signature: that of the package that answers.

    Attributes:
        names: the fields' names.
        extra: those that are no inputs of the signature.

    Raises:
        SignatureError: a name is an output's too, or is there twice.
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
        self._encoded = [msgspec.json.encode(name) + b":" for name in self.names]
        self._values = self._of_struct() if self._all_plain() else self._of_object()

    def beginning(self, event: bytes) -> bytes:
        """The beginning of an answer's JSON object, up to where its outputs follow; an absent field stays absent.

        Args:
            event: one JSON object.
        """
        parts = [name + raw + b"," for name, raw in zip(self._encoded, self._values(event), strict=True) if raw]
        return b"{" + b"".join(parts)

    def _all_plain(self) -> bool:
        return all(name.isprintable() and not {'"', "\\"} & set(name) for name in self.names)

    def _of_struct(self) -> Callable[[bytes], list[bytes]]:
        """Of each kept field the text, empty where it is absent; the parser builds no other field."""
        keys = {f"f{number}": name for number, name in enumerate(self.names)}
        kept = msgspec.defstruct("Kept", [(key, msgspec.Raw, _ABSENT) for key in keys], rename=keys)
        decode = msgspec.json.Decoder(kept).decode
        return lambda event: [bytes(raw) for raw in msgspec.structs.astuple(decode(event))]

    def _of_object(self) -> Callable[[bytes], list[bytes]]:
        """The same where a struct cannot have the names: every field is built."""
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

        def values(event: bytes) -> list[bytes]:
            fields = decode(event)
            return [bytes(fields.get(name, _ABSENT)) for name in self.names]

        return values
