"""Write dead letters: events that got no answer, each with its location, the reason and its text."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fourfold.errors import RowError, SinkError
from fourfold.stream.lines import Line, OversizedLine
from fourfold.stream.sinks.files import FileSink, OutputFile
from fourfold.stream.sinks.protocol import OpenSink, ReaderGone, Sink

__all__ = ["SUFFIX", "DeadLetter", "DeadLetterOutput", "encode_dead_letter"]

#: The default file of dead letters has the name of its output and this suffix.
SUFFIX = ".dead.jsonl"

Stage = Literal["decode", "validate", "predict"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Describe an event that got no answer.

    Attributes:
        index: the index of the event's line in its batch.
        stage: the stage that failed: `decode` (no JSON object), `validate` (it does not fit the signature) or
            `predict` (the engine refused it).
        errors: the reasons.
    """

    index: int
    stage: Stage
    errors: Sequence[RowError]


def encode_dead_letter(letter: DeadLetter, event: Line, location: dict[str, int], model: str, digest: str) -> bytes:
    """Return a dead letter as a line of JSON, without a newline.

    Args:
        letter: the dead letter.
        event: the event's line.
        location: the event's location in its source.
        model: the name of the model that was asked.
        digest: the digest of its package.
    """
    record: dict[str, Any] = {
        **location,
        "stage": letter.stage,
        # Without the row: it only counts the events that were predicted together. The location comes first.
        "errors": [{key: value for key, value in error.to_json().items() if key != "row"} for error in letter.errors],
        **_event_fields(event),
        "model": model,
        "digest": digest,
    }
    try:
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate in the name of an unknown field: JSON can only carry it escaped
        return json.dumps(record, separators=(",", ":")).encode()


def _event_fields(event: Line) -> dict[str, Any]:
    """Return the fields of a dead letter that hold the event's text, or its bytes in base64 if they are no UTF-8."""
    if isinstance(event, OversizedLine):
        # `errors="ignore"` drops a last character that the head holds only in part.
        text = event.head.decode(errors="ignore") if _is_utf8_head(event.head) else None
        head = {"event": text} if text is not None else {"event_base64": base64.b64encode(event.head).decode()}
        return {**head, "event_bytes": event.size}
    try:
        return {"event": event.decode()}
    except UnicodeDecodeError:
        return {"event_base64": base64.b64encode(event).decode()}


def _is_utf8_head(head: bytes) -> bool:
    """Tell whether bytes are UTF-8, apart from a last character that may be incomplete."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


class DeadLetterOutput:
    """Append dead letters to a sink; a file is only made for the first of them.

    Attributes:
        path: the file, or `None` for a pipe.
        length: its length in bytes.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.path = sink.path if isinstance(sink, FileSink) else None
        self.length = 0
        self._output: OpenSink | None = None

    @property
    def exists(self) -> bool:
        """Tell whether there is a file already, or a link in its place."""
        return self.path is not None and os.path.lexists(self.path)

    def open(self) -> None:
        """Open and lock the file, if there is one."""
        if self.exists:
            self._open()

    def _open(self) -> OpenSink:
        self._output = self._sink.open()
        self.length = self._output.length
        return self._output

    def truncate(self, length: int) -> None:
        """Remove everything beyond a length in bytes."""
        if isinstance(self._output, OutputFile):
            self._output.truncate(length)
        self.length = length

    def write(self, data: bytes) -> None:
        """Append dead letters.

        Raises:
            SinkError: they cannot be written. This ends the run: no event may vanish.
        """
        if not data:
            return
        output = self._output or self._open()
        try:
            output.write(data)
        except ReaderGone as gone:
            raise SinkError(f"cannot write the dead letters: what reads {gone} has ended") from gone
        self.length = output.length

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        if self._output is not None:
            self._output.sync()

    def close(self) -> None:
        """Close the file or pipe, if it is open."""
        if self._output is not None:
            self._output.close()
            self._output = None
