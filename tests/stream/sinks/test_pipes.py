from __future__ import annotations

import os
import threading

import pytest

from fourfold.errors import SinkError
from fourfold.stream.sinks.pipes import OutputPipe
from fourfold.stream.sinks.protocol import ReaderGone


def test_pipe_takes_all() -> None:
    """More than a pipe holds is written whole, also where somebody has made it non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = b"0123456789" * 100_000
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(reading, 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    output = OutputPipe(writing, "pipe")
    output.write(data)
    reader.join(timeout=60)
    assert bytes(got) == data
    os.close(reading)
    with pytest.raises(ReaderGone):
        output.write(b"more")
    os.close(writing)


def test_closed_stream_is_refused() -> None:
    """A standard stream that nobody has opened is an error."""
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(SinkError, match="Bad file descriptor"):
        OutputPipe(writing, "standard output")
