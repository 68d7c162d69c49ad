"""Keep the checkpoint of a run from file to file in a progress file beside its output."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from fourfold.durable.files import write_file
from fourfold.durable.reading import read_file
from fourfold.errors import SinkError, shorten
from fourfold.stream.dead_letter_limit import Tally
from fourfold.stream.lines import Position

__all__ = ["FORMAT_VERSION", "SUFFIX", "Checkpoint", "checkpoint_path", "read", "store"]

FORMAT_VERSION = 1
#: The progress file has the name of its output and this suffix.
SUFFIX = ".offsets"
#: The longest progress file: it has a dozen lines, and one for each field that passes through.
MAX_BYTES = 16 * 2**20
#: What no file is as long as.
MAX_LENGTH = 2**63


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold a state in which input, output and dead letters agree.

    Attributes:
        package: the digest of the package that answered.
        keep: the fields that pass through to the output.
        input: the input's absolute path, for people; the fingerprint identifies its content.
        fingerprint: `FileSource.fingerprint` at `offset`.
        offset: how many bytes of the input were answered.
        line: how many lines of the input were answered.
        output_bytes: the length of the output.
        dead_letters: the path of the dead letters, relative to the output's folder; empty if they go to a pipe.
        dead_letters_bytes: the length of the dead letters.
        tally: the counts of the events.
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
        """Return the position at which the input goes on."""
        return Position(self.offset, self.line)

    def to_json(self) -> dict[str, Any]:
        """Return the checkpoint as JSON values."""
        return {"fourfold_stream": FORMAT_VERSION, **asdict(self), "keep": list(self.keep)}

    @classmethod
    def from_json(cls, data: Any) -> Checkpoint:
        """Return the checkpoint that `to_json` wrote.

        Raises:
            ValueError: the data is no checkpoint of this format.
        """
        if not isinstance(data, dict) or data.pop("fourfold_stream", None) != FORMAT_VERSION:
            raise ValueError(f"expected the progress of a stream, format {FORMAT_VERSION}")
        tally = data.get("tally")
        if set(data) != {field.name for field in fields(cls)} or not isinstance(tally, dict):
            raise ValueError("its keys are not those of a progress file")
        lengths = [data[name] for name in ("offset", "line", "output_bytes", "dead_letters_bytes")]
        if not all(type(length) is int and 0 <= length < MAX_LENGTH for length in lengths):
            raise ValueError("a length is not a number of bytes")
        if not isinstance(data["keep"], list) or not all(isinstance(name, str) for name in data["keep"]):
            raise ValueError("a field that passes through has no name")
        if not all(isinstance(data[name], str) for name in ("package", "input", "fingerprint", "dead_letters")):
            raise ValueError("a name or a path is no text")
        if not all(type(count) in (int, float) and 0 <= count < MAX_LENGTH for count in tally.values()):
            raise ValueError("a count is not a number")
        try:
            return replace(cls(**data), keep=tuple(data["keep"]), tally=Tally(**tally))
        except TypeError as error:
            raise ValueError(str(error)) from None


def checkpoint_path(output: Path) -> Path:
    """Return the path of an output's progress file."""
    return output.with_name(output.name + SUFFIX)


def read(path: Path) -> Checkpoint | None:
    """Return the checkpoint in a progress file, or `None` if there is no such file.

    Raises:
        SinkError: the file cannot be read, or holds no checkpoint.
    """
    try:
        return Checkpoint.from_json(json.loads(read_file(path, MAX_BYTES, follow=False)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SinkError(
            f"cannot read the progress file {path}: {error.strerror}; start over with replace=True (--replace)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SinkError(
            f"the progress file {path} is damaged ({shorten(str(error), 120)}), so it does not say how "
            f"far its output came; start over with replace=True (--replace)"
        ) from error


def store(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in a progress file, atomically and durably.

    Raises:
        SinkError: the file cannot be written; the old checkpoint is still there.
    """
    data = json.dumps(checkpoint.to_json(), indent=1).encode() + b"\n"
    # A fixed name: the output's lock keeps other runs away, and crashes leave at most this one file behind.
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        write_file(path, data, temporary, replace=True)
    except OSError as error:
        raise SinkError(f"cannot write the progress file {path}: {error.strerror}") from error
