"""Define `fourfold why`: print where two engines, or two doors, first differ on a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli import options
from fourfold.cli.output import print_json, printable

if TYPE_CHECKING:
    from fourfold.certificate.why import Explanation, Side
    from fourfold.package.levels import Level
    from fourfold.predictor import Predictor


@click.command("why")
@click.argument("package")
@click.argument("row")
@click.option("--against", metavar="PACKAGE", help="Another package with the same inputs and outputs.")
@click.option("--door", "doors", multiple=True, metavar="NAME", help="Two doors of PACKAGE, as certify names them.")
@options.repository
@options.trust
@options.as_json
def command(
    package: str,
    row: str,
    against: str | None,
    doors: tuple[str, ...],
    repository: str | None,
    *,
    trust: Level | None,
    as_json: bool,
) -> None:
    """Say why two engines, or two doors, give different answers for ROW: the step, column, threshold or category.

    ROW is a JSON object. The engines are those of PACKAGE and of another package, such as the same model packed with
    --engine original. Ends with status 0 where both give the same bits, and 1 where they part.

    \b
    fourfold why eta.fourfold '{"distance": 1400, "carrier": "UA"}' --against original.fourfold
    fourfold why eta.fourfold '{"distance": 1400}' --door "predict_one" --door "POST /predict, JSON rows"
    """
    from fourfold.cli.package_arguments import command_arguments
    from fourfold.errors import InputError
    from fourfold.loading import find, load
    from fourfold.signature import RowCoercer

    if (against is None) == (not doors) or (doors and len(doors) != 2):
        raise click.UsageError("name what to compare with: --against PACKAGE, or --door NAME twice")
    located = find(package, repository=repository)
    predictor = load(located, trust=trust)
    canonical, errors = RowCoercer(predictor.signature.inputs, predictor.signature.extra).row(_parse_row(row))
    if canonical is None:
        raise InputError(errors)
    if against is not None:
        other = load(against, repository=repository, trust=trust)
        explanation = _compare_engines(predictor, other, canonical)
    else:
        explanation = _compare_doors(predictor, doors, canonical, command_arguments(package, located))
    if as_json:
        print_json(
            {
                "equal": explanation.equal,
                "output": explanation.output,
                "columns": explanation.columns,
                "place": explanation.kind,
                "lines": explanation.lines,
            }
        )
    else:
        for line in explanation.lines:
            click.echo(printable(line))
    if not explanation.equal:
        raise SystemExit(1)


def _parse_row(row: str) -> Any:
    from fourfold.errors import DecodeError, shorten

    try:
        value = json.loads(row)
    except ValueError as error:
        raise DecodeError(f"expected a row as a JSON object; got {shorten(row)}: {error}") from error
    if not isinstance(value, dict):
        raise DecodeError(f"expected a row as a JSON object; got {shorten(value)}")
    return value


def _compare_engines(first: Predictor, second: Predictor, row: dict[str, Any]) -> Explanation:
    from fourfold.certificate.why import Side, why
    from fourfold.errors import SignatureError
    from fourfold.package.golden import read_golden

    predictors = (first, second)
    first_names, second_names = (_field_names(predictor) for predictor in predictors)
    if first_names != second_names:
        raise SignatureError(
            f"the two packages take and give {first_names} and {second_names}: there is nothing to compare"
        )
    names = [predictor.package.manifest["runtime"]["name"] for predictor in predictors]
    if names[0] == names[1]:
        names = [f"{name} of {predictor.digest[7:15]}" for name, predictor in zip(names, predictors, strict=True)]
    sides = [Side(name, predictor.answers) for name, predictor in zip(names, predictors, strict=True)]
    explanation = why(first.signature, row, sides[0], sides[1], read_golden(first.package).inputs)
    line = "" if explanation.equal else _compare_steps(first, second, names, row)
    if line:
        explanation.lines.append(line)
    return explanation


def _field_names(predictor: Predictor) -> list[list[str]]:
    """Return the names of a predictor's inputs and of its outputs."""
    signature = predictor.signature
    return [[field.name for field in fields] for fields in (signature.inputs, signature.outputs)]


def _compare_steps(first: Predictor, second: Predictor, names: list[str], row: dict[str, Any]) -> str:
    """Return the line on the first step that differs, for two scikit-learn pipelines, or one and a plan."""
    runtimes = [predictor.package.manifest["runtime"]["name"] for predictor in (first, second)]
    if "sklearn" not in runtimes or not set(runtimes) <= {"plan", "sklearn"}:
        return ""
    from fourfold.certificate.pipeline_steps import PackagedPipeline, first_differing_step, first_differing_step_of_plan

    def original(predictor: Predictor, name: str) -> PackagedPipeline:
        engine: Any = predictor.engine
        settings = predictor.package.manifest["runtime"]["settings"]
        return PackagedPipeline(name, engine.model, settings, predictor.signature)

    if "plan" not in runtimes:
        return first_differing_step(original(first, names[0]), original(second, names[1]), row)
    plan, pipeline = (first, second) if runtimes[0] == "plan" else (second, first)
    return first_differing_step_of_plan(original(pipeline, "the original"), plan.answers([row])[0], row)


def _compare_doors(
    predictor: Predictor, names: tuple[str, ...], row: dict[str, Any], source: tuple[str, ...]
) -> Explanation:
    from fourfold.certificate.certify import ARCHITECTURES, open_doors
    from fourfold.certificate.doors.door import Door
    from fourfold.certificate.why import Side, why
    from fourfold.package.golden import read_golden

    with open_doors(predictor, ARCHITECTURES, arguments=source) as opened:
        by_name = {door.name: door for door in opened}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise click.UsageError(f"no door {unknown[0]!r}; there are {', '.join(map(repr, by_name))}")

        def side(door: Door) -> Side:
            return Side(door.name, lambda rows: door.answers([[row] for row in rows]))

        sides = [side(by_name[name]) for name in names]
        return why(predictor.signature, row, sides[0], sides[1], read_golden(predictor.package).inputs)
