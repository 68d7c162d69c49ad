"""The progress file: how far a run from file to file came, in one atomic step with nothing before and nothing after."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from fourfold.durable.files import write_file
from fourfold.errors import SinkError, shorten
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.lines import Position

__all__ = ["FORMAT", "SUFFIX", "Checkpoint", "path_of", "read", "store"]

FORMAT = 1
#: What the progress file's name adds to that of its output.
SUFFIX = ".offsets"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state in which input, output and dead letters agree.

    Attributes:
        package: the digest of the package that answered.
        keep: the fields of the events that stand in the output.
        input: the input's absolute path, for people; its content is told by the fingerprint.
        fingerprint: as `FileSource.fingerprint` for `offset`.
        offset: the bytes of the input whose events were answered.
        line: the lines of it.
        output_bytes: the length of the output.
        dead_letters: the path of the dead letters, as seen from the output's folder; empty where they go to a pipe.
        dead_letters_bytes: their length.
        tally: what became of the events.
    """

    package: str
    keep: tuple[str, ...]
    input: str
    fingerprint: str
    offset: int
    line: int
    output_bytes: int
    dead_letters: str
    dead_letters_bytes: int
    tally: Tally

    @property
    def position(self) -> Position:
        """Where the input goes on."""
        return Position(self.offset, self.line)

    def to_json(self) -> dict[str, Any]:
        """Return the checkpoint as JSON values."""
        return {"fourfold_stream": FORMAT, **asdict(self), "keep": list(self.keep)}

    @classmethod
    def from_json(cls, data: Any) -> Checkpoint:
        """Return the checkpoint that `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(data, dict) or data.pop("fourfold_stream", None) != FORMAT:
            raise ValueError(f"expected the progress of a stream, format {FORMAT}")
        tally = data.get("tally")
        if set(data) != {each.name for each in fields(cls)} or not isinstance(tally, dict):
            raise ValueError("its keys are not those of a progress file")
        numbers = [data[name] for name in ("offset", "line", "output_bytes", "dead_letters_bytes")]
        if not all(isinstance(each, int) and each >= 0 for each in numbers) or not isinstance(data["keep"], list):
            raise ValueError("a length is not a number of bytes")
        if not all(isinstance(each, (int, float)) for each in tally.values()):
            raise ValueError("a count is not a number")
        try:
            return replace(cls(**data), keep=tuple(data["keep"]), tally=Tally(**tally))
        except TypeError as error:
            raise ValueError(str(error)) from None


def path_of(output: Path) -> Path:
    """The progress file of an output."""
    return output.with_name(output.name + SUFFIX)


def read(path: Path) -> Checkpoint | None:
    """The progress stored there, or `None` where there is none.

    Raises:
        SinkError: it cannot be read, or holds something else.
    """
    try:
        return Checkpoint.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SinkError(f"cannot read the progress file {path}: {error.strerror}") from error
    except ValueError as error:
        raise SinkError(
            f"the progress file {path} is damaged ({shorten(str(error), 120)}), so nobody knows how far its "
            "output came; "
            f"start over with replace=True (--replace)"
        ) from error


def store(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the progress in one step that survives a power cut: it is the old one or the new one, never between.

    Raises:
        SinkError: it cannot be written; the old one is still there.
    """
    data = json.dumps(checkpoint.to_json(), indent=1).encode() + b"\n"
    # One name and not a random one: the output's lock keeps others away, and a crash leaves at most this one behind.
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        write_file(path, data, temporary, replace=True)
    except OSError as error:
        raise SinkError(f"cannot write the progress file {path}: {error.strerror}") from error
