"""When versions were pushed, and the last moves of aliases: for people, and never what decides."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fourfold.errors import NotFound, RepositoryError
from fourfold.repository import Repository
from fourfold.repository.location import open_store
from fourfold.repository.moves import MAX_MOVES, decode_moves
from fourfold.repository.records import MAX_RECORD_BYTES, Version, alias_key
from scripts.pictures import run_in_terminal
from tests.cli.commands import call
from tests.repository.writers import make

HOUR = timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path) -> Repository:
    """A repository in a folder with three versions."""
    repository = Repository.open(tmp_path / "models")
    for label in "abc":
        repository.push(make(label))
    return repository


def test_every_store_says_when(location: str) -> None:
    """A folder, a bucket and the memory have a time for each version, and for each move of an alias."""
    repository = Repository.open(location)
    repository.push(make("a"), alias="production")
    (model,) = repository.models()
    now = datetime.now(UTC)
    for version in (*model.versions, *model.aliases.values()):
        assert version.written is not None
        assert abs(version.written - now) < HOUR
    repository.push(make("b"), alias="production")
    repository.promote(f"{model.name}:1", "production")
    repository.promote(f"{model.name}:1", "production")
    moves = repository.history(model.name, "production")
    assert [move.version for move in moves] == [1, 2, 1]
    assert all(move.at is not None and abs(move.at - now) < HOUR for move in moves)


def test_only_the_last_moves_are_remembered(folder: Repository) -> None:
    """The record stays far below what a record may be, and the oldest moves go."""
    (model,) = folder.models()
    for number in range(MAX_MOVES + 5):
        folder.promote(f"{model.name}:{number % 3 + 1}", "production")
    moves = folder.history(model.name, "production")
    assert [move.version for move in moves] == [number % 3 + 1 for number in range(5, MAX_MOVES + 5)][::-1]
    path = Path(folder.url) / "models" / model.name / "moves" / "production.json"
    assert path.stat().st_size < MAX_RECORD_BYTES


def test_moves_of_earlier_versions_are_added(folder: Repository) -> None:
    """They write the alias's record and no other: it is a move, too, and its time is that of its record."""
    (model,) = folder.models()
    store, key = open_store(folder.url), alias_key(model.name, "production")
    folder.promote(f"{model.name}:1", "production")
    content = store.get(key, 4096)
    assert content is not None
    store.replace(key, Version(2, model.versions[1].digest).encode("ab" * 16), content[1])
    os.utime(Path(folder.url) / key, (1e9, 1e9))
    assert [move.version for move in folder.history(model.name, "production")] == [2, 1]
    folder.promote(f"{model.name}:3", "production")
    moves = folder.history(model.name, "production")
    assert [move.version for move in moves] == [3, 2, 1]
    assert moves[1].at == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    assert folder.resolve(f"{model.name}@production").version == 3


def test_a_record_that_cannot_be_written_stops_no_move(folder: Repository, caplog: pytest.LogCaptureFixture) -> None:
    """The alias has moved: a warning says what is missing, and a damaged history is an error of the history alone."""
    (model,) = folder.models()
    path = Path(folder.url) / "models" / model.name / "moves" / "production.json"
    path.parent.mkdir()
    path.write_text('{"moves":[{"version":1}]}')
    with caplog.at_level(logging.WARNING, "fourfold.repository"):
        folder.promote(f"{model.name}:2", "production")
    assert "was moved, and its history does not say so" in caplog.text
    assert folder.resolve(f"{model.name}@production").version == 2
    assert len(folder.models()) == 1
    with pytest.raises(RepositoryError, match="remove it"):
        folder.history(model.name, "production")
    path.unlink()
    assert [move.version for move in folder.history(model.name, "production")] == [2]
    with pytest.raises(NotFound, match="did you mean 'production'"):
        folder.history(model.name, "prodution")


@pytest.mark.parametrize(
    "entry",
    [
        "1",
        "{}",
        '{"at":"yesterday","token":"T","version":1}',
        '{"at":null,"token":"x","version":1}',
        '{"at":null,"token":"T","version":true}',
    ],
)
def test_damaged_moves_are_named(entry: str) -> None:
    """Whatever a record holds, the error says which it is."""
    data = f'{{"moves":[{entry}]}}'.replace("T", "ab" * 16).encode()
    with pytest.raises(RepositoryError, match="the record x is damaged"):
        decode_moves(data, "the record x")
    for other in (b"[]", b"{}", b"\xff", b"[" * 5000, b'{"moves":{}}'):
        with pytest.raises(RepositoryError, match="the record x is damaged"):
            decode_moves(other, "the record x")


@pytest.mark.parametrize("columns", [80, 110])
def test_the_list_fits_a_terminal(folder: Repository, columns: int) -> None:
    """No line is wider, no digest is broken, and an alias is never cut where it could go below."""
    (model,) = folder.models()
    for index in range(8):
        folder.promote(f"{model.name}:2", f"a-rather-long-alias-{index}")
    shown = run_in_terminal(columns, "-m", "fourfold", "list", model.name, "--repository", folder.url)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    for version in model.versions:
        (line,) = [line for line in lines if line.split()[:1] == [str(version.version)]]
        assert version.digest[:19] in line
        assert version.written is not None
        assert version.written.strftime("%Y-%m-%d %H:%M") in line
    words = " ".join(shown.split())
    assert all(f"a-rather-long-alias-{index}" in words for index in range(8))
    whole = run_in_terminal(columns, "-m", "fourfold", "list", "--all", "--repository", folder.url).split()
    assert all(version.digest in whole for version in model.versions)


def test_the_list_for_scripts(folder: Repository) -> None:
    """Whole digests, dates and, of one model, the history; a date that the store does not have is null."""
    (model,) = folder.models()
    folder.promote(f"{model.name}:1", "production")
    folder.promote(f"{model.name}:3", "production")
    (listed,) = json.loads(call("list", model.name, "--repository", folder.url, "--json").stdout)
    assert [version["digest"] for version in listed["versions"]] == [version.digest for version in model.versions]
    assert [move["version"] for move in listed["history"]["production"]] == [3, 1]
    assert all(version["pushed"].endswith("Z") for version in listed["versions"])
    assert Version(1, model.versions[0].digest).written is None
    assert Version(1, model.versions[0].digest, 1e300).written is None
