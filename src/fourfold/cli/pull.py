"""Define `fourfold pull`: fetch a package from a repository."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.output import print_json


@click.command("pull")
@click.argument("reference")
@click.option(
    "--output",
    "-o",
    type=click.Path(),
    help="Where to; a path that ends with .fourfold is one file, any other a folder. Default: NAME.fourfold.",
)
@click.option("--replace", is_flag=True, help="Replace a file that is there already.")
@options.repository
@options.as_json
@options.quiet
def command(
    reference: str, output: str | None, repository: str | None, *, replace: bool, as_json: bool, quiet: bool
) -> None:
    """Take the package of a REFERENCE out of the repository, verified.

    \b
    fourfold pull eta@production --output eta.fourfold
    """
    from fourfold.package import SUFFIX
    from fourfold.repository import Repository

    package, version = Repository.open(repository).find(reference)
    path = package.save(output or f"{package.name}{SUFFIX}", replace=replace)
    if as_json:
        print_json({"path": str(path), "name": package.name, "version": version, "digest": package.digest})
    elif not quiet:
        click.echo(f"{path}  {package.digest}")
