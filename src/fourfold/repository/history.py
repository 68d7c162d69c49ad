"""Read and add to the history of aliases; see `moves` for its records."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from fourfold.errors import Conflict, RepositoryError
from fourfold.repository.moves import MAX_MOVES, Move, decode_moves, encode_moves, moves_key
from fourfold.repository.records import MAX_RECORD_BYTES, Version, alias_key
from fourfold.repository.store import Store, Tag

__all__ = ["History"]

#: How often the record is read and written again, while other writers move the same alias.
MAX_ATTEMPTS = 5

_log = logging.getLogger("fourfold.repository")


class History:
    """Read and add to the moves of a store's aliases.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def moves(self, name: str, alias: str) -> tuple[Move, ...]:
        """Return the last moves of an alias, the newest first: the first says where it points now.

        Raises:
            RepositoryError: the record is damaged, or the store cannot be reached.
        """
        moves, _ = self._read(moves_key(name, alias))
        _add_unremembered(
            moves, self._alias_move(name, alias, self._store.get(alias_key(name, alias), MAX_RECORD_BYTES))
        )
        return tuple(reversed(moves))

    def remember(self, name: str, alias: str, record: bytes, before: tuple[bytes, Tag] | None) -> None:
        """Add the move that has just been made; where that fails, log a warning, for the alias has moved.

        Args:
            name: the model.
            alias: the alias.
            record: its record now.
            before: its record and tag before, where it had one: a move that was never added is added too.
        """
        key = moves_key(name, alias)
        try:
            earlier = self._alias_move(name, alias, before)
            move = _parse(record, datetime.now(UTC), "the record of the alias")
            for _ in range(MAX_ATTEMPTS):
                moves, tag = self._read(key)
                _add_unremembered(moves, earlier)
                data = encode_moves([*moves, move])
                try:
                    if tag is None:
                        self._store.create(key, data)
                    else:
                        self._store.replace(key, data, tag)
                except Conflict:
                    continue
                return
            reason = f"other writers were first {MAX_ATTEMPTS} times"
        except RepositoryError as error:
            reason = str(error)
        _log.warning("%s@%s was moved, and its history does not say so: %s", name, alias, reason)

    def _read(self, key: str) -> tuple[list[Move], Tag | None]:
        content = self._store.get(key, MAX_RECORD_BYTES)
        if content is None:
            return [], None
        return decode_moves(content[0], f"the record {key} in {self._store.url}"), content[1]

    def _alias_move(self, name: str, alias: str, content: tuple[bytes, Tag] | None) -> Move | None:
        """Return the move that an alias's record speaks of."""
        if content is None:
            return None
        label = f"the record {alias_key(name, alias)} in {self._store.url}"
        written = Version.decode(content[0], label, is_alias=True, written_s=content[1].written_s).written
        return _parse(content[0], written, label)


def _parse(record: bytes, at: datetime | None, label: str) -> Move:
    version = Version.decode(record, label, is_alias=True)
    return Move(version.version, at, json.loads(record)["token"])


def _add_unremembered(moves: list[Move], move: Move | None) -> None:
    """Add a move that nobody added: its writer was ended, or is an earlier version of Fourfold."""
    if move is not None and all(move.token != known.token for known in moves[-MAX_MOVES:]):
        moves.append(move)
