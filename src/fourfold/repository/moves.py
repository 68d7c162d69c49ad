"""Remember the last moves of an alias, in a record of their own beside the alias's.

- `models/<name>/moves/<alias>.json`: `{"moves":[{"at":"2026-12-01T00:41:07Z","token":"<hex>","version":n}, …]}`, the
  oldest first, each with the token that the alias's record had

The alias's record alone says where the alias points. This one is written after it, for people: a writer that is killed
between the two leaves a move out, and the next one adds it. Earlier versions of Fourfold pass the record over.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fourfold.errors import RepositoryError, shorten
from fourfold.package import canonical_json
from fourfold.repository.records import MAX_VERSION, alias_key

__all__ = ["MAX_MOVES", "Move", "decode_moves", "encode_moves", "moves_key"]

#: The moves that are remembered: a record of so many is well below `MAX_RECORD_BYTES`.
MAX_MOVES = 24

_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Move:
    """Hold a move of an alias.

    Attributes:
        version: the version that it points at since.
        at: when it was moved, by the clock of who moved it, or of the store; `None` where nobody knows.
        token: the token of the alias's record.
    """

    version: int
    at: datetime | None
    token: str


def moves_key(name: str, alias: str) -> str:
    """Return the key of the moves of an alias."""
    return alias_key(name, alias).replace("/aliases/", "/moves/")


def encode_moves(moves: list[Move]) -> bytes:
    """Return the record of the last moves in canonical JSON; times are in UTC, to the second."""
    entries = [
        {
            "at": None if move.at is None else move.at.astimezone(UTC).strftime(_TIME),
            "token": move.token,
            "version": move.version,
        }
        for move in moves[-MAX_MOVES:]
    ]
    return canonical_json({"moves": entries})


def decode_moves(data: bytes, label: str) -> list[Move]:
    """Return the moves of a record, the oldest first.

    Raises:
        RepositoryError: it is no such record; nothing but the history of the alias is lost with it.
    """
    try:
        record = json.loads(data.decode())
        if set(record) != {"moves"} or not isinstance(record["moves"], list):
            raise ValueError("expected the key moves alone")  # noqa: TRY301 - every fault is told in one way
        return [_decode_move(entry) for entry in record["moves"][-MAX_MOVES:]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RepositoryError(
            f"{label} is damaged: {shorten(str(error), 80)}; it only remembers past moves of the alias: remove it"
        ) from None


def _decode_move(entry: Any) -> Move:
    if set(entry) != {"at", "token", "version"}:
        raise ValueError(f"expected the keys at, token, version; got {shorten(entry, 60)}")
    version, token, at = entry["version"], entry["token"], entry["at"]
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise ValueError(f"expected a version; got {shorten(version)}")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError(f"expected a token; got {shorten(token)}")
    return Move(version, None if at is None else datetime.strptime(at, _TIME).replace(tzinfo=UTC), token)
