"""Run CatBoost's estimators, stored in CatBoost's binary format."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import catboost
import numpy as np

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, FourfoldError, PackError, describe, printable, shorten
from fourfold.interpreter import PYTHON_VARIABLE, find_python, python_flags
from fourfold.modelfiles import MalformedModel, catboost_cbm
from fourfold.runtimes.answers import (
    Array,
    answer_array,
    class_names,
    label_field,
    output_field,
    record_batch,
    relative_gap,
)
from fourfold.runtimes.culprit import describe_failure, describe_refusal
from fourfold.runtimes.declared import Declared, Inputs, declare
from fourfold.runtimes.engine import OpenedModel, Prepared, library_versions
from fourfold.runtimes.levels import catboost_levels
from fourfold.runtimes.sample import Sample, column_names, read_sample, select_columns
from fourfold.signature.field import Field, Signature

__all__ = ["NAME", "load", "open_model", "prepare"]

NAME = "catboost"
_FILE = "model.cbm"
#: How long CatBoost may take to read a JSON file, in seconds.
CONVERSION_TIMEOUT_S = 600
_ESTIMATORS = ("CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor")
#: What a regressor may predict; the last is of models with two values a row, and CatBoost ends the process for others.
_PREDICTIONS = ("RawFormulaVal", "Exponent", "RMSEWithUncertainty")
#: The keys that every model in JSON has.
_JSON_KEYS = ("features_info", "model_info")
#: Where a model in JSON names the version that wrote it, from 0.2 on.
_JSON_VERSION = re.compile(r"\btags/v(?P<major>[0-9]+)\.")
#: Losses of several targets, each of which has its own statistics of categories; JSON keeps those of one target.
_MULTI_TARGET_LOSSES = ("MultiCrossEntropy", "MultiLogloss", "MultiRMSE", "MultiRMSEWithMissingValues")


def prepare(model: Any, sample: Any, *, inputs: Inputs = None) -> Prepared:
    """Return what a package keeps of one of CatBoost's estimators.

    A classifier has the outputs `label`, one a row, and `probability`, one for each class (or for each label, where a
    row can have several); any other estimator has `prediction`, the bits of its `predict`.

    Args:
        model: the fitted estimator; it is not changed.
        sample: rows as the model was trained with them: a pandas frame with its columns (others are ignored), or an
            array.
        inputs: the input fields, or what is declared of some; inferred from the model and the sample by default.

    Raises:
        PackError: the model is not fitted, does not answer the sample, or its file gives other answers.
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
    sample_rows = _read_sample(model, sample, declare(inputs))
    settings: dict[str, Any] = {"form": sample_rows.form, "kind": kind}
    if isinstance(model, catboost.CatBoostRegressor):
        # What a regressor predicts depends on its loss, which CatBoost does not restore from bytes.
        settings["prediction"] = model._get_default_prediction_type()  # noqa: SLF001
    try:
        expected = _Engine(model, settings, _identity, ()).answers(sample_rows.data)
        answers = _Engine(_read(data, settings), settings, _identity, ()).answers(sample_rows.rebuild())
    except FourfoldError:
        raise
    except Exception as error:  # a foreign model and foreign data: anything
        ask = _Engine(model, settings, _identity, ()).answers
        why = describe_failure(error, sample_rows.data, ask, sample_rows.known)
        raise PackError(f"the model fails on the sample: {why}") from error
    if relative_gap(expected, answers):
        raise PackError(f"the {kind} answers otherwise when it is loaded from CatBoost's own format")
    libraries = library_versions("catboost", "numpy", container=sample_rows.form["container"])
    outputs, origins = _outputs(model, answers, sample_rows.count), sample_rows.origins
    return Prepared(NAME, settings, {_FILE: data}, sample_rows.fields, outputs, "", libraries, origins=origins)


def _identity(data: Any) -> Any:
    return data


def _bytes(model: Any) -> bytes:
    """Return the model's bytes without its random name and its time, so that two equal trainings give the same."""
    copy = model.copy()
    metadata = copy.get_metadata()
    for key in ("model_guid", "train_finish_time"):
        if key in metadata:
            metadata[key] = ""
    return bytes(copy._serialize_model())  # noqa: SLF001 - the only way to its bytes without a file


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> _Engine:
    """Return the engine of a package; raise `CorruptPackage` where CatBoost cannot read its file."""
    model = _read(read(_FILE), settings)
    return _Engine(model, settings, tables.builder(settings["form"], signature.inputs), signature.outputs)


class _Engine:
    """Answer with an estimator."""

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
        """Return the arrays of the outputs for a container like that of training."""
        prediction = answer_array(self._model.predict(data, **self._options))
        if not isinstance(self._model, catboost.CatBoostClassifier):
            return [prediction]
        # For more than two classes CatBoost returns the labels as a matrix of one column.
        labels = prediction[:, 0] if prediction.ndim == 2 and prediction.shape[1] == 1 else prediction
        return [labels, answer_array(self._model.predict_proba(data, thread_count=1))]

    def predict(self, batch: Any) -> Any:
        """Return the answers to a canonical record batch; raise `EngineError` where the model fails."""
        data = self._build(batch)
        try:
            answers = self.answers(data)
        except Exception as error:  # whatever CatBoost and the container's library raise
            raise EngineError(f"CatBoost failed: {describe_refusal(error, batch)}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def open_model(path: Path, form: str | None = None, kind: str | None = None) -> OpenedModel:
    """Return the model of a file in one of CatBoost's own formats.

    Args:
        path: the file.
        form: `cbm` or `json`; by default the suffix decides.
        kind: the class of the estimator that wrote the file. By default a model with classes is a classifier, and any
            other a regressor, which answers like a ranker too.

    Raises:
        PackError: the file holds no model, or not all of it.
    """
    if kind is not None and kind not in _ESTIMATORS:
        raise PackError(f"expected an estimator of {', '.join(_ESTIMATORS)} in {path}; got {kind!r}")
    form = form or ("json" if path.suffix == ".json" else "cbm")
    if form not in ("cbm", "json"):
        raise PackError(f"{path} is in CatBoost's format {form!r}, which cannot be read again: save it as cbm or json")
    try:
        if form == "cbm":
            model = _open_binary(path, kind)
            return OpenedModel(model, _notes_on_trees(model))
        notes = _check_json(path)
        with TemporaryDirectory(prefix="fourfold-") as folder:
            binary = Path(folder) / _FILE
            _convert(path, binary)
            model = _open_binary(binary, kind)
            return OpenedModel(model, (*_notes_on_trees(model), *notes))
    except (catboost.CatBoostError, MalformedModel, OSError, ValueError, AttributeError, RecursionError) as error:
        format_name = "binary" if form == "cbm" else "JSON"
        raise PackError(f"{path} is no model in CatBoost's {format_name} format: {describe(error, 200)}") from error


def _notes_on_trees(model: Any) -> tuple[str, ...]:
    """Return a note where a model holds fewer trees than training was allowed, as after stopping early."""
    params = json.loads(model.get_metadata().get("params", "{}"))
    most, trees = params.get("boosting_options", {}).get("iterations"), model.tree_count_
    if not isinstance(most, int) or not 0 < trees < most:
        return ()
    return (f"the file holds {trees} of the {most} trees that training was allowed: these {trees} answer",)


def _check_json(path: Path) -> tuple[str, ...]:
    """Check that a JSON file holds a whole model: CatBoost reads a file that is cut off as if its beginning were all.

    Returns:
        Notes for the user.

    Raises:
        ValueError: the file is not JSON.
        PackError: the file holds no model, or one that CatBoost's JSON format cannot hold.
    """
    data = json.loads(path.read_bytes())
    missing = [key for key in _JSON_KEYS if not isinstance(data, dict) or not data.get(key)]
    if missing or not ("oblivious_trees" in data or "trees" in data):
        raise PackError(f"{path} is no model in CatBoost's JSON format: it has no {(missing or ['trees'])[0]}")
    params = data["model_info"].get("params") or {}
    params = json.loads(params) if isinstance(params, str) else params
    loss = params.get("loss_function", {}).get("type")
    if data.get("ctr_data") and loss in _MULTI_TARGET_LOSSES:
        raise PackError(
            f"{path} is a model of several targets ({loss}) that counts categories, of which CatBoost's JSON format "
            "keeps the counts of one target: save it as cbm"
        )
    if data.get("scale_and_bias"):
        return ()
    version = _JSON_VERSION.search(str(data["model_info"].get("catboost_version_info", "")))
    has_bias = params.get("boosting_options", {}).get("boost_from_average")
    if version is not None and int(version["major"]) >= 1 and has_bias:
        raise PackError(
            f"{path} is no model in CatBoost's JSON format: it has no scale_and_bias, which the version that wrote it "
            "writes, and the model has a bias. Save it once more from the model, or as cbm"
        )
    return ("the file has no scale_and_bias, as those of CatBoost's first versions: CatBoost takes 1 and 0",)


def _convert(path: Path, binary: Path) -> None:
    """Write a JSON file's model in the binary format, in a process of its own: some JSON crashes CatBoost.

    Raises:
        ValueError: CatBoost cannot read the file, or dies of it, or does not end.
    """
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import catboost; "
        "catboost.CatBoost().load_model(sys.argv[2], format='json').save_model(sys.argv[3])"
    )
    python = find_python()
    if python is None:
        raise ValueError(
            f"JSON is read in a process of its own, and no Python was found: name one in {PYTHON_VARIABLE}"
        )
    command = [python, *python_flags(), "-c", code, json.dumps(sys.path), str(path), str(binary)]
    try:
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=CONVERSION_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ValueError(f"CatBoost did not read it within {CONVERSION_TIMEOUT_S} s") from None
    if ended.returncode < 0:
        raise ValueError(f"CatBoost crashed on it ({signal.Signals(-ended.returncode).name})")
    if ended.returncode:
        raise ValueError((ended.stderr.strip().splitlines() or ["CatBoost does not say why"])[-1])


def _open_binary(path: Path, kind: str | None) -> Any:
    has_classes = "class_params" in catboost_cbm.read(path.read_bytes()).info
    if kind is None:
        kind = "CatBoostClassifier" if has_classes else "CatBoostRegressor"
    # CatBoost restores the loss, which decides what is predicted, from a path; from bytes it does not.
    return getattr(catboost, kind)().load_model(path)


def _read(data: bytes, settings: dict[str, Any]) -> Any:
    """Return the estimator in the bytes of a file; raise `CorruptPackage` where CatBoost cannot read it."""
    kind = settings["kind"]
    if kind not in _ESTIMATORS:
        raise CorruptPackage(f"expected an estimator of {', '.join(_ESTIMATORS)}; got {shorten(kind)}")
    prediction = settings.get("prediction", _PREDICTIONS[0])
    if prediction not in _PREDICTIONS:
        raise CorruptPackage(f"expected a prediction of {', '.join(_PREDICTIONS)}; got {shorten(prediction)}")
    try:
        catboost_cbm.check(data)
        if prediction == "RMSEWithUncertainty" and catboost_cbm.read(data).dimension != 2:
            raise CorruptPackage(f"the package predicts {prediction}, and its model has not two values a row")
        return getattr(catboost, kind)().load_model(blob=data)
    except (catboost.CatBoostError, MalformedModel) as error:
        raise CorruptPackage(f"CatBoost cannot read its model: {printable(str(error))}") from error


def _read_sample(model: Any, sample: Any, inputs: Declared) -> Sample:
    kind = tables.kind_of(sample)
    if kind not in ("pandas", "numpy"):
        way = "" if kind not in ("polars", "arrow") else ": give rows.to_pandas()"
        raise PackError(f"CatBoost takes pandas frames and NumPy arrays; got {kind}{way}")
    trained = list(model.feature_names_)
    names = column_names(sample)
    if names is not None and trained != [str(index) for index in range(len(trained))]:
        original_names = {str(name): name for name in names}
        sample = select_columns(sample, [original_names.get(name, name) for name in trained])
    columns = [str(label) for label in sample.columns] if kind == "pandas" else []
    sample_rows = read_sample(sample, inputs, known=catboost_levels(model, columns))
    if len(sample_rows.fields) != len(trained):
        raise PackError(f"the model was trained with {len(trained)} columns; got {len(sample_rows.fields)}")
    return sample_rows


def _outputs(model: Any, answers: list[Array], rows: int) -> tuple[Field, ...]:
    if not isinstance(model, catboost.CatBoostClassifier):
        return (output_field("prediction", answers[0], rows),)
    classes = np.asarray(model.classes_).tolist()
    return label_field("label", answers[0], rows, classes), output_field(
        "probability", answers[1], rows, class_names(classes)
    )
