"""Packages to push, and what the processes of the tests do with them."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from fourfold.errors import Conflict
from fourfold.package import Package
from fourfold.repository import Repository


def make(content: str = "a", name: str = "eta") -> Package:
    """Return a package of two files; another content gives another package."""
    side = [{"name": "x", "dtype": "float64"}]
    manifest = {
        "fourfold": 1,
        "name": name,
        "signature": {"inputs": side, "outputs": side, "extra": "forbid"},
        "runtime": {"name": "python", "settings": {}, "requires": "", "libraries": {}},
        "exactness": {"exact": True, "block": None, "rows": 0, "tested": [], "accepted": "exact"},
        "engines": [],
        "golden": {"file": "golden.json", "rows": 0, "tolerance": 0},
        "provenance": {},
    }
    return Package.build(manifest, {"engine/model.bin": f"model {content}".encode(), "golden.json": b"[]"})


def push_many(folder: Path, who: int, count: int, pipe: Connection) -> None:
    """Push packages of this writer's own, one shared by all writers, and move one alias after each; send the result."""
    repository = Repository.open(folder)
    versions, moves, refused = [], 0, 0
    pipe.recv()
    shared = repository.push(make("shared"))
    for index in range(count):
        version = repository.push(make(f"{who}-{index}"))
        versions.append(version)
        try:
            repository.promote(f"eta:{version}", "production")
            moves += 1
        except Conflict:
            refused += 1
    pipe.send((shared, versions, moves, refused))


def count_up(folder: Path, steps: int, pipe: Connection) -> None:
    """Move an alias to the version after the one that it points at, so often; tell how often it was another's turn."""
    repository = Repository.open(folder)
    pipe.recv()
    refused = 0
    while steps:
        now = repository.resolve("eta@counter")
        assert now.version is not None
        try:
            repository.promote(f"eta:{now.version + 1}", "counter", expected=now.version)
            steps -= 1
        except Conflict:
            refused += 1
    pipe.send(refused)


def write_for_ever(folder: Path, who: int, pipe: Connection) -> None:
    """Push and promote until killed."""
    repository = Repository.open(folder)
    pipe.send("started")
    index = 0
    while True:
        version = repository.push(make(f"{who}-{index}"))
        try:
            repository.promote(f"eta:{version}", "production")
        except Conflict:
            continue
        finally:
            index += 1
