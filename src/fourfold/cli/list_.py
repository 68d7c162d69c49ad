"""Define `fourfold list`: print what a repository holds."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.output import print_json, print_table


@click.command("list")
@click.argument("model", required=False)
@options.repository
@options.as_json
@options.quiet
def command(model: str | None, repository: str | None, *, as_json: bool, quiet: bool) -> None:
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
                    "name": entry.name,
                    "versions": [{"version": version.version, "digest": version.digest} for version in entry.versions],
                    "aliases": {alias: target.version for alias, target in entry.aliases.items()},
                }
                for entry in models
            ]
        )
        return
    if quiet:
        return  # the exit status says whether the model is there
    rows = []
    for entry in models:
        for version in entry.versions:
            aliases = [alias for alias, target in entry.aliases.items() if target.version == version.version]
            rows.append((entry.name, version.version, ", ".join(sorted(aliases)), version.digest))
    if rows:
        print_table(["model", "version#", "aliases", "digest"], rows)
    else:
        click.echo(f"no packages in {opened.url}")
