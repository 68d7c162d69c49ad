"""Send the same rows through every door of every architecture, and compare the bits of the answers."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fourfold import __version__, runtimes, tables
from fourfold.certificate.batching import Batching
from fourfold.certificate.causes import likely_cause
from fourfold.certificate.certificate import Certificate, DoorReport
from fourfold.certificate.doors import batch, embed, service, stream
from fourfold.certificate.doors.door import Door, Row
from fourfold.codecs import json_rows
from fourfold.errors import EngineError, InputError
from fourfold.loading import LocatedPackage, find, load
from fourfold.package import SUFFIX, write_package
from fourfold.predictor import Predictor
from fourfold.runtimes.engine import installed_version
from fourfold.signature.bits import Difference, first_difference, same_bits

if TYPE_CHECKING:
    from fourfold.package import Package
    from fourfold.package.levels import Level
    from fourfold.repository import Repository

__all__ = ["ARCHITECTURES", "certify", "open_doors"]

#: The architectures, in the order in which a certificate lists them.
ARCHITECTURES = ("service", "stream", "batch", "embed")

OnProgress = Callable[[str, int, int | None], None]


def certify(
    source: Predictor | Package | str | os.PathLike[str],
    rows: Any,
    repository: str | os.PathLike[str] | Repository | None = None,
    *,
    trust: Level | None = None,
    architectures: Sequence[str] = ARCHITECTURES,
    service_url: str | None = None,
    on_progress: OnProgress = lambda *_: None,
    arguments: Sequence[str] | None = None,
    doors: Iterable[Door] | None = None,
    absent: Collection[str] = (),
) -> Certificate:
    """Certify that the architectures give the same bits.

    The answers of every door are compared with those of the package, loaded in this process, to all rows at once.

    Args:
        source: a predictor, or what `fourfold.load` takes: a package, its path or a reference.
        rows: a table in any container; columns that are no inputs are dropped, rows that do not fit are counted and
            not sent.
        repository: where to look up a reference, as `fourfold.load` does.
        trust: what the package may do here, as `fourfold.load` takes it; a predictor has been trusted already.
        architectures: the architectures to send the rows through.
        service_url: the URL of a running service; by default one is started.
        on_progress: called with the door, the number of rows done and the number of all rows.
        arguments: the arguments with which a command finds the package, such as `("eta@production", "--repository",
            "models/")`; by default where `source` says that it is, and of a package in memory or a predictor, a file.
        doors: doors to use instead of those of the architectures.
        absent: the nullable fields whose column may be absent from a table.

    Raises:
        InputError: no row fits the signature.
        TableError: the table lacks a column that is not in `absent`.
        ServiceError: the service cannot be started or reached.
        MissingLibrary: an architecture is to be certified whose library is not installed.
        FourfoldError: the package cannot be loaded; see `fourfold.load`.
    """
    if isinstance(source, Predictor):
        predictor = source
    else:
        located = find(source, repository=repository)
        predictor = load(located, trust=trust)
        arguments = _arguments(located) if arguments is None else arguments
    inputs, refused = _answerable_rows(predictor, rows, absent)
    expected: list[Row] = predictor.predict(inputs)
    certifier = _Certifier(predictor, inputs, expected, on_progress)
    if doors is not None:
        reports = certifier.reports(doors)
    else:
        with open_doors(predictor, architectures, service_url=service_url, arguments=arguments) as opened:
            reports = certifier.reports(opened)
    package = predictor.package
    return Certificate(
        name=predictor.name,
        version=predictor.version,
        digest=predictor.digest,
        rows=len(inputs),
        refused=refused,
        exactness=dict(package.manifest["exactness"]),
        golden_rows=predictor.replay.rows,
        shown=certifier.shown_input,
        doors=reports,
        environment=_environment(predictor),
    )


def _arguments(located: LocatedPackage) -> tuple[str, ...] | None:
    """Return the arguments with which a command finds the same package; `None` where only this process has it."""
    location = located.location
    if location is None or location.startswith("memory://"):
        return None
    if located.is_path:
        return (location,)
    return f"{located.package.name}@{located.package.digest}", "--repository", location


@contextmanager
def open_doors(
    predictor: Predictor,
    architectures: Sequence[str],
    *,
    service_url: str | None = None,
    arguments: Sequence[str] | None = None,
) -> Iterator[list[Door]]:
    """Open the doors of the architectures, and stop at the end what was started for them; arguments as in `certify`.

    The processes that are started may do with the package what this one, which has loaded it, does.
    """
    signature = predictor.signature
    if "service" in architectures and service_url is None:
        import_module("fourfold.service")  # says here, and not in another process's output, which library is missing
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fourfold-certify-")))
        if arguments is None:
            arguments = (str(write_package(predictor.package, folder / f"{predictor.name}{SUFFIX}")),)
        package = (*arguments, "--trust", runtimes.level_of(predictor.package.manifest))
        openers: dict[str, Callable[[], Any]] = {
            "service": lambda: service.doors(package, signature, url=service_url),
            "stream": lambda: stream.doors(package, signature, folder=folder),
            "batch": lambda: batch.doors(package, signature, folder=folder),
            "embed": lambda: embed.doors(predictor),
        }
        yield [door for name in architectures for door in stack.enter_context(openers[name]())]


def _answerable_rows(predictor: Predictor, rows: Any, absent: Collection[str]) -> tuple[list[dict[str, Any]], int]:
    """Return the canonical rows that the package answers, and the number of the other rows."""
    table, errors = tables.read(rows, predictor.signature.inputs, "ignore", absent=absent)
    unfit = {error.row for error in errors}
    if not isinstance(table, list):
        from fourfold.signature.columns import columns_to_rows

        table = columns_to_rows(predictor.signature.inputs, table)
    fitting = [row for index, row in enumerate(table) if index not in unfit and row is not None]
    if not fitting:
        raise InputError(errors)
    # Rows may fit the signature and still be refused by the engine, such as NaN where it takes none.
    kept = predictor.answer(fitting).kept
    if not kept:
        raise EngineError("the engine refuses every row")
    return [fitting[index] for index in kept], len(table) - len(kept)


class _Certifier:
    """Compare the answers of doors with the expected answers."""

    def __init__(
        self, predictor: Predictor, inputs: list[dict[str, Any]], expected: list[Row], on_progress: OnProgress
    ) -> None:
        self._predictor = predictor
        self._inputs = inputs
        self._expected = expected
        self._on_progress = on_progress
        self._names = [field.name for field in predictor.signature.outputs]
        self._shown = 0  # every batching sends the first row

    @property
    def shown_input(self) -> dict[str, Any]:
        """Return the input row that the certificate shows, as JSON values."""
        encoded = json_rows.encode([self._inputs[self._shown]], self._predictor.signature.inputs)
        row: dict[str, Any] = json_rows.decode(encoded, ())[0]
        return row

    def reports(self, doors: Iterable[Door]) -> list[DoorReport]:
        """Return a report for each door and batching."""
        return [self._report(door, batching) for door in doors for batching in door.batchings]

    def _report(self, door: Door, batching: Batching) -> DoorReport:
        order = batching.order(len(self._inputs))
        stage = f"{door.architecture}: {door.name}, {batching.name}"
        self._on_progress(stage, 0, len(order))
        start = time.perf_counter()
        got = door.answers([[self._inputs[row] for row in rows] for rows in batching.split(order)])
        seconds = time.perf_counter() - start
        self._on_progress(stage, len(order), len(order))
        expected = [self._expected[row] for row in order]
        differing = [index for index in range(len(order)) if not self._is_same(expected[index], got[index])]
        return DoorReport(
            architecture=door.architecture,
            door=door.name,
            batching=batching.name,
            rows=len(order),
            differing=len(differing),
            first=self._first_difference(order, expected, got, differing),
            cause=self._cause(door, order, expected, got, differing),
            answer=self._shown_answer(order, got),
            seconds=seconds,
        )

    def _is_same(self, expected: Row, got: Row | None) -> bool:
        return got is not None and all(same_bits(expected[name], got[name]) for name in self._names)

    def _first_difference(
        self, order: Sequence[int], expected: Sequence[Row], got: Sequence[Row | None], differing: Sequence[int]
    ) -> Difference | None:
        if not differing:
            return None
        index = min(differing, key=order.__getitem__)
        answer = got[index]
        if answer is None:
            return Difference(order[index], self._names[0], expected[index][self._names[0]], None)
        difference = first_difference([expected[index]], [answer], self._names)
        assert difference is not None
        return difference._replace(row=order[index])

    def _cause(
        self,
        door: Door,
        order: Sequence[int],
        expected: Sequence[Row],
        got: Sequence[Row | None],
        differing: Sequence[int],
    ) -> str:
        if not differing:
            return ""
        inputs = [self._inputs[row] for row in order]
        return likely_cause(
            self._predictor.signature,
            inputs,
            expected,
            got,
            digest=self._predictor.digest,
            door_digest=door.digest,
            ask_alone=lambda index: self._predictor.predict_one(inputs[index]),
        )

    def _shown_answer(self, order: Sequence[int], got: Sequence[Row | None]) -> dict[str, Any] | None:
        if self._shown not in order:
            return None
        answer = got[order.index(self._shown)]
        if answer is None:
            return None
        encoded = json_rows.encode([dict(answer)], self._predictor.signature.outputs)
        row: dict[str, Any] = json_rows.decode(encoded, ())[0]
        return row


def _environment(predictor: Predictor) -> dict[str, str]:
    libraries = predictor.package.manifest["runtime"]["libraries"]
    return {
        "fourfold": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **{library: installed_version(library) or "not installed" for library in libraries},
    }
