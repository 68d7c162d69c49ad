"""`certify`: send the same rows through every door of every architecture and compare the bits that come out."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fourfold import __version__, tables
from fourfold.certificate.batching import Cut
from fourfold.certificate.causes import likely_cause
from fourfold.certificate.certificate import Certificate, DoorReport
from fourfold.certificate.doors import batch, embed, service, stream
from fourfold.certificate.doors.door import Door, Row
from fourfold.codecs import json_rows
from fourfold.errors import EngineError, InputError
from fourfold.package import SUFFIX, write_package
from fourfold.runtimes.engine import installed
from fourfold.signature.bits import Difference, first_difference, same_bits

if TYPE_CHECKING:
    from fourfold.predictor import Predictor

__all__ = ["ARCHITECTURES", "certify", "open_doors"]

#: The architectures, in the order in which a certificate lists them.
ARCHITECTURES = ("service", "stream", "batch", "embed")

OnProgress = Callable[[str, int, int | None], None]


def certify(
    predictor: Predictor,
    rows: Any,
    *,
    architectures: Sequence[str] = ARCHITECTURES,
    service_url: str | None = None,
    trust: bool = False,
    on_progress: OnProgress = lambda *_: None,
    source: Sequence[str] | None = None,
    doors: Iterable[Door] | None = None,
) -> Certificate:
    """Certify that the architectures give the same bits.

    The answers of `predictor` to all rows at once are the ones that every door is held against.

    Args:
        predictor: the package, loaded in this process.
        rows: a table in any container; columns that are no inputs are dropped, rows that do not fit are left out and
            counted.
        architectures: which architectures to send the rows through.
        service_url: a service that runs already; one is started otherwise.
        trust: what the processes that are started may run of the package's own code.
        on_progress: is told the door, the rows done and the rows in all.
        source: the arguments with which a command finds the package, such as `("eta@production", "--repository",
            "models/")`; the very package that `predictor` holds otherwise.
        doors: other doors than those of the architectures.

    Raises:
        InputError: no row fits the signature.
        ServiceError: the service cannot be started or reached.
    """
    inputs, refused = _fitting(predictor, rows)
    expected: list[Row] = predictor.predict(inputs)
    certifier = _Certifier(predictor, inputs, expected, on_progress)
    if doors is not None:
        reports = certifier.reports(doors)
    else:
        with open_doors(predictor, architectures, service_url=service_url, trust=trust, source=source) as opened:
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


@contextmanager
def open_doors(
    predictor: Predictor,
    architectures: Sequence[str],
    *,
    service_url: str | None = None,
    trust: bool = False,
    source: Sequence[str] | None = None,
) -> Iterator[list[Door]]:
    """The doors of the architectures; what is started for them is stopped at the end. Arguments as of `certify`."""
    signature = predictor.signature
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fourfold-certify-")))
        if source is None:
            source = (str(write_package(predictor.package, folder / f"{predictor.name}{SUFFIX}")),)
        package = (*source, *(["--trust"] if trust else []))
        openers: dict[str, Callable[[], Any]] = {
            "service": lambda: service.doors(package, signature, url=service_url),
            "stream": lambda: stream.doors(package, signature, folder=folder),
            "batch": lambda: batch.doors(package, signature, folder=folder),
            "embed": lambda: embed.doors(predictor),
        }
        yield [door for name in architectures for door in stack.enter_context(openers[name]())]


def _fitting(predictor: Predictor, rows: Any) -> tuple[list[dict[str, Any]], int]:
    """The canonical rows that the packaged function answers, and how many it does not."""
    table, errors = tables.read(rows, predictor.signature.inputs, "ignore")
    bad = {error.row for error in errors}
    if not isinstance(table, list):
        from fourfold.signature.columns import columns_to_rows

        table = columns_to_rows(predictor.signature.inputs, table)
    fitting = [row for index, row in enumerate(table) if index not in bad and row is not None]
    if not fitting:
        raise InputError(errors)
    # Rows that fit and that the engine still refuses (a NaN where it takes none) are no rows of its function either.
    kept = predictor.answer(fitting).kept
    if not kept:
        raise EngineError("the engine refuses every row")
    return [fitting[index] for index in kept], len(table) - len(kept)


class _Certifier:
    """Holds doors against the answers that they should give."""

    def __init__(
        self, predictor: Predictor, inputs: list[dict[str, Any]], expected: list[Row], progress: OnProgress
    ) -> None:
        self._predictor = predictor
        self._inputs = inputs
        self._expected = expected
        self._progress = progress
        self._names = [field.name for field in predictor.signature.outputs]
        # The first row goes through every cut.
        self._shown = 0

    @property
    def shown_input(self) -> dict[str, Any]:
        """The row that the certificate shows, as JSON values."""
        encoded = json_rows.encode([self._inputs[self._shown]], self._predictor.signature.inputs)
        row: dict[str, Any] = json_rows.decode(encoded, ())[0]
        return row

    def reports(self, doors: Iterable[Door]) -> list[DoorReport]:
        """A report for each door and cut."""
        return [self._report(door, cut) for door in doors for cut in door.cuts]

    def _report(self, door: Door, cut: Cut) -> DoorReport:
        order = cut.order(len(self._inputs))
        stage = f"{door.architecture}: {door.name}, {cut.name}"
        self._progress(stage, 0, len(order))
        start = time.perf_counter()
        got = door.answers([[self._inputs[row] for row in piece] for piece in cut.pieces(order)])
        seconds = time.perf_counter() - start
        self._progress(stage, len(order), len(order))
        expected = [self._expected[row] for row in order]
        differing = [place for place in range(len(order)) if not self._same(expected[place], got[place])]
        return DoorReport(
            architecture=door.architecture,
            door=door.name,
            cut=cut.name,
            rows=len(order),
            differing=len(differing),
            first=self._first(order, expected, got, differing),
            cause=self._cause(door, order, expected, got, differing),
            answer=self._answer(order, got),
            seconds=seconds,
        )

    def _same(self, expected: Row, got: Row | None) -> bool:
        return got is not None and all(same_bits(expected[name], got[name]) for name in self._names)

    def _first(
        self, order: Sequence[int], expected: Sequence[Row], got: Sequence[Row | None], differing: Sequence[int]
    ) -> Difference | None:
        if not differing:
            return None
        place = min(differing, key=lambda each: order[each])
        answer = got[place]
        if answer is None:
            return Difference(order[place], self._names[0], expected[place][self._names[0]], None)
        found = first_difference([expected[place]], [answer], self._names)
        assert found is not None
        return found._replace(row=order[place])

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
            digest_there=door.digest,
            ask_alone=lambda place: self._predictor.predict_one(inputs[place]),
        )

    def _answer(self, order: Sequence[int], got: Sequence[Row | None]) -> dict[str, Any] | None:
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
        **{library: installed(library) or "not installed" for library in libraries},
    }
