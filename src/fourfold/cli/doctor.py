"""Define `fourfold doctor`: say what is missing or misconfigured here, and the line that mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fourfold import __version__
from fourfold.cli import options
from fourfold.cli.output import clip, print_facts, print_json
from fourfold.errors import counted

if TYPE_CHECKING:
    from fourfold.checks import Check, Readers
    from fourfold.package.levels import Level

#: The port that `fourfold serve` takes where none is named.
_DEFAULT_PORT = 8000


@click.command("doctor")
@click.argument("package", required=False)
@click.option("--port", type=click.IntRange(0, 65_535), help="A port that must be free.  [default: 8000, if it is]")
@click.option("--read-only", is_flag=True, help="This host only loads packages: do not try to write the repository.")
@options.repository
@options.trust
@options.as_json
@options.quiet
def command(
    package: str | None,
    port: int | None,
    repository: str | None,
    *,
    read_only: bool,
    trust: Level | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what is missing or misconfigured here, and the line that mends it; and whether a PACKAGE would load.

    Looks at Python and the libraries, the evaluator, processes, temporary files, room, the clock, the FOURFOLD_
    variables, trust, the port, and the repository, where it writes a probe. Ends with status 0 where nothing is wrong,
    and 1 where something is; a note is no fault.

    \b
    fourfold doctor
    fourfold doctor eta@production --repository s3://bucket/models
    """
    checks = list(_checks(package, port, repository, read_only=read_only, trust=trust))
    problems = [check for check in checks if check.status == "problem"]
    if as_json:
        print_json({"ok": not problems, "version": __version__, "checks": [check.to_json() for check in checks]})
    elif not quiet:
        _print(checks, len(problems))
    elif problems:
        _print(problems, len(problems))
    if problems:
        raise SystemExit(1)


def _checks(
    package: str | None, port: int | None, repository: str | None, *, read_only: bool, trust: Level | None
) -> Iterator[Check]:
    """Yield what every room has looked at."""
    from fourfold.buckets.checks import check_processes
    from fourfold.checks import check_variables
    from fourfold.cli import checks as installation
    from fourfold.durable.checks import check_room, check_temporary_folder
    from fourfold.installation import install_command
    from fourfold.loading.checks import check_package, check_trust
    from fourfold.repository.checks import check_cache, check_repository
    from fourfold.runtimes.checks import check_evaluator, check_threads

    yield from installation.check_python()
    yield from installation.check_libraries()
    yield from check_evaluator(install_command())
    yield from check_processes(__version__)
    yield from check_threads()
    yield from installation.check_clock()
    yield from check_temporary_folder()
    yield from check_room(_folders(repository))
    readers, others = _variables()
    yield from check_variables(readers)
    yield from installation.check_unknown_variables({*readers, *others})
    yield from check_trust()
    yield from _check_port(port)
    location = repository or os.environ.get("FOURFOLD_REPOSITORY")
    yield from check_cache(is_needed=location is not None and "://" in location and not location.startswith("file:"))
    yield from check_repository(repository, read_only=read_only)
    if package is not None:
        yield from check_package(package, repository, trust)


def _check_port(port: int | None) -> Iterator[Check]:
    """Yield whether a service could listen; where its extra is not installed, nobody asks for a port."""
    from fourfold.checks import Check
    from fourfold.errors import MissingLibrary

    try:
        from fourfold.service.checks import check_port
    except MissingLibrary as error:
        yield Check("port", "note", f"not looked at: {error}")
        return
    yield from check_port("127.0.0.1", _DEFAULT_PORT if port is None else port, is_named=port is not None)


def _variables() -> tuple[Readers, tuple[str, ...]]:
    """Return the environment variables with what reads them, and those that other checks look at."""
    from fourfold.durable import checks as durable
    from fourfold.interpreter import PYTHON_VARIABLE
    from fourfold.loading import checks as loading
    from fourfold.loading.trust import POLICY_VARIABLE
    from fourfold.repository import REPOSITORY_VARIABLE
    from fourfold.repository.cache import CACHE_VARIABLE
    from fourfold.runtimes import checks as runtimes

    readers = {**durable.READERS, **runtimes.READERS, **loading.READERS}
    return readers, (PYTHON_VARIABLE, POLICY_VARIABLE, REPOSITORY_VARIABLE, CACHE_VARIABLE, "FOURFOLD_DEBUG")


def _folders(repository: str | None) -> list[Path]:
    """Return the folders where this host writes."""
    import tempfile

    from fourfold.repository.cache import default_folder

    location = repository or os.environ.get("FOURFOLD_REPOSITORY") or ""
    cache = default_folder()
    folders = [Path.cwd(), *([] if cache is None else [cache])]
    with suppress(FileNotFoundError):  # where there is none, the check of temporary files has said so
        folders.append(Path(tempfile.gettempdir()))
    return [*folders, *([Path(location)] if location and "://" not in location else [])]


def _print(checks: list[Check], problems: int) -> None:
    """Print a line for each check, and then the lines that mend what is wrong or missing."""
    print_facts([(f"{check.status:<7}  {clip(check.name, 40)}", check.text) for check in checks])
    if any(check.mend for check in checks):
        click.echo("\nto mend, or to add:")
        for check in checks:
            if check.mend:
                # Unbroken, so that it can be pasted.
                is_named = "#" in check.mend or check.name in check.mend
                click.echo(f"  {clip(check.mend)}" + ("" if is_named else f"  # {clip(check.name, 40)}"))
    click.echo(f"\n{counted(problems, 'problem')}" if problems else "\nnothing is wrong here")
