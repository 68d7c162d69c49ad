"""Delivery from file to file: every event once, whatever kills the process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path

from fourfold.errors import OutputExists, SinkError, SourceError
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.dead_letters import Letters
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.checkpoint import Checkpoint
from fourfold.stream.delivery.protocol import START_OVER, CommitClock, Contents, Start, check_empty, close_all
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position
from fourfold.stream.sinks.files import FileSink, OutputFile
from fourfold.stream.sinks.protocol import Sink
from fourfold.stream.sources.files import FileSource

__all__ = ["ExactlyOnce"]


class ExactlyOnce:
    """Delivery from file to file: whatever happens to a run, the next one goes on where both files agreed.

    Outputs first reach the disk, then the progress file says so. What a run wrote after its last progress is cut off
    by the next one, which reads the same events again.
    """

    def __init__(
        self,
        source: FileSource,
        sink: FileSink,
        dead_letters: Sink,
        contents: Contents,
        limits: Limits,
        *,
        replace: bool,
    ) -> None:
        self._source = source
        self._path = sink.path
        self._sink = sink
        self._contents = contents
        self._limits = limits
        self._replace = replace
        self._letters = Letters(dead_letters)
        self._output: OutputFile | None = None
        self._offsets = checkpoint.path_of(sink.path)
        self._clock = CommitClock(limits)
        self._after = Position()
        self._tally = Tally()

    def start(self) -> Start:
        """As `Delivery.start`.

        Raises:
            OutputExists: the output was not made by such a run, and may not be replaced.
            SourceError: the input cannot be opened, or is not the one that the output was made from.
            SinkError: an output cannot be opened, or is not as the last run left it; or another run has it.
        """
        self._source.open()
        if not self._replace and not self._path.exists():
            missing = checkpoint.read(self._offsets)
            if missing is not None:  # before the file is made, to be locked
                self._check_length(self._path, missing.output_bytes, 0)
        self._output = self._sink.open()
        self._letters.open()
        recorded = None if self._replace else checkpoint.read(self._offsets)
        if recorded is None:
            if not self._replace:
                check_empty(self._path, self._output.length, self._letters)
            # Before anything is cut or written: from here on, another run knows what to do with these files.
            recorded = self._checkpoint(Position(), Tally(), output_bytes=0, letters_bytes=0)
            checkpoint.store(self._offsets, recorded)
        else:
            self._check(recorded)
            self._check_length(self._path, recorded.output_bytes, self._output.length)
            if self._letters.path is not None and self._letters.is_there:
                self._check_length(self._letters.path, recorded.dead_letters_bytes, self._letters.length)
            elif recorded.dead_letters_bytes:
                # Somebody took the letters away to mend them: the next ones begin a new file.
                recorded = changed(recorded, dead_letters_bytes=0)
                checkpoint.store(self._offsets, recorded)
        self._output.cut(recorded.output_bytes)
        self._letters.cut(recorded.dead_letters_bytes)
        self._source.seek(recorded.position, self._limits.line)
        self._clock.restart(recorded.position)
        return Start(recorded.position, recorded.tally, continued=recorded.offset > 0)

    def deliver(self, answers: bytes, letters: bytes, after: Position, tally: Tally) -> None:
        """As `Delivery.deliver`."""
        assert self._output is not None
        self._letters.write(letters)
        self._output.write(answers)
        self._after, self._tally = after, tally
        self._clock.delivered(after)

    def commit(self) -> None:
        """As `Delivery.commit`.

        Raises:
            SourceError: the input was truncated.
            SinkError: the disk failed or is full.
        """
        if self._clock.is_settled or self._output is None:
            return
        self._output.sync()
        self._letters.sync()
        checkpoint.store(
            self._offsets,
            self._checkpoint(
                self._after, self._tally, output_bytes=self._output.length, letters_bytes=self._letters.length
            ),
        )
        self._clock.restart()

    @property
    def is_due(self) -> bool:
        """As `Delivery.is_due`."""
        return self._clock.is_due

    def close(self) -> None:
        """Close the files."""
        close_all(self._source.close, self._letters.close, self._output.close if self._output else None)

    def _checkpoint(self, position: Position, tally: Tally, *, output_bytes: int, letters_bytes: int) -> Checkpoint:
        is_file = self._letters.path is not None
        return Checkpoint(
            package=self._contents.package,
            keep=self._contents.keep,
            input=str(self._source.path.absolute()),
            fingerprint=self._source.fingerprint(position.offset),
            offset=position.offset,
            line=position.line,
            output_bytes=output_bytes,
            dead_letters=self._letters_path(),
            dead_letters_bytes=letters_bytes if is_file else 0,
            tally=tally,
        )

    def _letters_path(self) -> str:
        if self._letters.path is None:
            return ""
        return os.path.relpath(self._letters.path.resolve(), self._path.resolve().parent)

    def _check(self, recorded: Checkpoint) -> None:
        """Refuse to go on where the run that is recorded was another one."""
        if recorded.package != self._contents.package:
            raise OutputExists(
                f"{self._path} holds answers of the package {recorded.package}; this one is {self._contents.package}, "
                f"and one output must not mix two: {START_OVER}"
            )
        if recorded.keep != self._contents.keep:
            raise OutputExists(
                f"{self._path} keeps the fields {_listed(recorded.keep)}; this run would keep "
                f"{_listed(self._contents.keep)}: {START_OVER}"
            )
        if recorded.dead_letters != self._letters_path():
            raise OutputExists(
                f"the dead letters of {self._path} go to {recorded.dead_letters or 'a pipe'}; this run would write "
                f"them to {self._letters_path() or 'a pipe'}: {START_OVER}"
            )
        if self._source.fingerprint(recorded.offset) != recorded.fingerprint:
            raise SourceError(
                f"{self._path} was made from {recorded.input}, of which {recorded.offset} bytes were read; "
                f"{self._source.path} has others there, so it is another file or was rewritten: {START_OVER}"
            )

    def _check_length(self, path: Path, expected: int, got: int) -> None:
        """Refuse a file that lacks what was committed."""
        if got < expected:
            raise SinkError(
                f"{path} has {got} bytes; expected at least {expected}, which {self._offsets} says were committed, so "
                f"somebody else has cut or removed it: {START_OVER}"
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
