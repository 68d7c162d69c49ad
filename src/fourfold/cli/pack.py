"""Define `fourfold pack`: pack a trained model from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli import options as shared
from fourfold.cli.figures import parse_figures, write_figures
from fourfold.cli.groups import SuggestingChoice
from fourfold.cli.next_steps import print_next, trust_option
from fourfold.cli.output import print_json, printable, progress_bars
from fourfold.errors import counted

if TYPE_CHECKING:
    from fourfold.package import Package
    from fourfold.runtimes.engine import OpenedModel

_FILE = shared.FilePath(exists=True, dir_okay=False, path_type=Path)

#: The kinds of models that `--from` names; some are options of their own too.
_KINDS = ("mlflow", "estimator", "skops", "onnx", "lightgbm", "xgboost", "catboost", "function")
_OPTIONS = ("estimator", "onnx", "lightgbm", "xgboost", "function")
#: The extra that brings what a kind of model needs.
_EXTRAS = {kind: kind for kind in _KINDS} | {"estimator": "sklearn", "skops": "sklearn", "function": "python"}
#: Fewer packing rows are told of: they seldom show what may be missing.
FEW_ROWS = 100
#: The options that name fields.
_DECLARED = ("nullable", "required", "text", "category", "open")


def _parse_block(_context: click.Context, _option: click.Parameter, value: str) -> str | int:
    from fourfold.packing.engines.invariance import parse_block

    block = int(value) if value.isdecimal() else value
    _check_value(parse_block, block)
    return block


def _check_tolerance(_context: click.Context, _option: click.Parameter, value: str) -> str:
    from fourfold.packing.engines.tolerance import Tolerance

    _check_value(Tolerance.parse, value)
    return value


def _check_value(check: Callable[[Any], object], value: object) -> None:
    """Turn the `PackError` of a check into a usage error."""
    from fourfold.errors import PackError

    try:
        check(value)
    except PackError as error:
        raise click.BadParameter(str(error)) from error


def _split_names(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for value in values for name in value.split(",") if name)


def _parse_pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    malformed = [key for key, equals, _ in pairs if not equals]
    if malformed:
        raise click.BadParameter(f"expected KEY=VALUE; got {malformed[0]!r}")
    return {key: value for key, _, value in pairs}


@click.command("pack")
@click.argument("name")
@click.option(
    "--from",
    "source",
    type=(SuggestingChoice(_KINDS), str),
    metavar="KIND PATH",
    help="The model: mlflow DIR, the directory of an MLflow model; a file in the own format of onnx, lightgbm, "
    "xgboost, catboost or skops; estimator FILE, a joblib or pickle file; function MODULE:NAME. Loading a pickle, a "
    "function, or an MLflow model that holds one, runs code: only what you trust.",
)
@click.option(
    "--estimator",
    type=_FILE,
    help="A fitted scikit-learn, LightGBM or XGBoost model in a joblib or pickle file. Loading it runs code: only a "
    "file that you trust.",
)
@click.option("--onnx", type=_FILE, help="An ONNX file.")
@click.option("--lightgbm", type=_FILE, help="A LightGBM model in its own text format.")
@click.option("--xgboost", type=_FILE, help="An XGBoost model in its own JSON or UBJSON format.")
@click.option(
    "--function", metavar="MODULE:NAME", help="A Python function, or an object with predict, that can be imported here."
)
@click.option(
    "--code",
    multiple=True,
    type=shared.FilePath(exists=True, path_type=Path),
    help="A Python file, or the folder of a package, to carry besides the modules of your own that the model is found "
    "to need; may be repeated. For scikit-learn models and functions.",
)
@click.option(
    "--modules",
    multiple=True,
    type=shared.FilePath(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the modules of your own lie that an estimator's file needs, such as . for the current folder; may be "
    "repeated. They run, and their source is carried.",
)
@click.option(
    "--trust",
    type=SuggestingChoice(["foreign", "code"]),
    help="What the model may do here. To name it is to trust it: a pickle, a Python function and an MLflow model of "
    "these run code; other files are read by their library. foreign: no pickle and no code of an MLflow model; code: "
    "classes in a skops file that Fourfold does not know, too.",
)
@click.option(
    "--rows",
    type=_FILE,
    help="Rows as the model was trained with them: Parquet, CSV, JSON lines or Arrow. Columns that the model does not "
    "take are left out. An MLflow model may bring an example of its own.",
)
@click.option(
    "--expect",
    type=_FILE,
    help="What the framework that trained the model answered: a column for each output, a row for each of --rows; or "
    "with columns for the inputs too. The package must answer the same.",
)
@click.option(
    "--expect-rtol",
    type=float,
    default=1e-5,
    show_default=True,
    help="How far a number may be from the expected one, as a share of the output's size. Labels must be equal.",
)
@click.option(
    "--container",
    type=SuggestingChoice(["pandas", "polars", "arrow", "numpy", "rows"]),
    default="pandas",
    show_default=True,
    help="What the model was trained on.",
)
@click.option("--inputs", metavar="A,B,…", help="The columns that the model takes, where that cannot be told from it.")
@click.option(
    "--nullable",
    metavar="A,B,…",
    multiple=True,
    callback=_split_names,
    help="Fields that may be missing; may be repeated. Float fields may where the model answers a missing value.",
)
@click.option(
    "--required", metavar="A,B,…", multiple=True, callback=_split_names, help="Fields that may not be missing."
)
@click.option(
    "--text",
    metavar="A,B,…",
    multiple=True,
    callback=_split_names,
    help="Fields that are text although their values look like numbers: codes of digits, such as postcodes.",
)
@click.option(
    "--category",
    metavar="A,B,…",
    multiple=True,
    callback=_split_names,
    help="Fields whose column had a categorical dtype in training, where neither the model nor the rows tell.",
)
@click.option(
    "--open",
    metavar="A,B,…",
    multiple=True,
    callback=_split_names,
    help="Fields that take values which are none of the model's categories, and get the model's own answer.",
)
@click.option(
    "--methods", metavar="A,B,…", help="What a scikit-learn model answers with, such as predict,predict_proba."
)
@click.option(
    "--labels",
    metavar="A,B,…",
    help="The labels of the classes 0, 1, … that a booster in a file of LightGBM or XGBoost was trained with; it then "
    "answers with the label and the probability of each. All whole numbers: integers; otherwise texts.",
)
@click.option(
    "--extra",
    type=SuggestingChoice(["forbid", "ignore"]),
    default="forbid",
    show_default=True,
    help="What a key that is no input field is.",
)
@click.option(
    "--block",
    default="auto",
    show_default=True,
    callback=_parse_block,
    help="auto, free, or the rows of every engine call.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="auto: the fastest that gives the same answer; original: the model's own; plan: that one, or an error.",
)
@click.option(
    "--accept",
    default="tight",
    show_default=True,
    callback=_check_tolerance,
    help="What the same answer is. tight: the same bits, or 512 units in the last place where a BLAS or a libm decides "
    "about the original's; exact: the same bits; ulp:N; rtol:X.",
)
@click.option(
    "--measure/--no-measure",
    default=True,
    show_default=True,
    help="Measure every engine in a process of its own, and choose by that. The figures are kept in NAME.figures.json, "
    "beside the package, whose digest does not depend on them.",
)
@click.option(
    "--for",
    "shape",
    type=SuggestingChoice(["one", "many", "both"]),
    default="both",
    show_default=True,
    help="What the engine is chosen for, by what was measured: calls with one row, with many, or both alike.",
)
@click.option(
    "--provenance",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_parse_pairs,
    help="Where the model comes from; may be repeated.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where to. Default: NAME.fourfold.")
@click.option("--replace", is_flag=True, help="Replace a file that is there already.")
@shared.as_json
@shared.quiet
def command(
    name: str, rows: Path | None, output: Path | None, *, replace: bool, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Pack a model as NAME, from a file and rows like those that it was trained with.

    The rows give the signature and the golden rows. Every engine that could run the model answers them, and edge cases
    made of them; the package gets the fastest that gives the same answers as the model. A few hundred rows are enough.

    \b
    fourfold pack eta --estimator eta.joblib --rows rows.parquet
    fourfold pack risk --from mlflow models/risk
    fourfold pack face --from onnx face.onnx --rows rows.jsonl --expect answers.jsonl --provenance commit=1f2e3d
    """
    from fourfold.package import SUFFIX, check_output, write_package
    from fourfold.runtimes import level_of

    target = output or Path(f"{name}{SUFFIX}")
    check_output(target, replace=replace)
    kind, path = _chosen_model(given)
    _check_libraries(kind, given["container"])
    from fourfold.packing.request import check_request

    asked = ("engine", "extra", "measure", "shape", "provenance", "expect_rtol")
    check_request(name=name, **{key: given[key] for key in asked})
    if rows is None and kind != "mlflow":
        raise click.UsageError("name the rows that the model was trained with: --rows FILE")
    names = ("extra", "engine", "accept", "block", "measure", "shape", "expect_rtol", "provenance", *_DECLARED)
    options: dict[str, Any] = {key: given[key] for key in names}
    options |= {"methods": tuple(given["methods"].split(","))} if given["methods"] else {}
    options |= {"labels": _parse_labels(given["labels"], kind)} if given["labels"] is not None else {}
    if kind == "mlflow" and (given["code"] or given["modules"]):
        raise click.UsageError(
            "an MLflow model brings its own code: log it with code_paths=[…], without --code and --modules"
        )
    if given["code"]:
        options["code"] = given["code"]
    options["expect"] = None if given["expect"] is None else _read_expected(given["expect"])
    opened = None if kind == "mlflow" else _open(kind, path, given, may_ask=not (quiet or as_json))
    stage = "packing, with the proof of engines"
    with progress_bars(quiet=quiet or as_json) as report:
        report(stage, 0, 1)
        packing = {"name": name, **options}
        if opened is None:
            package, notes = _pack_mlflow(path, rows, given, packing)
        else:
            package, notes = _pack(opened, rows, given, packing)
        report(stage, 1, 1)
    written = write_package(package, target, replace=replace)
    kept = write_figures(written, package.digest, package.figures) if package.figures else None
    if quiet and not as_json:
        return
    for note in notes if opened is None or as_json else (*notes, *_few_rows(package)):
        click.echo(f"note: {printable(note)}", err=True)
    if as_json:
        packed_as = {"path": str(written), "name": name, "digest": package.digest}
        print_json({**packed_as, "figures": package.figures, "manifest": package.manifest})
        return
    from fourfold.cli.show import print_package

    print_package(package, figures=parse_figures(package.figures))
    trust = trust_option(level_of(package.manifest))
    click.echo(f"\nwrote {written}" + ("" if kept is None else f", and what was measured to {kept}"))
    if trust:
        click.echo(f"It is no plan, so every host must allow it: {' '.join(trust)}. {_why_no_plan(package)}")
    _print_next(written, rows, trust)


def _print_next(written: Path, rows: Path | None, trust: tuple[str, ...]) -> None:
    """Print how to certify the package with the rows that it was packed with, and how to push it."""
    from fourfold.repository import REPOSITORY_VARIABLE

    path = f"./{written}" if str(written).startswith("-") else str(written)
    certify = [] if rows is None else [["certify", path, "--rows", str(rows), *trust]]
    repository = [] if os.environ.get(REPOSITORY_VARIABLE) else ["--repository", "models"]
    print_next(*certify, ["push", path, *repository])


def _parse_labels(text: str, kind: str) -> list[str] | list[int]:
    """Return the labels of classes: integers where all are spelled as such, otherwise texts."""
    if kind not in ("lightgbm", "xgboost", "mlflow"):
        raise click.UsageError(
            f"--labels names the classes of a booster in a file of LightGBM or XGBoost; a model of the kind {kind} "
            "knows its own"
        )
    labels = text.split(",")
    are_integers = all(label.removeprefix("-").isdecimal() and str(int(label)) == label for label in labels)
    return [int(label) for label in labels] if are_integers else labels


def _why_no_plan(package: Package) -> str:
    """Return why the package holds another engine than a plan, as a sentence."""
    from fourfold.package.words import verdict_line

    plan = next((entry for entry in package.manifest["engines"] if entry["engine"] == "plan"), None)
    if plan is None:
        return "No plan was tried."
    if plan["verdict"] in ("exact", "equal", "bound"):
        return "A plan gives the same answers: --engine plan takes it."
    return f"A plan {printable(verdict_line(plan))}."


def _chosen_model(given: dict[str, Any]) -> tuple[str, str | Path]:
    """Return the kind of the model, and its path or name."""
    chosen: list[tuple[str, str | Path]] = [(kind, given[kind]) for kind in _OPTIONS if given[kind] is not None]
    if given["source"] is not None:
        chosen.append(given["source"])
    if len(chosen) != 1:
        raise click.UsageError(
            "name one model: --from KIND PATH, --estimator, --onnx, --lightgbm, --xgboost or --function"
        )
    kind, path = chosen[0]
    if kind not in ("mlflow", "function") and not Path(path).is_file():
        from fourfold.runtimes.file_kinds import describe_folder

        problem = "does not exist"
        if Path(path).exists():
            problem = "is no file" + (f", but {folder}" if (folder := describe_folder(Path(path))) else "")
        raise click.UsageError(f"the file {path} of the model {problem}")
    return kind, path


def _few_rows(package: Package) -> Iterator[str]:
    """Yield what few packing rows do not show, where there are few."""
    rows = package.manifest["exactness"].get("original", {}).get("rows")
    if rows is not None and rows < FEW_ROWS:
        yield (
            f"packed with {counted(rows, 'row')}: what may be missing, and which categories there are, is read from "
            "them where the model does not say it; a few hundred rows of the training data show more"
        )


def _check_libraries(kind: str, container: str) -> None:
    """Raise `MissingLibrary`, with the extras that bring all that packing a model of this kind takes."""
    from importlib import import_module

    from fourfold.errors import naming_missing_library

    extra = _EXTRAS[kind]
    if kind == "mlflow":
        extra = "mlflow,sklearn"  # most often it holds a model of scikit-learn's
    if kind in ("onnx", "function") and container in ("pandas", "polars"):
        extra = f"{extra},{container}"  # the other kinds' extras bring pandas
    with naming_missing_library(f"packing a model of the kind {kind}", extra=extra):
        import_module("fourfold.packing.packer")


def _open(kind: str, path: str | Path, given: dict[str, Any], *, may_ask: bool) -> OpenedModel:
    """Return the model of a file, before anything is measured: the user may be asked."""
    from fourfold.cli.own_modules import open_with_modules

    if given["trust"] == "foreign" and kind in ("estimator", "function"):
        raise click.UsageError(f"--trust foreign allows no code, and loading a model of the kind {kind} runs code")
    # To name an estimator's or a function's file is to trust it: the help says that it runs code.
    return open_with_modules(kind, path, given["modules"], may_ask=may_ask, trust=given["trust"] or "foreign")


def _pack(
    opened: OpenedModel, rows: Path | None, given: dict[str, Any], options: dict[str, Any]
) -> tuple[Package, tuple[str, ...]]:
    from fourfold.packing.packer import pack

    assert rows is not None
    sample = _read_rows(rows, given, opened.model)
    return pack(opened.model, rows=sample, **options), opened.notes


def _pack_mlflow(
    path: str | Path, rows: Path | None, given: dict[str, Any], options: dict[str, Any]
) -> tuple[Package, tuple[str, ...]]:
    from fourfold.packing.mlflow import open_mlflow
    from fourfold.packing.samples.training_file import restore_none

    model = open_mlflow(path, trust=given["trust"])
    # The model's signature names its columns.
    sample = None if rows is None else restore_none(_read_rows(rows, given, None), model.model)
    return model.pack(rows=sample, **options)


def _read_expected(path: Path) -> Any:
    from fourfold.packing.samples.training_file import read_training_rows

    return read_training_rows(path, "rows")


def _read_rows(path: Path, given: dict[str, Any], model: Any) -> Any:
    """Return the rows of a file in the container of training; columns that are text stay text."""
    from fourfold.packing.samples.training_file import read_training_rows, restore_none, text_columns

    inputs, container, text = given["inputs"], given["container"], list(given["text"])
    names = inputs.split(",") if inputs else [str(name) for name in getattr(model, "feature_names_in_", ())]
    rows = read_training_rows(path, container, names, text)
    if more := text_columns(path, rows, model):
        rows = read_training_rows(path, container, names, [*text, *more])
    return restore_none(rows, model)
