"""Deliver from file to file: every event exactly once, even if the process is killed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from fourfold.errors import OutputExists, SinkError, SourceError
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.dead_letters import DeadLetterOutput
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.checkpoint import Checkpoint
from fourfold.stream.delivery.protocol import START_OVER, CommitClock, OutputContents, Start, check_empty, close_all
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position
from fourfold.stream.sinks.files import FileSink, OutputFile
from fourfold.stream.sinks.protocol import Sink
from fourfold.stream.sources.files import FileSource

__all__ = ["ExactlyOnce"]


class ExactlyOnce:
    """Continue where input, output and dead letters last agreed, however an earlier run ended.

    A commit syncs the outputs first, and then replaces the progress file. Whatever a run wrote after its last commit is
    truncated by the next run, which reads the same events again.
    """

    def __init__(
        self,
        source: FileSource,
        sink: FileSink,
        dead_letters: Sink,
        contents: OutputContents,
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
        self._letters = DeadLetterOutput(dead_letters)
        self._output: OutputFile | None = None
        self._progress_file = checkpoint.checkpoint_path(sink.path)
        self._clock = CommitClock(limits)
        self._delivered = Position()
        self._tally = Tally()

    def start(self) -> Start:
        """Open the files, and return to the last commit; see `Delivery.start`.

        Raises:
            OutputExists: the output was made by no run of this job, and may not be replaced.
            SourceError: the input cannot be opened, or is not the one from which the output was made.
            SinkError: an output cannot be opened, has lost what was committed, or belongs to another run.
        """
        self._source.open()
        if not self._replace and not self._path.exists():
            recorded = checkpoint.read(self._progress_file)
            if recorded is not None:  # checked before `open` makes the file
                self._check_length(self._path, recorded.output_bytes, 0)
        self._output = self._sink.open()
        self._letters.open()
        recorded = None if self._replace else checkpoint.read(self._progress_file)
        if recorded is None:
            if not self._replace:
                check_empty(self._path, self._output.length, self._letters)
            # Before anything is truncated or written: from here on, a later run can continue these files.
            recorded = self._checkpoint(Position(), Tally(), output_bytes=0, letters_bytes=0)
            checkpoint.store(self._progress_file, recorded)
        else:
            self._check_same_job(recorded)
            self._check_length(self._path, recorded.output_bytes, self._output.length)
            if self._letters.path is not None and self._letters.exists:
                self._check_length(self._letters.path, recorded.dead_letters_bytes, self._letters.length)
            elif recorded.dead_letters_bytes:
                # The file was moved away, for example to mend the events: the next dead letters begin a new one.
                recorded = dataclasses.replace(recorded, dead_letters_bytes=0)
                checkpoint.store(self._progress_file, recorded)
        self._output.truncate(recorded.output_bytes)
        self._letters.truncate(recorded.dead_letters_bytes)
        self._source.seek(recorded.position, self._limits.line)
        self._clock.restart(recorded.position)
        return Start(recorded.position, recorded.tally, continued=recorded.offset > 0)

    def deliver(self, answers: bytes, letters: bytes, after: Position, tally: Tally) -> None:
        """Write answers and dead letters; see `Delivery.deliver`."""
        assert self._output is not None
        self._letters.write(letters)
        self._output.write(answers)
        self._delivered, self._tally = after, tally
        self._clock.record_delivery(after)

    def commit(self) -> None:
        """Sync the files, then replace the progress file; see `Delivery.commit`.

        Raises:
            SourceError: the input was truncated.
            SinkError: the disk failed or is full.
        """
        if self._clock.is_settled or self._output is None:
            return
        self._output.sync()
        self._letters.sync()
        checkpoint.store(
            self._progress_file,
            self._checkpoint(
                self._delivered, self._tally, output_bytes=self._output.length, letters_bytes=self._letters.length
            ),
        )
        self._clock.restart()

    @property
    def is_due(self) -> bool:
        """Tell whether to commit now; see `Delivery.is_due`."""
        return self._clock.is_due

    def close(self) -> None:
        """Close the files."""
        close_all(self._source.close, self._letters.close, self._output.close if self._output else None)

    def _checkpoint(self, position: Position, tally: Tally, *, output_bytes: int, letters_bytes: int) -> Checkpoint:
        return Checkpoint(
            package=self._contents.package,
            keep=self._contents.keep,
            input=str(self._source.path.absolute()),
            fingerprint=self._source.fingerprint(position.offset),
            offset=position.offset,
            line=position.line,
            output_bytes=output_bytes,
            dead_letters=self._letters_path(),
            dead_letters_bytes=0 if self._letters.path is None else letters_bytes,
            tally=tally,
        )

    def _letters_path(self) -> str:
        if self._letters.path is None:
            return ""
        return os.path.relpath(self._letters.path.resolve(), self._path.resolve().parent)

    def _check_same_job(self, recorded: Checkpoint) -> None:
        """Refuse to continue an output of another package, other fields, other dead letters or another input."""
        if recorded.package != self._contents.package:
            raise OutputExists(
                f"{self._path} holds answers of the package {recorded.package}; this one is {self._contents.package}, "
                f"and one output must not mix two: {START_OVER}"
            )
        if recorded.keep != self._contents.keep:
            raise OutputExists(
                f"{self._path} keeps the fields {_join_names(recorded.keep)}; this run would keep "
                f"{_join_names(self._contents.keep)}: {START_OVER}"
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
        """Refuse a file that has lost committed bytes."""
        if got < expected:
            raise SinkError(
                f"{path} has {got} bytes; expected at least {expected}, which {self._progress_file} says were "
                f"committed, so somebody else has cut or removed it: {START_OVER}"
            )


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
