"""Define `fourfold help`: print the help of a verb, as its `--help` does."""

from __future__ import annotations

import click


@click.command("help")
@click.argument("verb", nargs=-1)
@click.pass_context
def command(ctx: click.Context, verb: tuple[str, ...]) -> None:
    """Print the help of a VERB, such as pack or batch run; or what all verbs are for."""
    assert ctx.parent is not None
    shown = ctx.parent
    remaining = list(verb)
    while remaining and isinstance(shown.command, click.Group):
        name, shown_verb, remaining = shown.command.resolve_command(shown, remaining)
        assert shown_verb is not None
        shown = click.Context(shown_verb, info_name=name, parent=shown)
    click.echo(shown.get_help())
