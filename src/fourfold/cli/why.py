"""`fourfold why`: where do two engines, or two doors, part on a row?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli import options
from fourfold.cli.output import print_json, visible

if TYPE_CHECKING:
    from fourfold.certificate.why import Explanation, Side
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
    trust: bool,
    as_json: bool,
) -> None:
    """Say why two engines, or two doors, give different answers for ROW: the step, column, threshold or category.

    ROW is a JSON object. The engines are those of PACKAGE and of another package, such as the same model packed with
    --engine original. Ends with status 0 where both give the same bits, and 1 where they part.

    \b
    fourfold why eta.fourfold '{"distance": 1400, "carrier": "UA"}' --against original.fourfold
    fourfold why eta.fourfold '{"distance": 1400}' --door "predict_one" --door "POST /predict, JSON rows"
    """
    from fourfold.errors import InputError
    from fourfold.loading import find, ready
    from fourfold.signature import RowCoercer

    if (against is None) == (not doors) or (doors and len(doors) != 2):
        raise click.UsageError("name what to compare with: --against PACKAGE, or --door NAME twice")
    found, version = find(package, repository=repository)
    predictor = ready(found, version=version, trust=trust)
    canonical, errors = RowCoercer(predictor.signature.inputs, predictor.signature.extra).row(_parsed(row))
    if canonical is None:
        raise InputError(errors)
    if against is not None:
        other, version = find(against, repository=repository)
        second = ready(other, version=version, trust=trust)
        explanation = _engines(predictor, second, canonical)
    else:
        explanation = _doors(predictor, doors, canonical, trust=trust)
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
            click.echo(visible(line))
    if not explanation.equal:
        raise SystemExit(1)


def _parsed(row: str) -> Any:
    from fourfold.errors import DecodeError, shorten

    try:
        value = json.loads(row)
    except ValueError as error:
        raise DecodeError(f"expected a row as a JSON object; got {shorten(row)}: {error}") from error
    if not isinstance(value, dict):
        raise DecodeError(f"expected a row as a JSON object; got {shorten(value)}")
    return value


def _engines(one: Predictor, other: Predictor, row: dict[str, Any]) -> Explanation:
    from fourfold.certificate.why import Side, why
    from fourfold.errors import SignatureError
    from fourfold.package.golden import read_golden

    given = [[field.name for field in each] for each in (one.signature.inputs, one.signature.outputs)]
    theirs = [[field.name for field in each] for each in (other.signature.inputs, other.signature.outputs)]
    if given != theirs:
        raise SignatureError(f"the two packages take and give {given} and {theirs}: there is nothing to compare")
    names = [each.package.manifest["runtime"]["name"] for each in (one, other)]
    if names[0] == names[1]:
        names = [f"{name} of {each.digest[7:15]}" for name, each in zip(names, (one, other), strict=True)]
    sides = [Side(name, each.answers) for name, each in zip(names, (one, other), strict=True)]
    explanation = why(one.signature, row, sides[0], sides[1], read_golden(one.package).inputs)
    steps = "" if explanation.equal else _steps(one, other, names, row)
    if steps:
        explanation.lines.append(steps)
    return explanation


def _steps(one: Predictor, other: Predictor, names: list[str], row: dict[str, Any]) -> str:
    """What the steps say, where the one is a scikit-learn pipeline and the other one too, or a plan."""
    kinds = [each.package.manifest["runtime"]["name"] for each in (one, other)]
    if "sklearn" not in kinds or not set(kinds) <= {"plan", "sklearn"}:
        return ""
    from fourfold.certificate.pipeline_steps import PackagedPipeline, first_differing_step, first_differing_step_of_plan

    def original(predictor: Predictor, name: str) -> PackagedPipeline:
        engine: Any = predictor.engine
        settings = predictor.package.manifest["runtime"]["settings"]
        return PackagedPipeline(name, engine.model, settings, predictor.signature)

    if "plan" not in kinds:
        return first_differing_step(original(one, names[0]), original(other, names[1]), row)
    plan, pipeline = (one, other) if kinds[0] == "plan" else (other, one)
    return first_differing_step_of_plan(original(pipeline, "the original"), plan.answers([row])[0], row)


def _doors(predictor: Predictor, names: tuple[str, ...], row: dict[str, Any], *, trust: bool) -> Explanation:
    from fourfold.certificate.certify import ARCHITECTURES, open_doors
    from fourfold.certificate.doors.door import Door
    from fourfold.certificate.why import Side, why
    from fourfold.package.golden import read_golden

    with open_doors(predictor, ARCHITECTURES, trust=trust) as opened:
        by_name = {door.name: door for door in opened}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise click.UsageError(f"no door {unknown[0]!r}; there are {', '.join(map(repr, by_name))}")

        def side(door: Door) -> Side:
            return Side(door.name, lambda rows: door.answers([[each] for each in rows]))

        sides = [side(by_name[name]) for name in names]
        return why(predictor.signature, row, sides[0], sides[1], read_golden(predictor.package).inputs)
