"""Define `fourfold promote`: point an alias at a version."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.next_steps import print_next, repository_option, trust_option
from fourfold.cli.output import print_json, printable
from fourfold.errors import PackageError, RepositoryError


@click.command("promote")
@click.argument("reference")
@click.argument("alias")
@click.option("--expected", metavar="VERSION", help="Move the alias only if it points at this version, or digest, now.")
@options.repository
@options.as_json
@options.quiet
def command(
    reference: str, alias: str, expected: str | None, repository: str | None, *, as_json: bool, quiet: bool
) -> None:
    """Point an ALIAS of a model at the package of a REFERENCE, in one step that either happens or does not.

    \b
    fourfold promote eta:3 production
    """
    from fourfold.repository import Repository, promote

    expected_target: int | str | None = int(expected) if expected is not None and expected.isdecimal() else expected
    opened = Repository.open(repository)
    promoted = promote(reference, alias, opened, expected=expected_target)
    if as_json:
        print_json({"name": promoted.name, "alias": alias, "version": promoted.version, "digest": promoted.digest})
    elif not quiet:
        click.echo(f"{promoted.name}@{alias}  is {promoted.name}:{promoted.version}  {promoted.digest}")
        from fourfold.runtimes import level_of

        # The alias has been moved; what cannot be loaded is said now, and not when a service starts.
        try:
            level = level_of(opened.pull(f"{promoted.name}:{promoted.version}").manifest)
        except (PackageError, RepositoryError) as error:
            click.echo(f"note: {printable(str(error))}", err=True)
            return
        print_next(["serve", f"{promoted.name}@{alias}", *repository_option(repository), *trust_option(level)])
