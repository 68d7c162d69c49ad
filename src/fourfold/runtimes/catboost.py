"""CatBoost: its own estimators, in its binary format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import catboost
import numpy as np

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, PackError
from fourfold.plan.compile import cbm
from fourfold.runtimes import catboostfile
from fourfold.runtimes.answers import Array, array, class_names, describe, gap, label, record_batch
from fourfold.runtimes.claims import catboost as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.samples import Sample, names_of, select, study
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "claims", "load", "open_model", "prepare"]

NAME = "catboost"
_FILE = "model.cbm"
_ESTIMATORS = ("CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor")


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
        catboostfile.check(data)
    except catboostfile.MalformedModel as error:
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


def open_model(path: Path, form: str | None = None) -> Any:
    """The model that a file in one of CatBoost's own formats holds.

    A model with classes is a classifier, any other a regressor: what ranks answers as one does.

    Args:
        path: the file.
        form: `cbm` or `json`; left out, the suffix says which.

    Raises:
        PackError: it holds none.
    """
    form = form or ("json" if path.suffix == ".json" else "cbm")
    if form not in ("cbm", "json"):
        raise PackError(f"{path} is in CatBoost's format {form!r}, which cannot be read again: save it as cbm or json")
    try:
        if form == "cbm":
            return _opened(path)
        with TemporaryDirectory(prefix="fourfold-") as folder:
            binary = Path(folder) / _FILE
            model = catboost.CatBoost().load_model(path, format="json")
            if not model.feature_names_:  # any other JSON is a model of nothing
                raise PackError(f"{path} is no model in CatBoost's JSON format: it has no features")
            model.save_model(binary)
            return _opened(binary)
    except (catboost.CatBoostError, catboostfile.MalformedModel, OSError) as error:
        text = "binary" if form == "cbm" else "JSON"
        raise PackError(f"{path} is no model in CatBoost's {text} format: {str(error)[:200]}") from error


def _opened(path: Path) -> Any:
    classifies = "class_params" in cbm.read(path.read_bytes()).info
    kind = catboost.CatBoostClassifier if classifies else catboost.CatBoostRegressor
    # From a path it learns of the loss too, and so of the kind of its predictions; from bytes it does not.
    return kind().load_model(path)


def _read(data: bytes, settings: dict[str, Any]) -> Any:
    """The estimator that a file holds."""
    kind = settings["kind"]
    if kind not in _ESTIMATORS:
        raise CorruptPackage(f"expected an estimator of {', '.join(_ESTIMATORS)}; got {kind!r}")
    try:
        catboostfile.check(data)
        return getattr(catboost, kind)().load_model(blob=data)
    except (catboost.CatBoostError, catboostfile.MalformedModel) as error:
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
