"""Define `fourfold certify`: check that the answers of the four architectures are equal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fourfold.cli import options
from fourfold.cli.groups import SuggestingChoice
from fourfold.cli.output import clip, console, print_facts, print_json, print_table, progress_bars
from fourfold.errors import counted

if TYPE_CHECKING:
    from fourfold.certificate import Certificate
    from fourfold.certificate.certificate import DoorReport
    from fourfold.package.levels import Level

#: The most characters of the row that is shown, and of one output of its answer, and the most outputs.
MAX_SHOWN_CHARACTERS = 240
MAX_SHOWN_OUTPUTS = 4


@click.command("certify")
@click.argument("package")
@click.option(
    "--rows",
    type=options.FilePath(exists=True, path_type=Path),
    required=True,
    help="Rows to send: Parquet, CSV, JSON lines or Arrow. Columns that are no inputs are left out.",
)
@click.option("--limit", type=int, metavar="N", help="Send only the first N rows.")
@click.option("--service", metavar="URL", help="A service that runs already; one is started otherwise.")
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    type=SuggestingChoice(["service", "stream", "batch", "embed"]),
    help="Send the rows through this one only; may be repeated.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the certificate there, as JSON.")
@click.option("--all", "every_door", is_flag=True, help="Print a line for every door, and every way to send the rows.")
@options.absent
@options.repository
@options.trust
@options.as_json
@options.quiet
def command(
    package: str,
    rows: Path,
    limit: int | None,
    service: str | None,
    architectures: tuple[str, ...],
    output: Path | None,
    absent: tuple[str, ...],
    repository: str | None,
    *,
    every_door: bool,
    trust: Level | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send the same rows through every door of the four architectures and compare the bits that come out.

    Starts what is not running. Ends with status 0 where every answer is the same, and 1 where one differs; the first
    row that does is named, with its field, its door and the likely cause.

    \b
    fourfold certify eta@production --rows rows.parquet --output certificate.json
    """
    from fourfold.certificate import ARCHITECTURES, certify
    from fourfold.cli.package_arguments import command_arguments
    from fourfold.cli.rows import read_rows
    from fourfold.loading import find, load

    located = find(package, repository=repository)
    predictor = load(located, trust=trust)
    with progress_bars(quiet=quiet or as_json) as report:
        certificate = certify(
            predictor,
            read_rows(rows, predictor.signature.inputs, limit, absent),
            architectures=architectures or ARCHITECTURES,
            service_url=service,
            arguments=command_arguments(package, located),
            on_progress=report,
            absent=absent,
        )
    if output is not None:
        _write(output, certificate)
    if as_json:
        print_json(certificate.to_json())
    elif not (quiet and certificate.equal):
        print_certificate(certificate, every_door=every_door)
    if not certificate.equal:
        raise SystemExit(1)


def _write(path: Path, certificate: Certificate) -> None:
    from fourfold.durable.outputs import write_output
    from fourfold.errors import SinkError

    text = json.dumps(certificate.to_json(), indent=2, ensure_ascii=False) + "\n"
    try:
        write_output(path, text.encode())
    except OSError as error:
        raise SinkError(f"cannot write the certificate {path}: {error.strerror or error}") from error


def print_certificate(certificate: Certificate, *, every_door: bool = False) -> None:
    """Print a certificate for people: a line for each architecture, or for each of its doors."""
    from fourfold.cli.show import print_title

    out = console()
    out.print()
    out.print("certificate", style="bold")
    print_title(certificate.name, certificate.version, certificate.digest)
    if every_door:
        columns = ["architecture", "door", "sent", "rows#", "differing#"]
        print_table(columns, [_door_cells(door) for door in certificate.doors])
    else:
        print_table(["architecture", "doors#", "rows sent#", "differing#"], _architecture_cells(certificate))
    _print_one_row(certificate)
    _print_differences([door for door in certificate.doors if door.first is not None], every_door=every_door)
    number = len({(door.architecture, door.door) for door in certificate.doors})
    sent = [counted(certificate.rows, "row"), counted(number, "door")]
    replayed = f"{counted(certificate.golden_rows, 'golden row')} at every start"
    out.print(", ".join([*sent, replayed]), markup=False)
    if certificate.refused:
        refused = counted(certificate.refused, "row")
        out.print(f"{refused} left out: not what the signature takes, or the engine refuses them", markup=False)
    verdict = "the same bits everywhere" if certificate.equal else f"{counted(certificate.differing, 'answer')} differ"
    out.print(verdict, style="bold green" if certificate.equal else "bold red", markup=False)


def _print_differences(differing: Sequence[DoorReport], *, every_door: bool) -> None:
    """Print the first difference of each door, or of one door of each architecture."""
    shown = differing if every_door else list({door.architecture: door for door in reversed(differing)}.values())[::-1]
    for door in shown:
        assert door.first is not None
        where = f"{door.architecture}, {door.door}, {door.batching}: row {door.first.row}, field {door.first.field}"
        values = f"expected {door.first.expected!r}, got {door.first.got!r}"
        print_facts([("differs", f"{where}: {values}; likely cause: {door.cause}")])
    if len(shown) < len(differing):
        print_facts([("", f"… and in {counted(len(differing) - len(shown), 'more way')} to send the rows (--all)")])


def _door_cells(door: DoorReport) -> tuple[str, ...]:
    return (door.architecture, door.door, door.batching, f"{door.rows:,}", f"{door.differing:,}")


def _architecture_cells(certificate: Certificate) -> list[tuple[str, ...]]:
    cells = []
    for architecture in dict.fromkeys(door.architecture for door in certificate.doors):
        reports = [door for door in certificate.doors if door.architecture == architecture]
        numbers = (
            len({door.door for door in reports}),
            sum(door.rows for door in reports),
            sum(door.differing for door in reports),
        )
        cells.append((architecture, *(f"{number:,}" for number in numbers)))
    return cells


def _print_one_row(certificate: Certificate) -> None:
    """Print one row, and below it the answer of each architecture, so that the eye can compare."""
    shown = ", ".join(f"{name}={value}" for name, value in certificate.shown.items())
    print_facts([("one row", clip(shown, MAX_SHOWN_CHARACTERS))])
    for architecture, answer in certificate.answers.items():
        values = [f"{field} {_format_bits(value)}" for field, value in answer.items()]
        lines = [clip(value, MAX_SHOWN_CHARACTERS) for value in values[:MAX_SHOWN_OUTPUTS]]
        print_facts([(architecture if index == 0 else "", line) for index, line in enumerate(lines)])
        if len(values) > len(lines):
            print_facts([("", f"… and {counted(len(values) - len(lines), 'output')} more")])
    console().print()


def _format_bits(value: object) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else str(value)
