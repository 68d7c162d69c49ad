"""Define `fourfold promote`: point an alias at a version."""

from __future__ import annotations

import click

from fourfold.cli import options
from fourfold.cli.output import print_json


@click.command("promote")
@click.argument("reference")
@click.argument("alias")
@click.option("--expected", metavar="VERSION", help="Move the alias only if it points at this version, or digest, now.")
@options.repository
@options.as_json
def command(reference: str, alias: str, expected: str | None, repository: str | None, *, as_json: bool) -> None:
    """Point an ALIAS of a model at the package of a REFERENCE, in one step that either happens or does not.

    \b
    fourfold promote eta:3 production
    """
    from fourfold.repository import promote

    expected_target: int | str | None = int(expected) if expected is not None and expected.isdecimal() else expected
    promoted = promote(reference, alias, repository, expected=expected_target)
    if as_json:
        print_json({"name": promoted.name, "alias": alias, "version": promoted.version, "digest": promoted.digest})
    else:
        click.echo(f"{promoted.name}@{alias}  is {promoted.name}:{promoted.version}  {promoted.digest}")
