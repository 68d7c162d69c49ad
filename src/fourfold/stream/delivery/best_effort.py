"""Delivery where an end is a pipe: nothing is promised beyond the run."""

from __future__ import annotations

from fourfold.errors import OutputExists
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.dead_letters import Letters
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.protocol import START_OVER, CommitClock, Start, check_empty, close_all
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position
from fourfold.stream.sinks.files import FileSink, OutputFile
from fourfold.stream.sinks.protocol import Output, Sink
from fourfold.stream.sources.protocol import Source

__all__ = ["BestEffort"]


class BestEffort:
    """Delivery where an end is a pipe: each run writes each answer once, and no run knows of another."""

    def __init__(self, source: Source, sink: Sink, dead_letters: Sink, limits: Limits, *, replace: bool) -> None:
        self._source = source
        self._sink = sink
        self._limits = limits
        self._replace = replace
        self._letters = Letters(dead_letters)
        self._output: Output | None = None
        self._clock = CommitClock(limits)

    def start(self) -> Start:
        """As `Delivery.start`.

        Raises:
            OutputExists: an output file, or the dead letters beside it, has something in it that may not be replaced.
            SourceError, SinkError: an end cannot be opened.
        """
        self._source.open()
        self._output = self._sink.open()
        self._letters.open()
        if isinstance(self._sink, FileSink) and isinstance(self._output, OutputFile):
            offsets = checkpoint.path_of(self._sink.path)
            if not self._replace:
                check_empty(self._sink.path, self._output.length, self._letters)
                if offsets.exists():
                    raise OutputExists(
                        f"{offsets} says that {self._sink.path} was made from a file, but this run's input is "
                        f"{self._source.name}, which cannot be read again from there; {START_OVER}"
                    )
            offsets.unlink(missing_ok=True)
            self._output.cut(0)
            self._letters.cut(0)
        self._source.seek(Position(), self._limits.line)
        self._clock.restart(Position())
        return Start(Position(), Tally(), continued=False)

    def deliver(self, answers: bytes, letters: bytes, after: Position, tally: Tally) -> None:
        """As `Delivery.deliver`."""
        assert self._output is not None
        self._letters.write(letters)
        self._output.write(answers)
        self._clock.delivered(after)

    def commit(self) -> None:
        """As `Delivery.commit`: files are synced."""
        if self._clock.is_settled or self._output is None:
            return
        self._output.sync()
        self._letters.sync()
        self._clock.restart()

    @property
    def is_due(self) -> bool:
        """As `Delivery.is_due`."""
        return self._clock.is_due

    def close(self) -> None:
        """Close the ends."""
        close_all(self._source.close, self._letters.close, self._output.close if self._output else None)
