"""Define the command line, one file a verb.

A verb's file imports only what its help needs, and the rest when the verb runs: so `fourfold --help` is quick, and a
missing extra only stops the verbs that need it.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any

import click

from fourfold import __version__
from fourfold.cli.groups import SuggestingGroup
from fourfold.cli.output import print_error
from fourfold.errors import FourfoldError, missing_library

__all__ = ["command", "main"]

#: The verbs, in the order in which a newcomer meets them.
_VERBS = (
    "demo",
    "pack",
    "show",
    "push",
    "pull",
    "list",
    "promote",
    "predict",
    "serve",
    "stream",
    "batch",
    "certify",
    "why",
    "doctor",
)
#: The modules of verbs whose names are not theirs, and other names of verbs, which the help does not list.
_MODULES = {"list": "list_", "ls": "list_", "help": "help_"}
#: What people from other tools type, each with what they find here.
_OTHER_WORDS = {
    "build": "pack",
    "save": "pack",
    "create": "pack",
    "inspect": "show",
    "info": "show",
    "upload": "push",
    "register": "push",
    "publish": "push",
    "download": "pull",
    "fetch": "pull",
    "models": "list",
    "versions": "list",
    "alias": "promote",
    "tag": "promote",
    "start": "serve",
    "deploy": "serve",
    "server": "serve",
    "kafka": "stream",
    "run": "fourfold batch run",
    "verify": "certify",
    "check": "doctor",
    "test": "certify",
    "explain": "why",
    "diff": "why",
}

_EPILOG = """
\b
Begin with:
  fourfold demo           everything, on real data, in a minute or two
\b
Then, with a model of your own:
  fourfold pack eta --estimator eta.joblib --rows rows.parquet
  fourfold push eta.fourfold --repository models/
  fourfold promote eta:1 production --repository models/
  fourfold serve eta@production --repository models/

\b
FOURFOLD_REPOSITORY names the repository where --repository does not.
Exit statuses: 0 done, 1 answers differ, or doctor finds a problem, 2 wrong
usage, 3 rows or signature, 4 package or engine, 5 repository, 6 source, sink
or port, 7 a library is missing, 130 interrupted (docs/cli.md).
"""


class _Verbs(SuggestingGroup):
    """Import the module of a verb when the verb is used."""

    other_words = _OTHER_WORDS
    for_a_package = "fourfold show"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "version":
            return _version
        if cmd_name not in _VERBS and cmd_name not in _MODULES:
            return None
        module = import_module(f"fourfold.cli.{_MODULES.get(cmd_name, cmd_name)}")
        verb: click.Command = module.command
        return verb

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a library that it imports and that is not installed is named with its extra."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            missing = missing_library(error, f"fourfold {ctx.invoked_subcommand}")
            if missing is None:
                raise
            raise missing from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their whole summaries, which click would cut at the end of a line."""
        rows = []
        for name in self.list_commands(ctx):
            verb = self.get_command(ctx, name)
            assert verb is not None
            rows.append((name, verb.get_short_help_str(limit=1_000)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command("version")
def _version() -> None:
    """Print the version of Fourfold."""
    click.echo(f"fourfold, version {__version__}")


@click.group(
    cls=_Verbs, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option("--debug", is_flag=True, envvar="FOURFOLD_DEBUG", help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="fourfold")
def command(*, debug: bool) -> None:
    """Pack a model once, run it four ways, and get the same answer from each, bit for bit.

    As a microservice, a stream processor, a batch job, or inside your own application.
    """
    if debug:
        os.environ["FOURFOLD_DEBUG"] = "1"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name need not fit the terminal's character set
    try:
        status = command.main(arguments, prog_name="fourfold", standalone_mode=False)
    except click.exceptions.Exit as end:
        status = end.exit_code
    except click.ClickException as error:
        error.show()
        if error.message.startswith("Got unexpected extra argument"):
            click.echo("Quote a name with * or ? in it: the shell makes several arguments of it.", err=True)
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("fourfold: interrupted", err=True)
        status = 130
    except BrokenPipeError:
        # The reader of the output has gone. Python flushes standard output at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except FourfoldError as error:
        if os.environ.get("FOURFOLD_DEBUG"):
            raise
        status = print_error(error)
    sys.exit(status if isinstance(status, int) else 0)
