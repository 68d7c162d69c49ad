"""Define `fourfold push`: put a package into a repository."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.output import print_json


@click.command("push")
@click.argument("package", type=options.FilePath(exists=True))
@options.repository
@options.as_json
def command(package: str, repository: str | None, *, as_json: bool) -> None:
    """Put a PACKAGE (a file or folder) into the repository, as the next version of its model.

    A version never changes. Pushing a package that is there already gives its version again.

    \b
    fourfold push eta.fourfold --repository s3://bucket/models
    """
    from fourfold.package import open_package
    from fourfold.repository import Repository

    opened = open_package(package)
    version = Repository.open(repository).push(opened)
    if as_json:
        print_json({"name": opened.name, "version": version, "digest": opened.digest})
    else:
        click.echo(f"{opened.name}:{version}  {opened.digest}")
