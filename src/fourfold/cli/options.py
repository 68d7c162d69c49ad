"""Define the options that several verbs share."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import click

from fourfold.cli.groups import SuggestingChoice
from fourfold.durable.file_urls import local_file
from fourfold.errors import SourceError
from fourfold.jobfile import parse_count_or_share

__all__ = ["COUNT_OR_SHARE", "FilePath", "absent", "as_json", "extra", "quiet", "repository", "trust"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _CountOrShare(click.ParamType[float]):
    """Parse a count of rows or, with a decimal point, a share of them."""

    name = "number or share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        if isinstance(value, (int, float)):
            return value
        try:
            return parse_count_or_share(value)
        except ValueError:
            self.fail(f"expected a number such as 100, or a share such as 0.01; got {value!r}", param, ctx)


COUNT_OR_SHARE = _CountOrShare()


class FilePath(click.Path):
    """Parse the path of a file, which may come as a `file://` URL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, once it is checked as `click.Path` checks it."""
        path = local_file(value, SourceError, "a file") if isinstance(value, str) else value
        return super().convert(path, param, ctx)


def _refuse_memory(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Refuse a repository in memory, which would be lost when the command ends."""
    if value is not None and value.startswith("memory:"):
        raise click.BadParameter(f"{value} ends with this command: name a folder or a bucket")
    return value


def _names(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split names at commas, as a record of CSV: a name with a comma in it stands in quotes."""
    return tuple(name for record in csv.reader(values, skipinitialspace=True) for name in record)


absent: Decorator = click.option(
    "--absent",
    multiple=True,
    callback=_names,
    metavar="A,B",
    help="Fields that may be missing and have no column in the rows; a table that lacks another field's is refused.",
)
extra: Decorator = click.option(
    "--extra",
    type=click.Choice(["forbid", "ignore"]),
    help="What becomes of columns, or keys, that are no fields of the model and not kept.  [default: ignore]",
)
repository: Decorator = click.option(
    "--repository",
    metavar="URL",
    envvar="FOURFOLD_REPOSITORY",
    callback=_refuse_memory,
    help="A folder, or s3://, gs://, az://. Default: $FOURFOLD_REPOSITORY.",
)
trust: Decorator = click.option(
    "--trust",
    type=SuggestingChoice(["data", "foreign", "code"]),
    help="What the package may do here. data: a plan. foreign: files that other libraries read. code: Python and "
    "pickle too. Only for packages whose maker you trust. Default: $FOURFOLD_TRUST, else data.",
)
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script to read.")
quiet: Decorator = click.option(
    "--quiet", "-q", is_flag=True, help="Print nothing where all goes well: no progress, no report."
)
