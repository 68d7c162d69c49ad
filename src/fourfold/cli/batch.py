"""Define `fourfold batch`: run a batch job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fourfold.cli import options
from fourfold.cli.groups import SuggestingGroup
from fourfold.cli.output import print_facts, print_json, progress_bars
from fourfold.errors import counted

if TYPE_CHECKING:
    from fourfold.batch import Job, Report
    from fourfold.package.levels import Level


class _Verbs(SuggestingGroup):
    """Say that a package, or a job's file, is run."""

    for_a_package = "fourfold batch run"

    def is_package(self, name: str) -> bool:
        """Return whether a word is probably a package or a job: every word that is no verb of batch."""
        return bool(name)


@click.group("batch", cls=_Verbs)
def command() -> None:
    """Answer every row of files: extract, transform, predict, load (ETML)."""


@command.command("run")
@click.argument("what", metavar="JOB.toml|PACKAGE")
@click.option("--from", "source", metavar="PATH", help="A file, a folder or a glob: Parquet, CSV, JSON lines or Arrow.")
@click.option("--to", "output", metavar="PATH", help="The file to write, in the format of its suffix.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Copy this column next to the answers; may be repeated.")
@click.option("--rename", multiple=True, metavar="COLUMN=FIELD", help="The column that holds a field; may be repeated.")
@options.extra
@options.absent
@click.option(
    "--quarantine", metavar="PATH", help="Where rows go that do not fit. Default: _fourfold/ beside the output."
)
@click.option(
    "--max-quarantined",
    type=options.COUNT_OR_SHARE,
    metavar="N|SHARE",
    help="Fail, and publish nothing, beyond so many rows, or such a share of them from 0.0 to 1.0.",
)
@click.option("--chunk-rows", type=int, metavar="N", help="The most rows in memory at once.")
@click.option(
    "--max-decoded",
    "max_decoded_bytes",
    type=click.IntRange(min=1),
    callback=lambda _, __, mebibytes: None if mebibytes is None else mebibytes * 2**20,
    metavar="MIB",
    help="The most memory that a record batch, a page, a line or a row of the source may take, in MiB. Default: 1024.",
)
@click.option("--replace", is_flag=True, default=None, help="Replace an output that is there already.")
@click.option(
    "--arrays",
    is_flag=True,
    default=None,
    help="In CSV too, write an output with labels as one column of arrays, not as a column for each label.",
)
@options.repository
@options.trust
@options.as_json
@options.quiet
def run_(
    what: str,
    rename: tuple[str, ...],
    repository: str | None,
    *,
    trust: Level | None,
    as_json: bool,
    quiet: bool,
    **given: object,
) -> None:
    """Answer every row of the source with a PACKAGE (a reference or a path), and publish all of it or nothing.

    A JOB.toml holds the same settings under the same names, with the package as `package`; what is given here goes
    before what it says. Rows that do not fit go to the quarantine, with the reason, and do not fail their neighbours.

    \b
    fourfold batch run eta@production --from flights/ --to etas.parquet --keep flight
    fourfold batch run nightly.toml
    """
    from fourfold.batch import Job, run
    from fourfold.loading import load

    pairs = dict(_pair(text) for text in rename)
    settings = {key: value for key, value in given.items() if value not in (None, ())}
    settings |= {"rename": pairs} if pairs else {}
    package, repository, job = _job(what, repository, settings, Job)
    predictor = load(package, repository=repository, trust=trust)
    with progress_bars(quiet=quiet or as_json) as report:
        result = run(predictor, job, lambda rows, total: report("rows", rows, total))
    if as_json:
        print_json(result.to_json())
    elif not quiet:
        _print_report(result)


def _job(
    what: str, repository: str | None, settings: dict[str, object], job_type: type[Job]
) -> tuple[str, str | None, Job]:
    """Return the package, its repository and the job that the arguments describe."""
    if what.endswith(".toml"):
        job = job_type.from_toml(what, **settings)
        if job.package is None:
            raise click.UsageError(f'{what} names no package; expected package = "NAME@ALIAS"')
        return job.package, repository or job.repository, job
    missing = [option for option, key in (("--from", "source"), ("--to", "output")) if key not in settings]
    if missing:
        raise click.UsageError(f"a run of a package needs {' and '.join(missing)}")
    return what, repository, job_type(**settings)  # type: ignore[arg-type]  # Job checks every value itself


def _pair(text: str) -> tuple[str, str]:
    column, equals, field = text.partition("=")
    if not (column and equals and field):
        raise click.UsageError(f"expected --rename COLUMN=FIELD; got {text!r}")
    return column, field


def _print_report(report: Report) -> None:
    answered = f"{counted(report.rows_out, 'row')} answered, in {report.seconds:.2f} s"
    facts = [("output", f"{report.output}: {answered}")]
    if report.quarantined:
        facts.append(("quarantine", f"{report.quarantine}: {counted(report.quarantined, 'row')} that do not fit"))
        facts += [
            ("", f"{counted(reason['count'], 'row')}: {reason['field'] or 'the whole row'}, {reason['code']}")
            for reason in report.reasons[:5]
        ]
    print_facts([*facts, ("report", report.report)])
