"""Define `fourfold list`: print what a repository holds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli import options
from fourfold.cli.output import MAX_TABLE_ROWS, clip, console, print_facts, print_json

if TYPE_CHECKING:
    from fourfold.repository import Model, Repository, Version

#: The hexadecimal digits of a digest that are shown, and that a reference needs.
SHOWN_DIGITS = 12
_NO_DATE = "no date"


@click.command("list")
@click.argument("model", required=False)
@click.option("--all", "whole", is_flag=True, help="Print whole digests, on a line of their own.")
@options.repository
@options.as_json
@options.quiet
def command(model: str | None, repository: str | None, *, whole: bool, as_json: bool, quiet: bool) -> None:
    """List the models of the repository: versions, when they were pushed, digests and aliases; or those of one MODEL.

    Of one MODEL, it prints the history of its aliases as well. Dates are those of the store, in UTC.

    \b
    fourfold list --repository s3://bucket/models
    fourfold list eta
    """
    from fourfold.repository import Repository

    opened = Repository.open(repository)
    models = opened.models() if model is None else (opened.model(model),)
    if as_json:
        print_json([_to_json(opened, entry, with_history=model is not None) for entry in models])
        return
    if quiet:
        return  # the exit status says whether the model is there
    if not models:
        click.echo(f"no packages in {clip(opened.url)}")
    for entry in models:
        _print_model(entry, whole=whole)
    if model is not None and models[0].aliases:
        click.echo("\nhistory of the aliases, the newest move first")
        print_facts([(f"@{alias}", _history(opened, models[0], alias)) for alias in models[0].aliases], indent=2)


def _to_json(repository: Repository, model: Model, *, with_history: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": model.name,
        "versions": [
            {"version": version.version, "digest": version.digest, "pushed": _iso(version.written)}
            for version in model.versions
        ],
        "aliases": {alias: target.version for alias, target in model.aliases.items()},
    }
    if with_history:
        entry["history"] = {
            alias: [{"version": move.version, "at": _iso(move.at)} for move in repository.history(model.name, alias)]
            for alias in model.aliases
        }
    return entry


def _print_model(model: Model, *, whole: bool) -> None:
    """Print a line for each version; at 80 columns only a line's aliases are continued below it."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console().print(Text(clip(model.name), style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("right", "left", "left"):
        table.add_column(no_wrap=True, justify=justify)
    table.add_column(overflow="fold")
    digests = []
    versions = model.versions[-MAX_TABLE_ROWS:]
    if len(versions) < len(model.versions):
        click.echo(f"  … {len(model.versions) - len(versions):,} older versions (--json prints all)")
    for version in versions:
        aliases = sorted(alias for alias, target in model.aliases.items() if target.version == version.version)
        digest = "" if whole else version.digest[: len("sha256:") + SHOWN_DIGITS]
        table.add_row(str(version.version), _date(version), Text(digest), Text(clip(", ".join(aliases))))
        digests.append(f"{version.version:>5}  {version.digest}")
    console().print(Padding(table, (0, 0, 0, 2)))
    if whole:
        click.echo("\n".join(digests))


def _history(repository: Repository, model: Model, alias: str) -> str:
    moves = repository.history(model.name, alias)
    return ", ".join(f"{move.version} ({_shown(move.at)})" for move in moves)


def _date(version: Version) -> str:
    return _shown(version.written)


def _shown(at: datetime | None) -> str:
    return _NO_DATE if at is None else at.strftime("%Y-%m-%d %H:%M")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
