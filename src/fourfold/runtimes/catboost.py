"""CatBoost: its own estimators, in its binary format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import catboost
import numpy as np

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, PackError
from fourfold.modelfiles import MalformedModel, catboost_cbm
from fourfold.runtimes.answers import Array, array, class_names, describe, gap, label, record_batch
from fourfold.runtimes.detection import catboost as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.sample import Sample, names_of, select, study
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "claims", "load", "open_model", "prepare"]

NAME = "catboost"
_FILE = "model.cbm"
_ESTIMATORS = ("CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor")
#: What a model in JSON holds at least.
_PARTS = ("features_info", "model_info", "scale_and_bias")
#: Losses of several targets, each with statistics of its own about categories: of these JSON keeps those of one target.
_SEVERAL_TARGETS = ("MultiCrossEntropy", "MultiLogloss", "MultiRMSE", "MultiRMSEWithMissingValues")


def prepare(model: Any, sample: Any, *, inputs: tuple[Field, ...] | None = None) -> Prepared:
    """One of CatBoost's estimators made ready for a package.

    A classifier's outputs are `label`, one a row, and `probability`, those of its classes or of each of many labels;
    another's is `prediction`, to the bit what its `predict` gives.

    Args:
        model: the fitted estimator; it is not changed.
        sample: rows as it was trained with them: a pandas frame with its columns (others are left out), or an array.
        inputs: the fields that go in, where they shall not be inferred from the sample.

    Raises:
        PackError: it is not fitted, does not answer the sample, or answers otherwise from CatBoost's own format.
        SignatureError: no inputs can be inferred from the sample.
    """
    kind = type(model).__name__
    if kind not in _ESTIMATORS or not isinstance(model, catboost.CatBoost):
        raise PackError(f"expected an estimator of {', '.join(_ESTIMATORS)}; got a {kind}")
    if not model.is_fitted():
        raise PackError(f"the {kind} is not fitted: fit it before it is packed")
    data = _bytes(model)
    try:
        catboost_cbm.check(data)
    except MalformedModel as error:
        raise PackError(f"the {kind} cannot be packed: {error}") from error
    seen = _sample(model, sample, inputs)
    settings: dict[str, Any] = {"form": seen.form, "kind": kind}
    if isinstance(model, catboost.CatBoostRegressor):
        # Which of its numbers a regressor answers with depends on its loss, which its bytes do not bring back.
        settings["prediction"] = model._get_default_prediction_type()  # noqa: SLF001
    try:
        expected = _Engine(model, settings, lambda same: same, ()).answers(seen.data)
        answers = _Engine(_read(data, settings), settings, lambda same: same, ()).answers(seen.rebuilt())
    except FourfoldError:
        raise
    except Exception as error:  # a foreign model and foreign data: anything
        raise PackError(f"the model fails on the sample: {type(error).__name__}: {error}") from error
    if gap(expected, answers):
        raise PackError(f"the {kind} answers otherwise when it is loaded from CatBoost's own format")
    libraries = versions("catboost", "numpy", container=seen.form["container"])
    return Prepared(NAME, settings, {_FILE: data}, seen.fields, _outputs(model, answers, seen.rows), "", libraries)


def _bytes(model: Any) -> bytes:
    """The model's bytes, the same for two trainings: without the time, and the random name that each one gets."""
    alike = model.copy()
    known = alike.get_metadata()
    for key in ("model_guid", "train_finish_time"):
        if key in known:
            known[key] = ""
    return bytes(alike._serialize_model())  # noqa: SLF001 - the only way to its bytes without a file


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> _Engine:
    """The model of a package; raises `CorruptPackage` where its file is none."""
    model = _read(read(_FILE), settings)
    return _Engine(model, settings, tables.builder(settings["form"], signature.inputs), signature.outputs)


class _Engine:
    """An estimator that answers."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(
        self, model: Any, settings: dict[str, Any], build: Callable[[Any], Any], outputs: tuple[Field, ...]
    ) -> None:
        self._model = model
        self._options: dict[str, Any] = {"thread_count": 1}
        if "prediction" in settings:
            self._options["prediction_type"] = settings["prediction"]
        self._build = build
        self._outputs = outputs

    def answers(self, data: Any) -> list[Array]:
        """The arrays of the outputs for a container as in training."""
        found = array(self._model.predict(data, **self._options))
        if not isinstance(self._model, catboost.CatBoostClassifier):
            return [found]
        # Of several classes CatBoost gives a column of labels.
        labels = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
        return [labels, array(self._model.predict_proba(data, thread_count=1))]

    def predict(self, batch: Any) -> Any:
        """Answer every row of a canonical record batch; raises `EngineError`."""
        data = self._build(batch)
        try:
            answers = self.answers(data)
        except Exception as error:  # whatever CatBoost and the container's library raise
            raise EngineError(f"CatBoost failed: {type(error).__name__}: {error}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def open_model(path: Path, form: str | None = None, kind: str | None = None) -> tuple[Any, tuple[str, ...]]:
    """The model that a file in one of CatBoost's own formats holds.

    Args:
        path: the file.
        form: `cbm` or `json`; left out, the suffix says which.
        kind: the estimator that wrote it. Left out, a model with classes is a classifier, any other a regressor: what
            ranks answers as one does.

    Returns:
        The model, and what a person should know about it.

    Raises:
        PackError: it holds none, or does not hold all of it.
    """
    if kind is not None and kind not in _ESTIMATORS:
        raise PackError(f"expected an estimator of {', '.join(_ESTIMATORS)} in {path}; got {kind!r}")
    form = form or ("json" if path.suffix == ".json" else "cbm")
    if form not in ("cbm", "json"):
        raise PackError(f"{path} is in CatBoost's format {form!r}, which cannot be read again: save it as cbm or json")
    try:
        if form == "cbm":
            return _opened(path, kind), ()
        _check_json(path)
        with TemporaryDirectory(prefix="fourfold-") as folder:
            binary = Path(folder) / _FILE
            catboost.CatBoost().load_model(path, format="json").save_model(binary)
            return _opened(binary, kind), ()
    except (catboost.CatBoostError, MalformedModel, OSError, ValueError) as error:
        text = "binary" if form == "cbm" else "JSON"
        raise PackError(f"{path} is no model in CatBoost's {text} format: {str(error)[:200]}") from error


def _check_json(path: Path) -> None:
    """Check what CatBoost does not: it takes a file that is cut off for the model that its beginning is.

    Raises:
        ValueError: the file is no JSON.
        PackError: it is no model, or one that CatBoost's JSON does not hold.
    """
    found = json.loads(path.read_bytes())
    missing = [part for part in _PARTS if not isinstance(found, dict) or not found.get(part)]
    if missing or not ("oblivious_trees" in found or "trees" in found):
        raise PackError(f"{path} is no model in CatBoost's JSON format: it has no {(missing or ['trees'])[0]}")
    params = found["model_info"].get("params") or {}
    params = json.loads(params) if isinstance(params, str) else params
    loss = params.get("loss_function", {}).get("type")
    if found.get("ctr_data") and loss in _SEVERAL_TARGETS:
        raise PackError(
            f"{path} is a model of several targets ({loss}) that counts categories, of which CatBoost's JSON format "
            "keeps the counts of one target: save it as cbm"
        )


def _opened(path: Path, kind: str | None) -> Any:
    if kind is None:
        classifies = "class_params" in catboost_cbm.read(path.read_bytes()).info
        kind = "CatBoostClassifier" if classifies else "CatBoostRegressor"
    # From a path it learns of the loss too, and so of the kind of its predictions; from bytes it does not.
    return getattr(catboost, kind)().load_model(path)


def _read(data: bytes, settings: dict[str, Any]) -> Any:
    """The estimator that a file holds."""
    kind = settings["kind"]
    if kind not in _ESTIMATORS:
        raise CorruptPackage(f"expected an estimator of {', '.join(_ESTIMATORS)}; got {kind!r}")
    try:
        catboost_cbm.check(data)
        return getattr(catboost, kind)().load_model(blob=data)
    except (catboost.CatBoostError, MalformedModel) as error:
        raise CorruptPackage(f"CatBoost cannot read its model: {error}") from error


def _sample(model: Any, sample: Any, inputs: tuple[Field, ...] | None) -> Sample:
    kind = tables.kind_of(sample)
    if kind not in ("pandas", "numpy"):
        raise PackError(f"CatBoost takes pandas frames and NumPy arrays; got {kind}")
    trained = list(model.feature_names_)
    names = names_of(sample)
    if names is not None and trained != [str(index) for index in range(len(trained))]:
        by_text = {str(name): name for name in names}
        sample = select(sample, [by_text.get(name, name) for name in trained])
    seen = study(sample, inputs)
    if len(seen.fields) != len(trained):
        raise PackError(f"the model was trained with {len(trained)} columns; got {len(seen.fields)}")
    return seen


def _outputs(model: Any, answers: list[Array], rows: int) -> tuple[Field, ...]:
    if not isinstance(model, catboost.CatBoostClassifier):
        return (describe("prediction", answers[0], rows),)
    classes = np.asarray(model.classes_).tolist()
    return label("label", answers[0], rows, classes), describe("probability", answers[1], rows, class_names(classes))
