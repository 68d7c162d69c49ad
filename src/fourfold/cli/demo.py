"""Define `fourfold demo`: run everything on real data."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import click

from fourfold.cli import options
from fourfold.cli.output import console, progress_bars


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fourfold-demo"),
    show_default=True,
    help="Where everything goes.",
)
@click.option(
    "--rows",
    default=10_000,
    show_default=True,
    type=click.IntRange(10, 200_000),
    help="Flights to send through each architecture.",
)
@options.quiet
def command(directory: Path, rows: int, *, quiet: bool) -> None:
    """Train a model on real flights, pack it once, run it in four architectures, and compare the answers bit for bit.

    Takes a minute or two, and leaves a repository behind to go on with.
    """
    from fourfold.cli.certify import print_certificate
    from fourfold.errors import naming_missing_library

    with naming_missing_library("fourfold demo", extra="demo"):
        from fourfold.demo import run

    start = time.perf_counter()
    with progress_bars(quiet=quiet) as report:
        demo = run(directory, rows=rows, on_progress=report)
    if quiet and demo.certificate.equal:
        return
    print_certificate(demo.certificate)
    out = console()
    out.print(f"\nmean error of the model on flights that it never saw: {demo.error:.1f} minutes in the air")
    out.print(f"done in {time.perf_counter() - start:.0f} seconds; everything is in {directory}\n")
    out.print("[bold]next[/bold]")
    for line in _next_commands(directory, demo.certificate.shown):
        # Not through rich, so that the commands can be pasted.
        click.echo(f"  {line}")
    if not demo.certificate.equal:
        raise SystemExit(1)


def _next_commands(directory: Path, row: dict[str, object]) -> list[str]:
    """Return commands that use the files that the demonstration leaves behind."""
    fourfold = _fourfold_command()
    eta = f"eta@production --repository {directory / 'repository'}"
    parquet = directory / "flights.parquet"
    flight = json.dumps([row])
    return [
        f"{fourfold} show {eta}",
        f"{fourfold} serve {eta} --port 8000",
        f"curl -s localhost:8000/predict -H 'content-type: application/json' -d '{flight}'",
        f"{fourfold} stream {eta} --from {directory / 'flights.jsonl'} --to {directory / 'etas.jsonl'} --keep flight",
        f"{fourfold} batch run {eta} --from {parquet} --to {directory / 'etas.csv'} --keep flight",
        f"{fourfold} certify {eta} --rows {parquet}",
    ]


def _fourfold_command() -> str:
    """Return how the user's shell calls `fourfold`."""
    script = Path(sys.executable).parent / "fourfold"
    on_path = shutil.which("fourfold")
    if on_path and Path(on_path).resolve() == script.resolve():
        return "fourfold"
    if script.exists():
        folder = Path.cwd()
        return str(script.relative_to(folder)) if script.is_relative_to(folder) else str(script)
    return f"{sys.executable} -m fourfold"
