"""XGBoost: boosters and its own estimators, in its native UBJSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xgboost

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, MissingLibrary, PackError
from fourfold.modelfiles import xgboost_ubjson
from fourfold.runtimes.answers import Array, array, class_names, describe, gap, label, record_batch
from fourfold.runtimes.detection import xgboost as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.sample import Sample, as_array, names_of, select, study
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "claims", "load", "open_model", "prepare"]

NAME = "xgboost"
_FILE = "model.ubj"
_ESTIMATORS = ("XGBClassifier", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker", "XGBRegressor")


def prepare(model: Any, sample: Any, *, inputs: tuple[Field, ...] | None = None) -> Prepared:
    """A booster or one of XGBoost's estimators made ready for a package.

    A booster's output is `prediction`, as `Booster.predict` gives it, from all of its trees. An estimator answers as
    it does itself, from its best iteration where it stopped early: a classifier's outputs are `label` and
    `probability`, another's `prediction`.

    Args:
        model: the booster or the fitted estimator; it is not changed.
        sample: rows as it was trained with them: a frame with its columns (others are left out), or an array.
        inputs: the fields that go in, where they shall not be inferred from the sample.

    Raises:
        PackError: it is not fitted, does not answer the sample, or answers otherwise from XGBoost's own format.
        SignatureError: no inputs can be inferred from the sample.
    """
    kind = _kind(model)
    booster = model if kind == "Booster" else _booster(model)
    seen = _sample(booster, sample, inputs)
    data = bytes(booster.save_raw("ubj"))
    missing = float("nan") if kind == "Booster" or model.missing is None else float(model.missing)
    settings: dict[str, Any] = {"form": seen.form, "kind": kind, "missing": repr(missing)}
    try:
        again = _read(data, settings)  # and checked, before a model from a hostile file answers
        expected = _original(model, seen.data)
        answers = _Engine(again, lambda same: same, ()).answers(seen.rebuilt())
    except FourfoldError:
        raise
    except Exception as error:  # a foreign model and foreign data: anything
        raise PackError(f"the model fails on the sample: {type(error).__name__}: {error}") from error
    if gap(expected, answers):
        raise PackError(
            f"the {type(model).__name__} answers otherwise when it is loaded from XGBoost's own format; where it has "
            "an objective of its own, pack its booster: model.get_booster()"
        )
    libraries = versions("xgboost", "numpy", "scipy", container=seen.form["container"])
    return Prepared(NAME, settings, {_FILE: data}, seen.fields, _outputs(model, answers, seen.rows), "", libraries)


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> _Engine:
    """The model of a package; raises `CorruptPackage` where its file is none."""
    model = _read(read(_FILE), settings)
    return _Engine(model, tables.builder(settings["form"], signature.inputs), signature.outputs)


class _Engine:
    """A booster or estimator that answers."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(self, model: Any, build: Callable[[Any], Any], outputs: tuple[Field, ...]) -> None:
        self._model = model
        self._build = build
        self._outputs = outputs
        booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
        kind = _grown(booster)
        # A booster answers from a matrix, and an estimator from the data itself; of trees alone, both are the same.
        self._from_matrix = booster is model and kind != "gbtree"
        # From many threads at once XGBoost predicts with trees, and with a matrix or a linear booster from one.
        self._turn = threading.Lock() if self._from_matrix or kind == "gblinear" else nullcontext()

    def answers(self, data: Any) -> list[Array]:
        """The arrays of the outputs for a container as in training."""
        if isinstance(self._model, xgboost.Booster):
            booster = self._model
            return [array(booster.predict(_matrix(data)) if self._from_matrix else booster.inplace_predict(data))]
        if isinstance(self._model, xgboost.XGBClassifier):
            return [array(self._model.predict(data)), array(self._model.predict_proba(data))]
        return [array(self._model.predict(data))]

    def predict(self, batch: Any) -> Any:
        """Answer every row of a canonical record batch; raises `EngineError`."""
        data = self._build(batch)
        try:
            with self._turn:
                answers = self.answers(data)
        except Exception as error:  # whatever XGBoost and the container's library raise
            raise EngineError(f"XGBoost failed: {type(error).__name__}: {error}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def _matrix(data: Any) -> xgboost.DMatrix:
    return xgboost.DMatrix(data, nthread=1, enable_categorical=True)


def open_model(path: Path, kind: str = "Booster") -> tuple[Any, tuple[str, ...]]:
    """The model that a file in XGBoost's JSON or UBJSON format holds.

    A booster has all trees of the file, but for one that an estimator wrote which stopped early: as that one answers
    from its best iteration, the later trees are left out.

    Args:
        path: the file.
        kind: `Booster`, or the estimator that wrote the file.

    Returns:
        The model, and what a person should know about it.

    Raises:
        PackError: it holds none.
    """
    if kind != "Booster" and kind not in _ESTIMATORS:
        raise PackError(f"expected a Booster or an estimator of {', '.join(_ESTIMATORS)} in {path}; got {kind!r}")
    try:
        # XGBoost reads its JSON with care, and its UBJSON without; what either says it follows without looking.
        if (data := path.read_bytes()).startswith(b"{L"):
            xgboost_ubjson.check(data)
        booster = xgboost.Booster(model_file=path)
        xgboost_ubjson.check(bytes(booster.save_raw("ubj")))
        if kind == "Booster":
            return _stopped(booster)
        estimator = getattr(xgboost, kind)()
        estimator.load_model(path)
    except ImportError as error:
        raise MissingLibrary("scikit-learn", extra="sklearn", purpose=f"XGBoost's {kind}") from error
    # It complains of a file of another kind in many ways.
    except (xgboost.core.XGBoostError, KeyError, TypeError, ValueError, OSError) as error:
        raise PackError(f"{path} is no model in XGBoost's JSON or UBJSON format: {str(error)[:200]}") from error
    return estimator, ()


def _stopped(booster: xgboost.Booster) -> tuple[xgboost.Booster, tuple[str, ...]]:
    """The rounds of a booster that answer, and a word about them where training stopped after the best one."""
    attribute, rounds = booster.attr("best_iteration"), booster.num_boosted_rounds()
    best = rounds if attribute is None else int(attribute) + 1
    # An estimator of linear models answers from all rounds.
    if not 0 < best < rounds or _grown(booster) == "gblinear":
        return booster, ()
    said = f"training stopped early, at its best after {best} of {rounds} rounds"
    if booster.attr("scikit_learn") is None:
        return booster, (f"{said}: all {rounds} answer, as Booster.predict does; booster[:{best}] answers otherwise",)
    return booster[:best], (f"{said}: these answer, as the estimator does that wrote the file",)


def _grown(booster: xgboost.Booster) -> str:
    """What its rounds are made of: `gbtree`, `dart` or `gblinear`."""
    return str(json.loads(booster.save_config())["learner"]["gradient_booster"]["name"])


def _read(data: bytes, settings: dict[str, Any]) -> Any:
    """The booster or estimator that a file holds, on the CPU and with one thread."""
    kind = settings["kind"]
    try:
        xgboost_ubjson.check(data)
        if kind == "Booster":
            model = xgboost.Booster({"nthread": 1, "device": "cpu"}, model_file=bytearray(data))
            model.set_param({"nthread": 1, "device": "cpu"})
            return model
        if kind not in _ESTIMATORS:
            raise CorruptPackage(f"expected an estimator of {', '.join(_ESTIMATORS)}; got {kind!r}")
        estimator = getattr(xgboost, kind)(n_jobs=1, device="cpu", missing=float(settings["missing"]))
        estimator.load_model(bytearray(data))
        estimator.get_booster().set_param({"nthread": 1, "device": "cpu"})
        return estimator
    except ImportError as error:  # its estimators are scikit-learn's, its boosters are not
        raise MissingLibrary("scikit-learn", extra="sklearn", purpose=f"XGBoost's {kind}") from error
    except (xgboost.core.XGBoostError, KeyError, TypeError, ValueError) as error:
        raise CorruptPackage(f"XGBoost cannot read its model: {error}") from error


def _kind(model: Any) -> str:
    if isinstance(model, xgboost.Booster):
        return "Booster"
    kind = type(model).__name__
    if kind not in _ESTIMATORS or not isinstance(model, xgboost.XGBModel):
        raise PackError(f"expected a booster or an estimator of {', '.join(_ESTIMATORS)}; got a {kind}")
    return kind


def _booster(model: Any) -> xgboost.Booster:
    if not model.__sklearn_is_fitted__():
        raise PackError(f"the {type(model).__name__} is not fitted: fit it before it is packed")
    booster: xgboost.Booster = model.get_booster()
    return booster


def _sample(booster: xgboost.Booster, sample: Any, inputs: tuple[Field, ...] | None) -> Sample:
    names = booster.feature_names
    if names is not None:
        seen = study(select(sample, names), inputs)
    elif tables.kind_of(sample) in ("pandas", "polars", "arrow"):
        seen = study(as_array(sample), inputs, [str(name) for name in names_of(sample) or ()])
    else:
        seen = study(sample, inputs)
    if len(seen.fields) != booster.num_features():
        raise PackError(f"the model was trained with {booster.num_features()} columns; got {len(seen.fields)}")
    return seen


def _original(model: Any, data: Any) -> list[Array]:
    if isinstance(model, xgboost.Booster):
        return [array(model.predict(_matrix(data)))]
    if isinstance(model, xgboost.XGBClassifier):
        return [array(model.predict(data)), array(model.predict_proba(data))]
    return [array(model.predict(data))]


def _outputs(model: Any, answers: list[Array], rows: int) -> tuple[Field, ...]:
    if not isinstance(model, xgboost.XGBClassifier):
        return (describe("prediction", answers[0], rows),)
    classes = np.asarray(model.classes_).tolist()
    names = class_names(classes)
    return label("label", answers[0], rows, classes), describe("probability", answers[1], rows, names)
