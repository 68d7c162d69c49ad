"""The doors of the streaming process: JSON lines from file to file, and one event at a time through the pipes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fourfold.certificate.batching import ALONE, SHUFFLED, WHOLE, Cut
from fourfold.certificate.doors.commands import command, environment, run
from fourfold.certificate.doors.door import Door, Row, as_rows, row_key
from fourfold.codecs import json_lines
from fourfold.errors import FourfoldError
from fourfold.signature import Signature

__all__ = ["doors"]


@contextmanager
def doors(package: Sequence[str], signature: Signature, *, folder: Path) -> Iterator[list[Door]]:
    """The doors of a stream; the files go into `folder`."""
    yield [_Files(package, signature, folder), _Pipes(package, signature)]


class _Files:
    """From a file to a file."""

    architecture = "stream"
    name = "JSON lines, file to file"
    cuts: Sequence[Cut] = (WHOLE, SHUFFLED)
    digest = None

    def __init__(self, package: Sequence[str], signature: Signature, folder: Path) -> None:
        self._package = package
        self._signature = signature
        self._folder = folder
        self._turn = 0

    def answers(self, pieces: Sequence[Sequence[Row]]) -> list[Row | None]:
        self._turn += 1
        key = row_key(self._signature)
        source, sink = (self._folder / f"stream-{self._turn}.{side}.jsonl" for side in ("in", "out"))
        rows = [row for piece in pieces for row in piece]
        source.write_bytes(_events(rows, self._signature, key))
        run(["stream", *self._package, "--from", str(source), "--to", str(sink), "--keep", key, "--quiet"])
        return _by_key(json_lines.decode(sink.read_bytes(), self._signature.outputs), self._signature, key, len(rows))


class _Pipes:
    """One event written, one answer read, and so on."""

    architecture = "stream"
    name = "JSON lines, standard input to output"
    cuts: Sequence[Cut] = (ALONE,)
    digest = None

    def __init__(self, package: Sequence[str], signature: Signature) -> None:
        self._package = package
        self._signature = signature

    def answers(self, pieces: Sequence[Sequence[Row]]) -> list[Row | None]:
        key = row_key(self._signature)
        rows = [row for piece in pieces for row in piece]
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
        return _by_key([row for row in decoded if key in row], self._signature, key, len(rows))


def _events(rows: Sequence[Row], signature: Signature, key: str) -> bytes:
    """Rows as JSON lines, each with its number."""
    bare = json_lines.encode(list(rows), signature.inputs).splitlines()
    return b"".join(b'{"%s":%d,%s\n' % (key.encode(), number, line[1:]) for number, line in enumerate(bare))


def _by_key(decoded: Any, signature: Signature, key: str, length: int) -> list[Row | None]:
    out: list[Row | None] = [None] * length
    rows = as_rows(decoded, signature)
    for place, row in zip((int(each[key]) for each in decoded), rows, strict=True):
        out[place] = row
    return out
