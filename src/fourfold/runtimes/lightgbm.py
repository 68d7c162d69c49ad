"""Run LightGBM's boosters and estimators, stored in LightGBM's text format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import lightgbm
import numpy as np
import pyarrow as pa

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, PackError, printable, shorten
from fourfold.modelfiles import lightgbm_text
from fourfold.runtimes.answers import Array, answer_array, record_batch, relative_gap
from fourfold.runtimes.class_labels import classes_setting, classify, name_classes, output_fields, read_classes
from fourfold.runtimes.culprit import describe_failure, describe_refusal
from fourfold.runtimes.declared import Declared, Inputs, declare
from fourfold.runtimes.engine import OpenedModel, Prepared, library_versions
from fourfold.runtimes.levels import Levels, lightgbm_levels
from fourfold.runtimes.sample import Sample, column_kinds, column_names, column_values, read_sample, select_columns
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "load", "open_model", "prepare"]

NAME = "lightgbm"
_FILE = "model.txt"
#: Objectives whose answers are probabilities. `cross_entropy` is the logistic regression of `binary` for targets that
#: are probabilities themselves; what `cross_entropy_lambda` answers, `log(1 + exp(margin))`, is none.
_PROBABILITY_OBJECTIVES = ("binary", "cross_entropy", "multiclass", "multiclassova")
# The parameters that change a prediction, which the scikit-learn interface passes to every one.
_OPTIONS = ("pred_early_stop", "pred_early_stop_freq", "pred_early_stop_margin", "predict_disable_shape_check")


def prepare(model: Any, sample: Any, *, inputs: Inputs = None, labels: Sequence[Any] | None = None) -> Prepared:
    """Return what a package keeps of a booster or one of LightGBM's estimators.

    A classifier has the outputs `label` and `probability`, the bits of its `predict` and `predict_proba`, and so has a
    booster whose classes have `labels`. Any other model has the bits of its `predict`, as `probability` where the
    booster's objective is one, and otherwise as `prediction`.

    Args:
        model: the booster or the fitted estimator; it is not changed.
        sample: rows as the model was trained with them: a frame with its columns (others are ignored), or an array.
        inputs: the input fields, or what is declared of some; inferred from the model and the sample by default.
        labels: the labels of a booster's classes, in the order in which it was trained with them as 0, 1, …

    Raises:
        PackError: the model is not fitted, does not answer the sample, or its file gives other answers.
        SignatureError: no inputs can be inferred from the sample.
    """
    booster = _booster(model)
    text = booster.model_to_string()
    sample_rows = _read_sample(booster, text, sample, declare(inputs))
    settings: dict[str, Any] = {"form": sample_rows.form, "options": _options(model)}
    if isinstance(model, lightgbm.LGBMClassifier) and not callable(model.objective_):
        settings["classes"] = classes_setting(np.asarray(model.classes_))
    objective, class_count = _objective(text)
    if labels is not None:
        if model is not booster:
            raise PackError(f"labels are names for the classes of a Booster; a {type(model).__name__} knows its own")
        settings["classes"] = name_classes(labels, objective, class_count)
    reloaded = _Engine(_read(text), lambda data: data, settings, ())
    try:
        expected = _original_answers(model, sample_rows.data, read_classes(settings))
        answers = reloaded.answers(sample_rows.rebuild())
    except FourfoldError:
        raise
    except Exception as error:  # a foreign model and foreign data: anything
        names = [field.name for field in sample_rows.fields]
        why = describe_failure(
            error, sample_rows.data, lambda rows: _original_answers(model, rows, None), sample_rows.known, names
        )
        raise PackError(f"the model fails on the sample: {why}") from error
    if relative_gap(expected, answers):
        raise PackError(f"the {type(model).__name__} answers otherwise when it is loaded from LightGBM's own format")
    libraries = library_versions("lightgbm", "numpy", "scipy", container=sample_rows.form["container"])
    is_probability = model is booster and class_count is not None
    outputs = output_fields(answers, sample_rows.count, read_classes(settings), is_probability=is_probability)
    files, origins = {_FILE: text.encode()}, sample_rows.origins
    return Prepared(NAME, settings, files, sample_rows.fields, outputs, "", libraries, origins=origins)


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> _Engine:
    """Return the engine of a package; raise `CorruptPackage` where LightGBM cannot read its file."""
    booster = _read(read(_FILE).decode("utf-8", "replace"))
    return _Engine(booster, tables.builder(settings["form"], signature.inputs), settings, signature.outputs)


class _Engine:
    """Answer with a booster, and turn probabilities into labels as its classifier did."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(
        self,
        booster: lightgbm.Booster,
        build: Callable[[Any], Any],
        settings: dict[str, Any],
        outputs: tuple[Field, ...],
    ) -> None:
        self._booster = booster
        self._build = build
        self._options = _checked_options(settings["options"])
        self._outputs = outputs
        self._classes = read_classes(settings)

    def answers(self, data: Any) -> list[Array]:
        """Return the arrays of the outputs for a container like that of training."""
        raw = answer_array(self._booster.predict(data, num_threads=1, **self._options))
        if self._classes is None:
            return [raw]
        return classify(raw, self._classes)

    def predict(self, batch: Any) -> Any:
        """Return the answers to a canonical record batch; raise `EngineError` where the model fails."""
        data = self._build(batch)
        try:
            answers = self.answers(data)
        except Exception as error:  # whatever LightGBM and the container's library raise
            raise EngineError(f"LightGBM failed: {describe_refusal(error, batch)}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def _checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a prediction; raise `CorruptPackage` where one is no number: LightGBM reads texts."""
    known = {name: value for name, value in options.items() if name in _OPTIONS}
    for name, value in known.items():
        if not isinstance(value, (bool, int, float)):
            raise CorruptPackage(f"the package's option {name}: expected a number; got {shorten(value)}")
    return known


def open_model(path: Path) -> OpenedModel:
    """Return the booster of a file in LightGBM's text format.

    Raises:
        PackError: the file holds no booster.
    """
    try:
        text = path.read_text("utf-8")
        lightgbm_text.check(text)
        return OpenedModel(lightgbm.Booster(model_str=text), (*_notes_on_rounds(text), *_notes_on_objective(text)))
    except (lightgbm.basic.LightGBMError, ValueError, OSError) as error:
        raise PackError(f"{path} is no model in LightGBM's text format: {error}") from error


def _notes_on_rounds(text: str) -> tuple[str, ...]:
    """Return a note where a file holds fewer rounds than training was allowed, as after stopping early."""
    header, _, parameters = text.partition("\nparameters:")
    allowed = re.search(r"^\[num_iterations: ([0-9]+)\]$", parameters, re.MULTILINE)
    trees_per_round = re.search(r"^num_tree_per_iteration=([0-9]+)$", header, re.MULTILINE)
    if allowed is None or trees_per_round is None:
        return ()
    rounds, most = header.count("\nTree=") // max(int(trees_per_round[1]), 1), int(allowed[1])
    if not 0 < rounds < most:
        return ()
    note = (
        f"the file holds {rounds} of the {most} rounds that training was allowed, as LightGBM writes the best ones "
        f"after it stopped early: these {rounds} answer"
    )
    return (note,)


def _notes_on_objective(text: str) -> tuple[str, ...]:
    """Return a note where a file names no objective, as after training with one of the user's own."""
    if _objective(text)[0] != "none":
        return ()
    return ("the file names no objective, as after training with one of your own: raw scores answer, with no link",)


def _read(text: str) -> lightgbm.Booster:
    try:
        lightgbm_text.check(text)
        return lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise CorruptPackage(f"LightGBM cannot read its model: {printable(str(error))}") from error


def _booster(model: Any) -> lightgbm.Booster:
    if isinstance(model, lightgbm.Booster):
        return model
    if not isinstance(model, lightgbm.LGBMModel):
        raise PackError(f"expected a booster or a fitted estimator of LightGBM; got a {type(model).__name__}")
    if type(model).__module__ == "lightgbm.dask":
        raise PackError("a Dask estimator needs its cluster to answer: pack its to_local()")
    if not model.__sklearn_is_fitted__():
        raise PackError(f"the {type(model).__name__} is not fitted: fit it before it is packed")
    return model.booster_


def _read_sample(booster: lightgbm.Booster, text: str, sample: Any, declared: Declared) -> Sample:
    trained = booster.feature_name()
    names = column_names(sample) if tables.kind_of(sample) != "rows" else None
    if names is not None and trained != [f"Column_{index}" for index in range(len(trained))]:
        # LightGBM replaces spaces in names by underscores.
        original_names = {str(name).replace(" ", "_"): str(name) for name in names}
        sample = select_columns(sample, [original_names.get(name, name) for name in trained])
    known: dict[str, Levels] = {}
    if tables.kind_of(sample) == "pandas" and len(sample.columns) == len(trained):
        columns = [str(label) for label in sample.columns]
        kinds = column_kinds(sample, declared)
        categories = booster.pandas_categorical
        known = lightgbm_levels(categories, text, columns, kinds, lambda name: column_values(sample, name))
    sample_rows = read_sample(sample, declared, known=known)
    if len(sample_rows.fields) != len(trained):
        raise PackError(f"the model was trained with {len(trained)} columns; got {len(sample_rows.fields)}")
    return sample_rows


def _options(model: Any) -> dict[str, Any]:
    params = model.get_params() if isinstance(model, lightgbm.LGBMModel) else {}
    return {name: params[name] for name in _OPTIONS if isinstance(params.get(name), (bool, int, float))}


def _original_answers(model: Any, data: Any, classes: Array | None) -> list[Array]:
    _check_types(data)
    answer = answer_array(model.predict(data, num_threads=1))
    if classes is None:
        return [answer]
    if isinstance(model, lightgbm.Booster):
        return classify(answer, classes)
    return [answer, answer_array(model.predict_proba(data, num_threads=1))]


def _check_types(data: Any) -> None:
    """Raise `TypeError` where a frame of polars or an Arrow table has a column that LightGBM does not take.

    LightGBM would print a line of its own, too, for every time that it is asked.
    """
    if tables.kind_of(data) in ("polars", "arrow"):
        for field in pa.table(data).schema:
            if not (
                pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type)
            ):
                raise TypeError(f"the column {shorten(field.name)} holds {field.type}, and LightGBM takes numbers")


def _objective(text: str) -> tuple[str, int | None]:
    """Return the objective of a booster's text, and of how many classes it answers the probabilities, if it does."""
    header = dict(line.split("=", 1) for line in text.partition("\nTree=")[0].split("\n") if "=" in line)
    name = (header.get("objective", "").split() or ["none"])[0]
    if name not in _PROBABILITY_OBJECTIVES:
        return name, None
    return name, max(int(header["num_class"]), 2)
