"""Open the doors of the streaming process: JSON lines from file to file, and one event at a time through pipes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fourfold.certificate.batching import ONE_BY_ONE, SHUFFLED, WHOLE, Batching
from fourfold.certificate.doors.commands import command, environment, run
from fourfold.certificate.doors.door import Door, Row, as_rows, row_key
from fourfold.codecs import json_lines
from fourfold.errors import FourfoldError
from fourfold.signature import Signature

__all__ = ["doors"]


@contextmanager
def doors(package: Sequence[str], signature: Signature, *, folder: Path) -> Iterator[list[Door]]:
    """Yield the doors of a stream, which write their files to `folder`."""
    yield [_FileDoor(package, signature, folder), _PipeDoor(package, signature)]


class _FileDoor:
    """Send all rows in a file, and read the answers from a file."""

    architecture = "stream"
    name = "JSON lines, file to file"
    batchings: Sequence[Batching] = (WHOLE, SHUFFLED)
    digest = None

    def __init__(self, package: Sequence[str], signature: Signature, folder: Path) -> None:
        self._package = package
        self._signature = signature
        self._folder = folder
        self._runs = 0

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        self._runs += 1
        key = row_key(self._signature)
        source, sink = (self._folder / f"stream-{self._runs}.{end}.jsonl" for end in ("in", "out"))
        rows = [row for batch in batches for row in batch]
        source.write_bytes(_events(rows, self._signature, key))
        run(["stream", *self._package, "--from", str(source), "--to", str(sink), "--keep", key, "--quiet"])
        return _sorted_by_key(
            json_lines.decode(sink.read_bytes(), self._signature.outputs), self._signature, key, len(rows)
        )


class _PipeDoor:
    """Write one event to the standard input, read its answer from the standard output, then the next."""

    architecture = "stream"
    name = "JSON lines, standard input to output"
    batchings: Sequence[Batching] = (ONE_BY_ONE,)
    digest = None

    def __init__(self, package: Sequence[str], signature: Signature) -> None:
        self._package = package
        self._signature = signature

    def answers(self, batches: Sequence[Sequence[Row]]) -> list[Row | None]:
        key = row_key(self._signature)
        rows = [row for batch in batches for row in batch]
        lines = _events(rows, self._signature, key).splitlines(keepends=True)
        arguments = command(["stream", *self._package, "--keep", key, "--dead-letters", "-", "--quiet"])
        with subprocess.Popen(arguments, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            replies: list[bytes] = []
            for line in lines:
                process.stdin.write(line)
                process.stdin.flush()
                reply = process.stdout.readline()
                if not reply:
                    raise FourfoldError(f"`fourfold stream` ended after {len(replies)} events")
                replies.append(reply)
            process.stdin.close()
        decoded: Any = json_lines.decode(b"".join(replies), self._signature.outputs)
        return _sorted_by_key([row for row in decoded if key in row], self._signature, key, len(rows))


def _events(rows: Sequence[Row], signature: Signature, key: str) -> bytes:
    """Return rows as JSON lines, each with its number under `key`."""
    lines = json_lines.encode(list(rows), signature.inputs).splitlines()
    return b"".join(b'{"%s":%d,%s\n' % (key.encode(), number, line[1:]) for number, line in enumerate(lines))


def _sorted_by_key(decoded: Any, signature: Signature, key: str, length: int) -> list[Row | None]:
    answers: list[Row | None] = [None] * length
    for event, row in zip(decoded, as_rows(decoded, signature), strict=True):
        answers[int(event[key])] = row
    return answers
