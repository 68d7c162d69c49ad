"""LightGBM: boosters and its own estimators, in its text format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightgbm
import numpy as np

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, PackError
from fourfold.modelfiles import lightgbm_text
from fourfold.runtimes.answers import Array, array, class_names, describe, gap, label, record_batch
from fourfold.runtimes.detection import lightgbm as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.sample import Sample, names_of, select, study
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "claims", "load", "open_model", "prepare"]

NAME = "lightgbm"
_FILE = "model.txt"
# What the scikit-learn interface passes on to every prediction, of the parameters that change one.
_OPTIONS = ("pred_early_stop", "pred_early_stop_freq", "pred_early_stop_margin", "predict_disable_shape_check")


def prepare(model: Any, sample: Any, *, inputs: tuple[Field, ...] | None = None) -> Prepared:
    """A booster or one of LightGBM's estimators made ready for a package.

    A booster's output is `prediction`, as `Booster.predict` gives it; a classifier's are `label` and `probability`, to
    the bit what its `predict` and `predict_proba` give.

    Args:
        model: the booster or the fitted estimator; it is not changed.
        sample: rows as it was trained with them: a frame with its columns (others are left out), or an array.
        inputs: the fields that go in, where they shall not be inferred from the sample.

    Raises:
        PackError: it is not fitted, does not answer the sample, or answers otherwise from LightGBM's own format.
        SignatureError: no inputs can be inferred from the sample.
    """
    booster = _booster(model)
    seen = _sample(booster, sample, inputs)
    text = booster.model_to_string()
    settings: dict[str, Any] = {"form": seen.form, "options": _options(model)}
    if isinstance(model, lightgbm.LGBMClassifier) and not callable(model.objective_):
        classes = np.asarray(model.classes_)
        dtype = "str" if classes.dtype.kind == "U" else str(classes.dtype)
        settings["classes"] = {"dtype": dtype, "values": classes.tolist()}
    again = _Engine(_read(text), lambda data: data, settings, ())
    try:
        expected = _original(model, seen.data, "classes" in settings)
        answers = again.answers(seen.rebuilt())
    except FourfoldError:
        raise
    except Exception as error:  # a foreign model and foreign data: anything
        raise PackError(f"the model fails on the sample: {type(error).__name__}: {error}") from error
    if gap(expected, answers):
        raise PackError(f"the {type(model).__name__} answers otherwise when it is loaded from LightGBM's own format")
    libraries = versions("lightgbm", "numpy", "scipy", container=seen.form["container"])
    outputs = _outputs(answers, seen.rows, settings)
    return Prepared(NAME, settings, {_FILE: text.encode()}, seen.fields, outputs, "", libraries)


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> _Engine:
    """The booster of a package; raises `CorruptPackage` where its file is none."""
    booster = _read(read(_FILE).decode("utf-8", "replace"))
    return _Engine(booster, tables.builder(settings["form"], signature.inputs), settings, signature.outputs)


class _Engine:
    """A booster that answers, and makes labels of probabilities as its classifier did."""

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
        self._options = {name: value for name, value in settings["options"].items() if name in _OPTIONS}
        self._outputs = outputs
        self._classes = _classes(settings)

    def answers(self, data: Any) -> list[Array]:
        """The arrays of the outputs for a container as in training."""
        raw = array(self._booster.predict(data, num_threads=1, **self._options))
        if self._classes is None:
            return [raw]
        # Word for word what `LGBMClassifier` does, since another order of operations has other bits.
        probability = raw if raw.ndim == 2 else np.vstack((1.0 - raw, raw)).transpose()
        return [self._classes[np.argmax(probability, axis=1)], probability]

    def predict(self, batch: Any) -> Any:
        """Answer every row of a canonical record batch; raises `EngineError`."""
        data = self._build(batch)
        try:
            answers = self.answers(data)
        except Exception as error:  # whatever LightGBM and the container's library raise
            raise EngineError(f"LightGBM failed: {type(error).__name__}: {error}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def _classes(settings: dict[str, Any]) -> Array | None:
    known = settings.get("classes")
    return None if known is None else np.array(known["values"], dtype=known["dtype"])


def open_model(path: Path) -> tuple[lightgbm.Booster, tuple[str, ...]]:
    """The booster that a file in LightGBM's text format holds, and what a person should know about it.

    Raises:
        PackError: it holds none.
    """
    try:
        text = path.read_text("utf-8")
        lightgbm_text.check(text)
        return lightgbm.Booster(model_str=text), ()
    except (lightgbm.basic.LightGBMError, ValueError, OSError) as error:
        raise PackError(f"{path} is no model in LightGBM's text format: {error}") from error


def _read(text: str) -> lightgbm.Booster:
    try:
        lightgbm_text.check(text)
        return lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise CorruptPackage(f"LightGBM cannot read its model: {error}") from error


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


def _sample(booster: lightgbm.Booster, sample: Any, inputs: tuple[Field, ...] | None) -> Sample:
    trained = booster.feature_name()
    names = names_of(sample) if tables.kind_of(sample) != "rows" else None
    if names is not None and trained != [f"Column_{index}" for index in range(len(trained))]:
        # LightGBM keeps names with an underscore for each space.
        known = {str(name).replace(" ", "_"): str(name) for name in names}
        sample = select(sample, [known.get(name, name) for name in trained])
    seen = study(sample, inputs)
    if len(seen.fields) != len(trained):
        raise PackError(f"the model was trained with {len(trained)} columns; got {len(seen.fields)}")
    return seen


def _options(model: Any) -> dict[str, Any]:
    params = model.get_params() if isinstance(model, lightgbm.LGBMModel) else {}
    return {name: params[name] for name in _OPTIONS if isinstance(params.get(name), (bool, int, float))}


def _original(model: Any, data: Any, classifies: bool) -> list[Array]:
    if not classifies:
        return [array(model.predict(data, num_threads=1))]
    return [array(model.predict(data, num_threads=1)), array(model.predict_proba(data, num_threads=1))]


def _outputs(answers: list[Array], rows: int, settings: dict[str, Any]) -> tuple[Field, ...]:
    classes = _classes(settings)
    if classes is None:
        return (describe("prediction", answers[0], rows),)
    names = class_names(classes)
    return label("label", answers[0], rows, classes.tolist()), describe("probability", answers[1], rows, names)
