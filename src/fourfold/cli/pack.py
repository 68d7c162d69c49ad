"""`fourfold pack`: from a trained model in a file to a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fourfold.cli import options
from fourfold.cli.output import print_json, progress

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("pack")
@click.argument("name")
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
    "--rows",
    type=_FILE,
    required=True,
    help="Rows as the model was trained with them: Parquet, CSV, JSON lines or Arrow. Columns that the model does not "
    "take are left out.",
)
@click.option(
    "--container",
    type=click.Choice(["pandas", "polars", "arrow", "numpy", "rows"]),
    default="pandas",
    show_default=True,
    help="What the model was trained on.",
)
@click.option("--inputs", metavar="A,B,…", help="The columns that the model takes, where that cannot be told from it.")
@click.option(
    "--methods", metavar="A,B,…", help="What a scikit-learn model answers with, such as predict,predict_proba."
)
@click.option(
    "--extra",
    type=click.Choice(["forbid", "ignore"]),
    default="forbid",
    show_default=True,
    help="What a key that is no input field is.",
)
@click.option("--block", default="auto", show_default=True, help="auto, free, or the rows of every engine call.")
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
    help="What the same answer is. tight: the same bits, or 512 units in the last place where a BLAS or a libm decides "
    "about the original's; exact: the same bits; ulp:N; rtol:X.",
)
@click.option(
    "--measure/--no-measure",
    default=True,
    show_default=True,
    help="Measure every engine in a process of its own, and choose by that. Without, the digest is reproducible.",
)
@click.option("--provenance", multiple=True, metavar="KEY=VALUE", help="Where the model comes from; may be repeated.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where to. Default: NAME.fourfold.")
@click.option("--replace", is_flag=True, help="Replace a file that is there already.")
@options.as_json
@options.quiet
def command(
    name: str, rows: Path, output: Path | None, *, replace: bool, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Pack a model as NAME, from a file and rows like those that it was trained with.

    The rows give the signature and the golden rows. Every engine that could run the model answers them, and rows made
    to hurt; the package gets the fastest that gives the same answer as the model itself. A few hundred rows do.

    \b
    fourfold pack eta --estimator eta.joblib --rows rows.parquet
    fourfold pack risk --onnx risk.onnx --rows rows.csv --provenance commit=1f2e3d
    """
    from fourfold.errors import PackError
    from fourfold.package import SUFFIX, write_package
    from fourfold.packing import pack

    model = _model(given)
    sample = _rows(rows, given["container"], model, given["inputs"])
    pairs = [pair.partition("=") for pair in given["provenance"]]
    wrong = [key for key, equals, _ in pairs if not equals]
    if wrong:
        raise PackError(f"expected --provenance KEY=VALUE; got {wrong[0]}")
    methods: dict[str, Any] = {"methods": tuple(given["methods"].split(","))} if given["methods"] else {}
    stage = "packing, with the proof of engines"
    with progress(quiet=quiet or as_json) as report:
        report(stage, 0, 1)
        package = pack(
            model,
            name=name,
            rows=sample,
            extra=given["extra"],
            engine=given["engine"],
            block=int(given["block"]) if given["block"].isdecimal() else given["block"],
            accept=given["accept"],
            measure=given["measure"],
            provenance={key: value for key, _, value in pairs},
            **methods,
        )
        report(stage, 1, 1)
    path = write_package(package, output or Path(f"{name}{SUFFIX}"), replace=replace)
    if as_json:
        print_json({"path": str(path), "name": name, "digest": package.digest, "manifest": package.manifest})
        return
    from fourfold.cli.show import describe

    describe(package)
    trust = " --trust" if package.manifest["runtime"]["requires"] else ""
    click.echo(f"\nwrote {path}\nnext:  fourfold certify {path} --rows {rows}{trust}")


def _model(given: dict[str, Any]) -> Any:
    chosen = [kind for kind in ("estimator", "onnx", "lightgbm", "xgboost", "function") if given[kind] is not None]
    if len(chosen) != 1:
        raise click.UsageError("name one model: --estimator, --onnx, --lightgbm, --xgboost or --function")
    from fourfold.runtimes.modelfiles import open_model

    return open_model(chosen[0], given[chosen[0]])


def _rows(path: Path, container: Any, model: Any, inputs: str | None) -> Any:
    from fourfold.packing.training_rows import training_rows

    names = inputs.split(",") if inputs else [str(name) for name in getattr(model, "feature_names_in_", ())]
    return training_rows(path, container, names)
