"""Dead letters: events that got no answer, each with its place, its reason and its text."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fourfold.errors import RowError, SinkError
from fourfold.stream.lines import Line, Oversized
from fourfold.stream.sinks.files import FileSink, OutputFile
from fourfold.stream.sinks.protocol import Output, ReaderGone, Sink

__all__ = ["SUFFIX", "DeadLetter", "Letters", "encode"]

#: What the default file of dead letters adds to the name of its output.
SUFFIX = ".dead.jsonl"

Stage = Literal["decode", "validate", "predict"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event without an answer.

    Attributes:
        index: the event's place among the lines of its batch.
        stage: what failed: `decode` (it is no JSON object), `validate` (it does not fit the signature) or `predict`
            (the engine refused it).
        errors: why.
    """

    index: int
    stage: Stage
    errors: Sequence[RowError]


def encode(letter: DeadLetter, event: Line, where: dict[str, int], model: str, digest: str) -> bytes:
    """The dead letter as a line of JSON, without a newline.

    Args:
        letter: what failed.
        event: the event as it came.
        where: the event's place in its source.
        model: the name of the model that was asked.
        digest: that of its package.
    """
    record: dict[str, Any] = {
        **where,
        "stage": letter.stage,
        # The row's number among those that happened to be scored with it says nothing: the place is at the front.
        "errors": [{key: value for key, value in error.to_json().items() if key != "row"} for error in letter.errors],
        **_text(event),
        "model": model,
        "digest": digest,
    }
    try:
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate in the name of an unknown field: only an escape can carry it
        return json.dumps(record, separators=(",", ":")).encode()


def _text(event: Line) -> dict[str, Any]:
    if isinstance(event, Oversized):
        # Where a character was cut in two, its half is left out.
        text = event.head.decode(errors="ignore") if _is_text(event.head) else None
        head = {"event": text} if text is not None else {"event_base64": base64.b64encode(event.head).decode()}
        return {**head, "event_bytes": event.size}
    try:
        return {"event": event.decode()}
    except UnicodeDecodeError:
        return {"event_base64": base64.b64encode(event).decode()}


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


class Letters:
    """The dead letters' end. A file is only made for the first letter.

    Attributes:
        path: the file, or `None` for a pipe.
        length: the bytes in it.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.path = sink.path if isinstance(sink, FileSink) else None
        self.length = 0
        self._output: Output | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a file already."""
        return self.path is not None and self.path.exists()

    def open(self) -> None:
        """Open and lock a file that is there already."""
        if self.is_there:
            self._open()

    def _open(self) -> Output:
        self._output = self._sink.open()
        self.length = self._output.length
        return self._output

    def cut(self, length: int) -> None:
        """Take back what was written beyond that length."""
        if isinstance(self._output, OutputFile):
            self._output.cut(length)
        self.length = length

    def write(self, data: bytes) -> None:
        """Append letters.

        Raises:
            SinkError: they cannot be written, which is never passed over: an event must not vanish.
        """
        if not data:
            return
        output = self._output or self._open()
        try:
            output.write(data)
        except ReaderGone as gone:
            raise SinkError(f"cannot write the dead letters: nobody reads {gone} any more") from gone
        self.length = output.length

    def sync(self) -> None:
        """Make them survive a power cut."""
        if self._output is not None:
            self._output.sync()

    def close(self) -> None:
        """Close what is open."""
        if self._output is not None:
            self._output.close()
            self._output = None
