"""Define what a bucket can do, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

__all__ = ["KINDS", "MAX_REPORT_CHARACTERS", "Answer", "Bucket", "BucketError", "Condition", "Kind"]

#: The most characters of a report: the whole of a long answer would be in it.
MAX_REPORT_CHARACTERS = 10_000

#: `missing`: there is no such key, or no such bucket. `exists`, `changed`: the condition of a write does not hold.
#: `settings`: the environment's settings contradict each other or lack something. `ended`: the client's process ended,
#: or was ended because it said nothing; a write may have happened. `failed`: everything else.
Kind = Literal["missing", "exists", "changed", "settings", "ended", "failed"]
KINDS: tuple[Kind, ...] = ("missing", "exists", "changed", "settings", "ended", "failed")

#: `create`: the key must not exist. A mapping: the content must be that of this `e_tag`, this `version`, or both.
Condition = Literal["create"] | Mapping[str, str]


class BucketError(Exception):
    """Report that an operation failed.

    Attributes:
        kind: how it failed.
        report: what the client says of it; it can hold secrets, and what the server sent (`safe_cause` cleans it).
    """

    def __init__(self, kind: Kind, report: str) -> None:
        super().__init__(report)
        self.kind = kind
        self.report = report


class Answer(Protocol):
    """Hold an answer to `Bucket.get`, of which the head has come. Close it, whether its bytes were read or not.

    Attributes:
        size: the number of bytes that it announces.
        e_tag: the store's identifier of the content, if it has one.
        version: the store's number of the write, if it counts them.
        written_s: when it was written, in seconds from 1970, if the store says so.
    """

    size: int
    e_tag: str | None
    version: str | None
    written_s: float | None

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they come; those of an answer that announces more than was asked for never come.

        Raises:
            BucketError: they cannot be read.
        """

    def close(self) -> None:
        """Read no more of it."""


class Bucket(Protocol):
    """Describe a bucket: three operations, which may run in several threads at once."""

    def get(self, key: str, max_bytes: int) -> Answer:
        """Ask for the bytes of a key, of which at most `max_bytes` will be read.

        Raises:
            BucketError: there are none (`missing`), or they cannot be had.
        """

    def put(self, key: str, data: bytes, condition: Condition) -> None:
        """Write the bytes of a key where a condition holds.

        Raises:
            BucketError: the condition does not hold (`exists`, `changed`), or they cannot be written.
        """

    def list(self, prefix: str) -> Iterator[list[str]]:
        """Yield the keys under a prefix, which has no slash at its end: a list of them for each page or a part of it.

        Raises:
            BucketError: they cannot be listed.
        """
