"""Run XGBoost's boosters and estimators, stored in XGBoost's UBJSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import xgboost

from fourfold import tables
from fourfold.errors import (
    CorruptPackage,
    EngineError,
    FourfoldError,
    MissingLibrary,
    PackError,
    describe,
    printable,
    shorten,
)
from fourfold.modelfiles import xgboost_ubjson
from fourfold.runtimes.answers import Array, answer_array, record_batch, relative_gap
from fourfold.runtimes.class_labels import classify, name_classes, output_fields, read_classes
from fourfold.runtimes.culprit import describe_failure, describe_refusal
from fourfold.runtimes.declared import Declared, Inputs, declare
from fourfold.runtimes.engine import OpenedModel, Prepared, library_versions
from fourfold.runtimes.levels import xgboost_levels
from fourfold.runtimes.sample import Sample, column_names, frame_to_array, read_sample, select_columns
from fourfold.runtimes.training_columns import FRAMES
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "load", "open_model", "prepare"]

NAME = "xgboost"
_FILE = "model.ubj"
#: Objectives whose answers are probabilities. `reg:logistic` is `binary:logistic` with another metric.
_PROBABILITY_OBJECTIVES = ("binary:logistic", "multi:softprob", "reg:logistic")
#: Objectives of one output whose base score XGBoost adds on the scale of the margin.
_OBJECTIVES_WITH_LINK = frozenset(
    ("binary:logistic", "reg:logistic", "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
)
_ESTIMATORS = ("XGBClassifier", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker", "XGBRegressor")


def prepare(model: Any, sample: Any, *, inputs: Inputs = None, labels: Sequence[Any] | None = None) -> Prepared:
    """Return what a package keeps of a booster or one of XGBoost's estimators.

    A classifier has the outputs `label` and `probability`, and so has a booster whose classes have `labels`; any other
    booster has `probability` where its objective is one, and any other model `prediction`. A booster answers from all
    of its trees, as `Booster.predict` does; an estimator that stopped early answers from its best iteration.

    Args:
        model: the booster or the fitted estimator; it is not changed.
        sample: rows as the model was trained with them: a frame with its columns (others are ignored), or an array.
        inputs: the input fields, or what is declared of some; inferred from the model and the sample by default.
        labels: the labels of a booster's classes, in the order in which it was trained with them as 0, 1, …

    Raises:
        PackError: the model is not fitted, does not answer the sample, or its file gives other answers.
        SignatureError: no inputs can be inferred from the sample.
    """
    kind = _kind(model)
    booster = model if kind == "Booster" else _fitted_booster(model)
    sample_rows = _read_sample(booster, sample, declare(inputs))
    data = bytes(booster.save_raw("ubj"))
    missing = float("nan") if kind == "Booster" or model.missing is None else float(model.missing)
    settings: dict[str, Any] = {"form": sample_rows.form, "kind": kind, "missing": repr(missing)}
    objective, class_count = _objective(booster)
    if labels is not None:
        if kind != "Booster":
            raise PackError(f"labels are names for the classes of a Booster; an {kind} knows its own: 0, 1, …")
        settings["classes"] = name_classes(labels, objective, class_count)
    classes = read_classes(settings)
    try:
        reloaded = _read(data, settings)  # checks the model, which may come from a hostile file, before it answers
        expected = _original_answers(model, sample_rows.data, classes)
        answers = _Engine(reloaded, lambda data: data, (), classes).answers(sample_rows.rebuild())
    except FourfoldError:
        raise
    except Exception as error:  # a foreign model and foreign data: anything
        names = [field.name for field in sample_rows.fields]
        why = describe_failure(
            error, sample_rows.data, lambda rows: _original_answers(model, rows, None), sample_rows.known, names
        )
        raise PackError(f"the model fails on the sample: {why}") from error
    if relative_gap(expected, answers):
        raise PackError(
            f"the {type(model).__name__} answers otherwise when it is loaded from XGBoost's own format; where it has "
            "an objective of its own, pack its booster: model.get_booster()"
        )
    libraries = library_versions("xgboost", "numpy", "scipy", container=sample_rows.form["container"])
    if isinstance(model, xgboost.XGBClassifier):
        classes = np.asarray(model.classes_)
    is_probability = kind == "Booster" and objective.partition(" ")[0] in _PROBABILITY_OBJECTIVES
    outputs = output_fields(answers, sample_rows.count, classes, is_probability=is_probability)
    origins = sample_rows.origins
    return Prepared(NAME, settings, {_FILE: data}, sample_rows.fields, outputs, "", libraries, origins=origins)


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> _Engine:
    """Return the engine of a package; raise `CorruptPackage` where XGBoost cannot read its file."""
    model = _read(read(_FILE), settings)
    build = tables.builder(settings["form"], signature.inputs)
    return _Engine(model, build, signature.outputs, read_classes(settings))


class _Engine:
    """Answer with a booster or an estimator."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(
        self, model: Any, build: Callable[[Any], Any], outputs: tuple[Field, ...], classes: Array | None
    ) -> None:
        self._model = model
        self._classes = classes  # of a booster; an estimator knows its own
        self._build = build
        self._outputs = outputs
        booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
        kind = _booster_kind(booster)
        # `Booster.predict` takes a matrix, an estimator takes the data itself. With `gbtree` both give the same bits.
        self._needs_matrix = booster is model and kind != "gbtree"
        # XGBoost is thread-safe with trees and the data itself, but neither with a matrix nor with a linear booster.
        self._lock = threading.Lock() if self._needs_matrix or kind == "gblinear" else nullcontext()

    def answers(self, data: Any) -> list[Array]:
        """Return the arrays of the outputs for a container like that of training."""
        if isinstance(self._model, xgboost.Booster):
            booster = self._model
            raw = booster.predict(_matrix(data)) if self._needs_matrix else booster.inplace_predict(data)
            return [answer_array(raw)] if self._classes is None else classify(answer_array(raw), self._classes)
        if isinstance(self._model, xgboost.XGBClassifier):
            return [answer_array(self._model.predict(data)), answer_array(self._model.predict_proba(data))]
        return [answer_array(self._model.predict(data))]

    def predict(self, batch: Any) -> Any:
        """Return the answers to a canonical record batch; raise `EngineError` where the model fails."""
        data = self._build(batch)
        try:
            with self._lock:
                answers = self.answers(data)
        except Exception as error:  # whatever XGBoost and the container's library raise
            raise EngineError(f"XGBoost failed: {describe_refusal(error, batch)}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def _matrix(data: Any) -> xgboost.DMatrix:
    return xgboost.DMatrix(data, nthread=1, enable_categorical=True)


def open_model(path: Path, kind: str = "Booster") -> OpenedModel:
    """Return the model of a file in XGBoost's JSON or UBJSON format.

    A booster gets all trees of the file, with one exception: where an estimator wrote the file and stopped early, the
    trees after its best iteration are left out, since the estimator answers without them.

    Args:
        path: the file.
        kind: `Booster`, or the class of the estimator that wrote the file.

    Raises:
        PackError: the file holds no such model.
        MissingLibrary: scikit-learn is not installed, which XGBoost's estimators need.
    """
    if kind != "Booster" and kind not in _ESTIMATORS:
        raise PackError(f"expected a Booster or an estimator of {', '.join(_ESTIMATORS)} in {path}; got {kind!r}")
    try:
        data = path.read_bytes().lstrip()
        if not data.startswith(b"{"):
            raise PackError(
                f"{path} is no model in XGBoost's JSON or UBJSON format. A file in the binary format of older versions "
                "is read by XGBoost before 3.1: open it there, and save it as model.json"
            )
        if data.startswith((b"{L", b"{}")):
            xgboost_ubjson.check(data)
        else:
            xgboost_ubjson.check_json(data)
        # From its bytes, not its path: XGBoost would guess the format from the suffix, and warn where there is none.
        booster = xgboost.Booster(model_file=bytearray(data))
        xgboost_ubjson.check(bytes(booster.save_raw("ubj")))
        if kind == "Booster":
            return _cut_at_best_round(booster)
        estimator = getattr(xgboost, kind)()
        estimator.load_model(bytearray(data))
    except ImportError as error:
        raise MissingLibrary("scikit-learn", extra="sklearn", purpose=f"XGBoost's {kind}") from error
    # XGBoost raises many kinds of errors for files of another kind.
    except (xgboost.core.XGBoostError, KeyError, TypeError, ValueError, OSError) as error:
        raise PackError(f"{path} is no model in XGBoost's JSON or UBJSON format: {describe(error, 200)}") from error
    return OpenedModel(estimator)


def _cut_at_best_round(booster: xgboost.Booster) -> OpenedModel:
    """Return a booster without the rounds that do not answer, and a note where training stopped after the best one."""
    attribute, rounds = booster.attr("best_iteration"), booster.num_boosted_rounds()
    best = rounds if attribute is None else int(attribute) + 1
    # Estimators of linear models answer from all rounds.
    if not 0 < best < rounds or _booster_kind(booster) == "gblinear":
        return OpenedModel(booster, _notes_on_linear(booster))
    note = f"training stopped early, at its best after {best} of {rounds} rounds"
    if booster.attr("scikit_learn") is None:
        note += f": all {rounds} answer, as Booster.predict does; booster[:{best}] answers otherwise"
        return OpenedModel(booster, (note,))
    return OpenedModel(booster[:best], (f"{note}: these answer, as the estimator does that wrote the file",))


def _notes_on_linear(booster: xgboost.Booster) -> tuple[str, ...]:
    """Return a note where this XGBoost answers otherwise than the one that wrote a linear booster's file.

    Before version 1.6 such files did not count their rounds, and a booster of no rounds whose base score may still be
    estimated adds it without the objective's link.
    """
    if _booster_kind(booster) != "gblinear":
        return ()
    learner = _learner(booster)
    objective, is_estimated = learner["objective"]["name"], learner["learner_model_param"].get("boost_from_average")
    if booster.num_boosted_rounds() or is_estimated != "1" or objective not in _OBJECTIVES_WITH_LINK:
        return ()
    note = (
        "the file of this linear booster counts no rounds, as those of XGBoost before 1.6 do, so XGBoost "
        f"{xgboost.__version__} adds its base score without the link of {objective}: it answers otherwise than the "
        'version that wrote the file. With "boosted_rounds": 1 beside "weights" in the file it answers the same'
    )
    return (note,)


def _booster_kind(booster: xgboost.Booster) -> str:
    """Return `gbtree`, `dart` or `gblinear`."""
    return str(_learner(booster)["gradient_booster"]["name"])


def _learner(booster: xgboost.Booster) -> dict[str, Any]:
    """Return the part of a booster's configuration that names its kind and its objective."""
    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return learner


def _read(data: bytes, settings: dict[str, Any]) -> Any:
    """Return the booster or estimator in the bytes of a file, on the CPU and with one thread."""
    kind = settings["kind"]
    try:
        xgboost_ubjson.check(data)
        if kind == "Booster":
            model = xgboost.Booster({"nthread": 1, "device": "cpu"}, model_file=bytearray(data))
            model.set_param({"nthread": 1, "device": "cpu"})
            return model
        if kind not in _ESTIMATORS:
            raise CorruptPackage(f"expected an estimator of {', '.join(_ESTIMATORS)}; got {shorten(kind)}")
        estimator = getattr(xgboost, kind)(n_jobs=1, device="cpu", missing=float(settings["missing"]))
        estimator.load_model(bytearray(data))
        estimator.get_booster().set_param({"nthread": 1, "device": "cpu"})
        return estimator
    except ImportError as error:  # its estimators need scikit-learn, its boosters do not
        raise MissingLibrary("scikit-learn", extra="sklearn", purpose=f"XGBoost's {kind}") from error
    except (xgboost.core.XGBoostError, KeyError, TypeError, ValueError) as error:
        raise CorruptPackage(f"XGBoost cannot read its model: {printable(str(error))}") from error


def _kind(model: Any) -> str:
    """Return `Booster` or the estimator's class; raise `PackError` for any other model."""
    if isinstance(model, xgboost.Booster):
        return "Booster"
    kind = type(model).__name__
    if kind not in _ESTIMATORS or not isinstance(model, xgboost.XGBModel):
        raise PackError(f"expected a booster or an estimator of {', '.join(_ESTIMATORS)}; got a {kind}")
    return kind


def _fitted_booster(model: Any) -> xgboost.Booster:
    if not model.__sklearn_is_fitted__():
        raise PackError(f"the {type(model).__name__} is not fitted: fit it before it is packed")
    booster: xgboost.Booster = model.get_booster()
    return booster


def _read_sample(booster: xgboost.Booster, sample: Any, inputs: Declared) -> Sample:
    names = booster.feature_names
    if names is not None:
        sample = select_columns(sample, names)
        _check_kinds(booster, names, sample)
        sample_rows = read_sample(sample, inputs, known=xgboost_levels(booster, names))
    elif tables.kind_of(sample) in ("pandas", "polars", "arrow"):
        sample_rows = read_sample(frame_to_array(sample), inputs, [str(name) for name in column_names(sample) or ()])
    else:
        sample_rows = read_sample(sample, inputs)
    if len(sample_rows.fields) != booster.num_features():
        raise PackError(f"the model was trained with {booster.num_features()} columns; got {len(sample_rows.fields)}")
    return sample_rows


def _check_kinds(booster: xgboost.Booster, names: Sequence[str], sample: Any) -> None:
    """Check that a frame has no categories where the booster was trained with numbers.

    XGBoost would take the index of each category, in the order of these rows, for such a number.

    Raises:
        PackError: a column has.
    """
    if tables.kind_of(sample) not in FRAMES:
        return
    columns = tables.columns_of(sample)
    kinds = columns.kinds(sample)
    for name, kind in zip(map(str, names), booster.feature_types or (), strict=False):
        held = kinds.get(name)
        if held == "other" and tables.kind_of(sample) == "polars" and pa.types.is_dictionary(_arrow_type(sample, name)):
            held = "category"  # polars' own, which has no list
        if kind != "c" and held == "category":
            raise PackError(
                f"column {shorten(name)}: the model takes numbers there, and the rows hold the categories "
                f"{shorten(columns.values(sample, name), 100)}: give the numbers that it was trained with"
            )


def _arrow_type(frame: Any, name: str) -> Any:
    """Return the Arrow type of a column of a frame of polars."""
    return pa.table(frame.select(name)).schema.field(0).type


def _original_answers(model: Any, data: Any, classes: Array | None) -> list[Array]:
    if isinstance(model, xgboost.Booster):
        answer = answer_array(model.predict(_matrix(data)))
        return [answer] if classes is None else classify(answer, classes)
    if isinstance(model, xgboost.XGBClassifier):
        return [answer_array(model.predict(data)), answer_array(model.predict_proba(data))]
    return [answer_array(model.predict(data))]


def _objective(booster: xgboost.Booster) -> tuple[str, int | None]:
    """Return a booster's objective, and the number of classes whose probabilities it answers, if it does."""
    learner = _learner(booster)
    name, parameters = str(learner["objective"]["name"]), learner["learner_model_param"]
    if name not in _PROBABILITY_OBJECTIVES:
        return name, None
    if int(parameters.get("num_target", "1")) > 1:
        return f"{name} of several targets", None  # it answers with a probability for each of them, not for classes
    return name, max(int(parameters["num_class"]), 2)
