"""Define `fourfold push`: put a package into a repository."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.next_steps import print_next, repository_option, trust_option
from fourfold.cli.output import print_json


@click.command("push")
@click.argument("package", type=options.FilePath(exists=True))
@click.option("--alias", metavar="ALIAS", help="Point this alias at the version once it is there.")
@options.repository
@options.as_json
@options.quiet
def command(package: str, alias: str | None, repository: str | None, *, as_json: bool, quiet: bool) -> None:
    """Put a PACKAGE (a file or folder) into the repository, as the next version of its model.

    A version never changes. Pushing a package that is there already gives its version again.

    \b
    fourfold push eta.fourfold --repository s3://bucket/models
    fourfold push eta.fourfold --alias production
    """
    from fourfold.package import open_package
    from fourfold.repository import push
    from fourfold.runtimes import level_of

    opened = open_package(package)
    version = push(opened, repository, alias=alias)
    if as_json:
        moved = {} if alias is None else {"alias": alias}
        print_json({"name": opened.name, "version": version, "digest": opened.digest, **moved})
    elif not quiet:
        named = "" if alias is None else f"  is {opened.name}@{alias}"
        click.echo(f"{opened.name}:{version}  {opened.digest}{named}")
        where = repository_option(repository)
        if alias is None:
            print_next(["promote", f"{opened.name}:{version}", "production", *where])
        else:
            print_next(["serve", f"{opened.name}@{alias}", *where, *trust_option(level_of(opened.manifest))])
