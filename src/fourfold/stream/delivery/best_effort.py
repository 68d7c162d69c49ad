"""Deliver with a pipe at one end: nothing is promised beyond the run."""

from __future__ import annotations

from fourfold.errors import OutputExists
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.dead_letters import DeadLetterOutput
from fourfold.stream.delivery import checkpoint
from fourfold.stream.delivery.protocol import START_OVER, CommitClock, Start, check_empty, close_all
from fourfold.stream.limits import Limits
from fourfold.stream.lines import Position
from fourfold.stream.sinks.files import FileSink, OutputFile
from fourfold.stream.sinks.protocol import OpenSink, Sink
from fourfold.stream.sources.protocol import Source

__all__ = ["BestEffort"]


class BestEffort:
    """Write each answer once in a run; a run never continues an earlier one."""

    def __init__(self, source: Source, sink: Sink, dead_letters: Sink, limits: Limits, *, replace: bool) -> None:
        self._source = source
        self._sink = sink
        self._limits = limits
        self._replace = replace
        self._letters = DeadLetterOutput(dead_letters)
        self._output: OpenSink | None = None
        self._clock = CommitClock(limits)

    def start(self) -> Start:
        """Open source and sinks; see `Delivery.start`.

        Raises:
            OutputExists: the output file, or that of the dead letters beside it, is not empty and may not be replaced.
            SourceError: the source cannot be opened.
            SinkError: a sink cannot be opened.
        """
        self._source.open()
        self._output = self._sink.open()
        self._letters.open()
        if isinstance(self._sink, FileSink) and isinstance(self._output, OutputFile):
            progress_file = checkpoint.checkpoint_path(self._sink.path)
            if not self._replace:
                check_empty(self._sink.path, self._output.length, self._letters)
                if progress_file.exists():
                    raise OutputExists(
                        f"{progress_file} says that {self._sink.path} was made from a file, but this run's input is "
                        f"{self._source.name}, which cannot be read again from there; {START_OVER}"
                    )
            progress_file.unlink(missing_ok=True)
            self._output.truncate(0)
            self._letters.truncate(0)
        self._source.seek(Position(), self._limits.line)
        self._clock.restart(Position())
        return Start(Position(), Tally(), continued=False)

    def deliver(self, answers: bytes, letters: bytes, after: Position, tally: Tally) -> None:
        """Write answers and dead letters; see `Delivery.deliver`."""
        assert self._output is not None
        self._letters.write(letters)
        self._output.write(answers)
        self._clock.record_delivery(after)

    def commit(self) -> None:
        """Sync the files; see `Delivery.commit`."""
        if self._clock.is_settled or self._output is None:
            return
        self._output.sync()
        self._letters.sync()
        self._clock.restart()

    @property
    def is_due(self) -> bool:
        """Tell whether to commit now; see `Delivery.is_due`."""
        return self._clock.is_due

    def close(self) -> None:
        """Close source and sinks."""
        close_all(self._source.close, self._letters.close, self._output.close if self._output else None)
