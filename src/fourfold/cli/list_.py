"""`fourfold list`: what a repository holds."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.output import print_json, table


@click.command("list")
@click.argument("model", required=False)
@options.repository
@options.as_json
def command(model: str | None, repository: str | None, *, as_json: bool) -> None:
    """List the models of the repository, with their versions and aliases; or those of one MODEL.

    \b
    fourfold list --repository s3://bucket/models
    fourfold list eta
    """
    from fourfold.repository import Repository

    opened = Repository.open(repository)
    models = opened.models() if model is None else (opened.model(model),)
    if as_json:
        print_json(
            [
                {
                    "name": each.name,
                    "versions": [{"version": one.version, "digest": one.digest} for one in each.versions],
                    "aliases": {alias: one.version for alias, one in each.aliases.items()},
                }
                for each in models
            ]
        )
        return
    rows = []
    for each in models:
        for one in each.versions:
            aliases = [alias for alias, target in each.aliases.items() if target.version == one.version]
            rows.append((each.name, one.version, ", ".join(sorted(aliases)), one.digest))
    if rows:
        table(["model", "version#", "aliases", "digest"], rows)
    else:
        click.echo(f"no packages in {opened.url}")
