"""Define `fourfold certify`: check that the answers of the four architectures are equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fourfold.cli import options
from fourfold.cli.output import console, escape_markup, print_json, print_table, progress_bars

if TYPE_CHECKING:
    from fourfold.certificate import Certificate
    from fourfold.package.levels import Level


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
    type=click.Choice(["service", "stream", "batch", "embed"]),
    help="Send the rows through this one only; may be repeated.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the certificate there, as JSON.")
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
            source=command_arguments(package, located),
            on_progress=report,
            absent=absent,
        )
    if output is not None:
        _write(output, certificate)
    if as_json:
        print_json(certificate.to_json())
    else:
        print_certificate(certificate)
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


def print_certificate(certificate: Certificate) -> None:
    """Print a certificate for people."""
    out = console()
    out.print()
    out.print(
        f"[bold]certificate[/bold] of {certificate.name}" + (f":{certificate.version}" if certificate.version else "")
    )
    out.print(certificate.digest)
    print_table(
        ["architecture", "door", "cut", "rows#", "differing#"],
        [
            (door.architecture, door.door, door.batching, f"{door.rows:,}", f"{door.differing:,}")
            for door in certificate.doors
        ],
    )
    _print_side_by_side(certificate)
    for door in certificate.doors:
        if door.first is not None:
            first = door.first
            difference = (
                f"{door.architecture}, {door.door}, {door.batching}: row {first.row}, field {first.field}: "
                f"expected {first.expected!r}, got {first.got!r}"
            )
            out.print(f"[red]differs[/red] {escape_markup(difference)}\n  likely cause: {escape_markup(door.cause)}")
    refused = (
        f"; {certificate.refused:,} rows do not fit the signature and were left out" if certificate.refused else ""
    )
    doors = len({(door.architecture, door.door) for door in certificate.doors})
    verdict = "the same bits everywhere" if certificate.equal else f"{certificate.differing:,} answers differ"
    out.print(
        f"{certificate.rows:,} rows, {doors} doors, {certificate.golden_rows} golden rows at every start{refused}"
    )
    out.print(
        f"[bold {'green' if certificate.equal else 'red'}]{verdict}[/bold {'green' if certificate.equal else 'red'}]"
    )


def _print_side_by_side(certificate: Certificate) -> None:
    """Print the answers to one row, an architecture a column."""
    out = console()
    out.print("one row:")
    out.print("  " + escape_markup(", ".join(f"{name}={value}" for name, value in certificate.shown.items())))
    answers = certificate.answers
    names = list(answers)
    fields = list(next(iter(answers.values()), {}))
    print_table(["", *names], [(field, *(_format_bits(answers[name][field]) for name in names)) for field in fields])


def _format_bits(value: object) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else str(value)
