"""Run scikit-learn's fitted estimators and pipelines, stored without pickle where skops can hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, PackError, describe, shorten
from fourfold.plan.compile.library_class import replaced_method
from fourfold.runtimes.answers import Array, record_batch
from fourfold.runtimes.code import PackageCode
from fourfold.runtimes.culprit import describe_refusal
from fourfold.runtimes.declared import Declared, Inputs, declare
from fourfold.runtimes.engine import Prepared, library_versions
from fourfold.runtimes.levels import known_levels
from fourfold.runtimes.sample import Sample, column_names, frame_to_array, read_sample, select_columns
from fourfold.runtimes.sklearn.inspection import walk_parts
from fourfold.runtimes.sklearn.methods import METHODS, ROUNDING_GAP, OriginalAnswers, split_targets
from fourfold.runtimes.sklearn.patterns import check_texts
from fourfold.runtimes.sklearn.storage import PICKLE, SKOPS, StoredModel, check_storable, restore, store
from fourfold.runtimes.sources import module_name
from fourfold.runtimes.threads import ThreadGuard, thread_guard
from fourfold.runtimes.training_columns import FRAMES
from fourfold.signature.field import Field, Signature

__all__ = ["METHODS", "NAME", "load", "prepare"]

NAME = "sklearn"
_TEXTS = "texts"  # a list of strings: the only container that `tables` does not build


def prepare(
    model: Any,
    sample: Any,
    *,
    inputs: Inputs = None,
    methods: Sequence[str] | None = None,
    code: PackageCode | Sequence[Any] = (),
) -> Prepared:
    """Return what a package keeps of a fitted estimator or pipeline.

    Args:
        model: the estimator; it is not changed.
        sample: rows as the model was trained with them: a frame with its columns (others are ignored) or an array. For
            a model that begins with a text vectorizer, strings in a list, a Series, an array or a frame of one column.
        inputs: the input fields, or what is declared of some; inferred from the model and the sample by default.
        methods: names in `METHODS`, in the order of the outputs. By default `predict`, and `predict_proba` if it works;
            without both `transform`, or the first other method.
        code: Python files, and folders of packages, to carry besides the modules of the user's own that the model's
            classes and functions are in, and that these import. Or the code that the model was loaded with.

    Raises:
        PackError: the model is not fitted, lacks a method, does not answer the sample, gives two different answers to
            it, or cannot be stored; or the code that it needs cannot be carried.
        SignatureError: no inputs can be inferred from the sample.
    """
    _check_fitted(model)
    _check_methods(model)
    sample_rows = _read_sample(model, sample, declare(inputs))
    check_storable(model, code)
    guard = thread_guard()
    original = OriginalAnswers.ask(model, sample_rows.data, sample_rows.count, methods, guard, sample_rows.known)
    notes = _check_rebuilt(model, sample_rows, original, guard)
    stored = store(model, sample_rows.data, original, guard, code)
    methods_with_targets = zip(original.names, original.targets, strict=True)
    settings = {
        "form": sample_rows.form,
        "methods": [{"name": name, "targets": count} for name, count in methods_with_targets],
        "file": stored.file,
        "notes": [*notes, *stored.reasons],
        **({"code": list(stored.code)} if stored.code else {}),
        **({"versions": stored.versions} if stored.versions else {}),
    }
    libraries = _libraries(model, sample_rows.form, stored)
    requires: Literal["", "pickle"] = "pickle" if stored.file == PICKLE else ""
    files = {**stored.code, stored.file: stored.data}
    return Prepared(
        NAME,
        settings,
        files,
        sample_rows.fields,
        original.fields,
        requires,
        libraries,
        stored.distributions,
        sample_rows.origins,
    )


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> _Engine:
    """Return the engine of a package.

    Raises:
        TrustError: its file is a skops file with types that no host allows.
        CorruptPackage: its file is not what `prepare` wrote.
        PackageError: the estimator needs a module that is not installed.
    """
    file = PICKLE if settings["file"] == PICKLE else SKOPS
    code = PackageCode({name: read(name) for name in settings.get("code", ())}, settings.get("versions"))
    model = restore(file, read(file), code)
    methods = [(method["name"], method["targets"]) for method in settings["methods"]]
    if unknown := [name for name, _ in methods if name not in METHODS]:
        raise CorruptPackage(f"expected methods of {', '.join(METHODS)}; got {shorten(unknown[0])}")
    builder = _builder(settings["form"], signature.inputs)
    return _Engine(model, code, builder, methods, signature.outputs, thread_guard())


class _Engine:
    """Answer with an estimator."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(
        self,
        model: Any,
        code: PackageCode,
        build: Callable[[Any], Any],
        methods: Sequence[tuple[str, int | None]],
        outputs: tuple[Field, ...],
        guard: ThreadGuard,
    ) -> None:
        #: The estimator, which the certificate looks into to explain its answers.
        self.model = model
        self._code = code  # the model's classes are gone from `sys.modules` with this object
        self._build = build
        self._methods = [(getattr(model, name), targets) for name, targets in methods]
        self._outputs = outputs
        self._guard = guard

    def check_golden(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raise `CorruptPackage` where the texts of golden rows could take for ever."""
        check_texts(self.model, rows)

    def predict(self, batch: Any) -> Any:
        """Return the answers to a canonical record batch; raise `EngineError` where the model fails."""
        data = self._build(batch)
        answers: list[Array] = []
        try:
            with self._guard():
                for method, targets in self._methods:
                    answers.extend(split_targets(method(data), targets))
        # The estimator may be of the user's own class, and raise anything.
        except Exception as error:
            raise EngineError(f"the estimator failed: {describe_refusal(error, batch)}") from error
        try:
            return record_batch(self._outputs, answers, batch.num_rows)
        except EngineError:
            raise
        except Exception as error:  # answers may be objects of the user's own classes
            raise EngineError(f"the estimator's answer cannot be read: {describe(error)}") from error


def _builder(form: dict[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], Any]:
    if form["container"] == _TEXTS:
        return lambda batch: batch.column(0).to_pylist()
    return tables.builder(form, fields)


def _check_rebuilt(model: Any, sample: Sample, original: OriginalAnswers, guard: ThreadGuard) -> list[str]:
    """Check that the model answers a container that an engine builds as it answers the sample; return notes.

    Raises:
        PackError: the answers differ: the model uses something of the container that its description lacks.
    """
    if sample.form["container"] == _TEXTS:
        return []
    gap = original.gap(model, sample.rebuild(), guard)
    if gap > ROUNDING_GAP:
        raise PackError("the model answers otherwise when the sample is built again from its signature")
    return [f"the sample, built again, has answers that differ by a relative gap of up to {gap:.1e}"] if gap else []


def _check_fitted(model: Any) -> None:
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise PackError(f"the {type(model).__name__} is not fitted: fit it before it is packed") from error
    except TypeError as error:
        raise PackError(f"the {type(model).__name__} is no estimator: {error}") from error


def _check_methods(model: Any) -> None:
    """Check that the library's classes in a model have the library's methods; raise `PackError` where they have not."""
    for kind in {type(part) for part in walk_parts(model)}:
        if replaced := replaced_method(kind):
            raise PackError(f"{replaced}, which no package carries: put it into a class of your own")


def _read_sample(model: Any, sample: Any, inputs: Declared) -> Sample:
    """Return the sample in the container that the model was trained with."""
    if _takes_texts(model):
        return _text_sample(sample, inputs)
    columns = getattr(model, "feature_names_in_", None)
    count = getattr(model, "n_features_in_", None)
    if columns is not None:
        names = [str(name) for name in columns]
        sample_rows = read_sample(select_columns(sample, names), inputs, known=known_levels(model, names))
    elif count is not None and tables.kind_of(sample) in ("pandas", "polars", "arrow"):
        # The model knows no names, so it was trained with an array. The fields get the names of the frame.
        sample_rows = read_sample(frame_to_array(sample), inputs, [str(name) for name in column_names(sample) or ()])
    else:
        # A pipeline that begins with `passthrough` does not know its columns; its other steps may.
        names = [str(name) for name in column_names(sample) or ()] if tables.kind_of(sample) in FRAMES else []
        sample_rows = read_sample(sample, inputs, known=known_levels(model, names) if names else {})
    if count is not None and len(sample_rows.fields) != count:
        raise PackError(f"the {type(model).__name__} was trained with {count} columns; got {len(sample_rows.fields)}")
    return sample_rows


def _takes_texts(model: Any) -> bool:
    """Return whether the first step is a text vectorizer, which takes strings where all others take a table."""
    while True:
        if getattr(model, "steps", None):
            model = next((step for _, step in model.steps if step not in (None, "passthrough")), None)
        elif getattr(model, "transformer_list", None):
            model = model.transformer_list[0][1]
        elif (inner := _inner_estimator(model)) is not None:
            model = inner
        else:
            # A TfidfTransformer is of that module too, but takes counts; only vectorizers have `build_analyzer`.
            is_of_texts = any(cls.__module__ == "sklearn.feature_extraction.text" for cls in type(model).__mro__)
            return is_of_texts and hasattr(model, "build_analyzer")


def _inner_estimator(model: Any) -> Any:
    """Return the first estimator to which a meta-estimator passes its input; `None` where there is none."""
    if getattr(model, "calibrated_classifiers_", None):
        return model.calibrated_classifiers_[0].estimator
    estimators = getattr(model, "estimators_", None)
    if isinstance(estimators, (list, tuple)) and estimators:
        return estimators[0]
    return next(
        (vars(model)[name] for name in ("best_estimator_", "estimator_", "regressor_") if name in vars(model)), None
    )


def _text_sample(sample: Any, inputs: Declared) -> Sample:
    """Return a sample of one string a row, from a list, a Series, an array or a frame of one column."""
    name = "text"
    if tables.kind_of(sample) in ("pandas", "polars", "arrow"):
        names = column_names(sample) or []
        if len(names) != 1:
            raise PackError(f"the model takes one text a row: expected one column; got {', '.join(map(str, names))}")
        name, sample = str(names[0]), frame_to_array(sample)[:, 0]
    elif isinstance(getattr(sample, "name", None), str) and sample.name:
        name = sample.name
    texts = [str(text) if isinstance(text, np.str_) else text for text in sample]
    other = next((text for text in texts if not isinstance(text, str)), None)
    if other is not None or not texts:
        raise PackError(f"the model takes one text a row: expected strings; got {shorten(other) if texts else 'none'}")
    fields = inputs.fields if inputs.are_all else inputs.apply((Field(name, "string"),))
    if len(fields) != 1 or fields[0].dtype != "string" or fields[0].nullable:
        raise PackError("the model takes one text a row: expected one input, a string that is never missing")
    return Sample(texts, {"container": _TEXTS}, fields, len(texts))


def _libraries(model: Any, form: dict[str, Any], stored: StoredModel) -> dict[str, str]:
    """Return the versions of the libraries that compute the model's answers.

    Modules that are carried, and distributions that are checked when the package is loaded, are left out.
    """
    modules = {type(part).__module__ for part in walk_parts(model)} | set(stored.imported)
    checked = {module for record in stored.distributions.values() for module in record["modules"]}
    tops = {module.partition(".")[0] for module in modules}
    tops -= {module.partition(".")[0] for module in {*map(module_name, stored.code), *checked}}
    tops |= {"sklearn", "numpy", "scipy"} | ({"skops"} if stored.file == SKOPS else set())
    return library_versions(*tops, container=form["container"])
