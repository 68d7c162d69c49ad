"""scikit-learn: any fitted estimator or pipeline, without pickle where skops can hold it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from fourfold import tables
from fourfold.errors import CorruptPackage, EngineError, PackError, TrustError, shorten
from fourfold.runtimes.answers import Array, record_batch
from fourfold.runtimes.detection import sklearn as claims
from fourfold.runtimes.engine import Prepared, versions
from fourfold.runtimes.sample import Sample, as_array, names_of, select, study
from fourfold.runtimes.sklearn.inspection import reachable
from fourfold.runtimes.sklearn.methods import CLOSE, METHODS, Asked, split
from fourfold.runtimes.sklearn.storage import PICKLE, SKOPS, restore, store
from fourfold.runtimes.threads import OneThread, one_thread
from fourfold.signature.field import Field, Signature

__all__ = ["METHODS", "NAME", "claims", "load", "prepare"]

NAME = "sklearn"
_TEXTS = "texts"  # a list of strings: the one form that is no table's


def prepare(
    model: Any,
    sample: Any,
    *,
    inputs: tuple[Field, ...] | None = None,
    methods: Sequence[str] | None = None,
) -> Prepared:
    """A fitted estimator made ready for a package.

    Args:
        model: the estimator or pipeline; it is not changed.
        sample: rows as it was trained with them: a frame with its columns (others are left out), an array, or, where
            it begins with a text vectorizer, strings in a list, a Series, an array or a frame of one column.
        inputs: the fields that go in, where they shall not be inferred from the sample.
        methods: of `METHODS`, in the order of the outputs; left out, `predict`, and `predict_proba` where there is
            one, or `transform` where the estimator does nothing else.

    Raises:
        PackError: it is not fitted, lacks a method, does not answer the sample, answers it with another bit each
            time, or cannot be stored.
        SignatureError: no inputs can be inferred from the sample.
    """
    _check_fitted(model)
    seen = _sample(model, sample, inputs)
    guard = one_thread()
    asked = Asked.of(model, seen.data, seen.rows, methods, guard)
    notes = _rebuilt(model, seen, asked, guard)
    stored = store(model, seen.data, asked, guard)
    settings = {
        "form": seen.form,
        "methods": [{"name": name, "targets": count} for name, count in zip(asked.names, asked.targets, strict=True)],
        "file": stored.file,
        "notes": [*notes, *stored.reasons],
    }
    libraries = _libraries(model, seen.form, stored.file)
    requires: Literal["", "pickle"] = "pickle" if stored.file == PICKLE else ""
    return Prepared(NAME, settings, {stored.file: stored.data}, seen.fields, asked.fields, requires, libraries)


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> _Engine:
    """The estimator of a package.

    Raises:
        TrustError: it is a pickle and the host has not allowed that, or a skops file with types that no host allows.
        CorruptPackage: its file is not what `prepare` wrote.
        PackageError: it needs a module that is not installed here.
    """
    file = PICKLE if settings["file"] == PICKLE else SKOPS
    if file == PICKLE and not trust:
        raise TrustError(
            "the package holds a pickle, which runs its maker's code when it is loaded, because skops could not hold "
            f"the model: {'; '.join(settings['notes'])}. A host that knows where the package comes from allows it: "
            "trust=True, or --trust on the command line"
        )
    model = restore(file, read(file))
    methods = [(each["name"], each["targets"]) for each in settings["methods"]]
    if unknown := [name for name, _ in methods if name not in METHODS]:
        raise CorruptPackage(f"expected methods of {', '.join(METHODS)}; got {shorten(unknown[0])}")
    return _Engine(model, _builder(settings["form"], signature.inputs), methods, signature.outputs, one_thread())


class _Engine:
    """An estimator that answers."""

    takes: Literal["rows", "columns"] = "columns"

    def __init__(
        self,
        model: Any,
        build: Callable[[Any], Any],
        methods: Sequence[tuple[str, int | None]],
        outputs: tuple[Field, ...],
        guard: OneThread,
    ) -> None:
        #: The estimator, for whoever explains its answers.
        self.model = model
        self._build = build
        self._methods = [(getattr(model, name), targets) for name, targets in methods]
        self._outputs = outputs
        self._guard = guard

    def predict(self, batch: Any) -> Any:
        """Answer every row of a canonical record batch; raises `EngineError`."""
        data = self._build(batch)
        answers: list[Array] = []
        try:
            with self._guard():
                for method, targets in self._methods:
                    answers.extend(split(method(data), targets))
        # An estimator may be anybody's, and raise anything.
        except Exception as error:
            raise EngineError(f"the estimator failed: {type(error).__name__}: {error}") from error
        return record_batch(self._outputs, answers, batch.num_rows)


def _builder(form: dict[str, Any], fields: tuple[Field, ...]) -> Callable[[Any], Any]:
    if form["container"] == _TEXTS:
        return lambda batch: batch.column(0).to_pylist()
    return tables.builder(form, fields)


def _rebuilt(model: Any, seen: Sample, asked: Asked, guard: OneThread) -> list[str]:
    """Ask the model about the sample as an engine builds it; what a person should know about its answers.

    Raises:
        PackError: they are others, so the model sees something in the container that its form does not say.
    """
    if seen.form["container"] == _TEXTS:
        return []
    apart = asked.gap(model, seen.rebuilt(), guard)
    if apart > CLOSE:
        raise PackError("the model answers otherwise when the sample is built again from its signature")
    return [f"the sample, built again, has answers that differ by a relative gap of up to {apart:.1e}"] if apart else []


def _check_fitted(model: Any) -> None:
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise PackError(f"the {type(model).__name__} is not fitted: fit it before it is packed") from error
    except TypeError as error:
        raise PackError(f"the {type(model).__name__} is no estimator: {error}") from error


def _sample(model: Any, sample: Any, inputs: tuple[Field, ...] | None) -> Sample:
    """The sample in the container that the model was trained with."""
    if _takes_texts(model):
        return _text_sample(sample, inputs)
    columns = getattr(model, "feature_names_in_", None)
    count = getattr(model, "n_features_in_", None)
    if columns is not None:
        seen = study(select(sample, [str(name) for name in columns]), inputs)
    elif count is not None and tables.kind_of(sample) in ("pandas", "polars", "arrow"):
        # It never saw names, so it was trained with an array. The frame's names are good ones for the fields all the
        # same.
        seen = study(as_array(sample), inputs, [str(name) for name in names_of(sample) or ()])
    else:
        seen = study(sample, inputs)
    if count is not None and len(seen.fields) != count:
        raise PackError(f"the {type(model).__name__} was trained with {count} columns; got {len(seen.fields)}")
    return seen


def _takes_texts(model: Any) -> bool:
    """Whether the first thing that happens is a vectorizer, which takes strings where all others take a table."""
    while True:
        if getattr(model, "steps", None):
            model = next((step for _, step in model.steps if step not in (None, "passthrough")), None)
        elif getattr(model, "transformer_list", None):
            model = model.transformer_list[0][1]
        elif (inside := _inside(model)) is not None:
            model = inside
        else:
            # A TfidfTransformer is of that module, and takes counts.
            of_texts = any(cls.__module__ == "sklearn.feature_extraction.text" for cls in type(model).__mro__)
            return of_texts and hasattr(model, "build_analyzer")


def _inside(model: Any) -> Any:
    """The first of the estimators that one holds which hands them what it is given; `None` where it holds none."""
    if getattr(model, "calibrated_classifiers_", None):
        return model.calibrated_classifiers_[0].estimator
    parts = getattr(model, "estimators_", None)
    if isinstance(parts, (list, tuple)) and parts:
        return parts[0]
    return next(
        (vars(model)[name] for name in ("best_estimator_", "estimator_", "regressor_") if name in vars(model)), None
    )


def _text_sample(sample: Any, inputs: tuple[Field, ...] | None) -> Sample:
    name = "text"
    if tables.kind_of(sample) in ("pandas", "polars", "arrow"):
        names = names_of(sample) or []
        if len(names) != 1:
            raise PackError(f"the model takes one text a row: expected one column; got {', '.join(map(str, names))}")
        name, sample = str(names[0]), as_array(sample)[:, 0]
    elif isinstance(getattr(sample, "name", None), str) and sample.name:
        name = sample.name
    texts = [str(each) if isinstance(each, np.str_) else each for each in sample]
    strange = next((each for each in texts if not isinstance(each, str)), None)
    if strange is not None or not texts:
        raise PackError(
            f"the model takes one text a row: expected strings; got {shorten(strange) if texts else 'none'}"
        )
    fields = (Field(name, "string"),) if inputs is None else tuple(inputs)
    if len(fields) != 1 or fields[0].dtype != "string" or fields[0].nullable:
        raise PackError("the model takes one text a row: expected one input, a string that is never missing")
    return Sample(texts, {"container": _TEXTS}, fields, len(texts))


def _libraries(model: Any, form: dict[str, Any], file: str) -> dict[str, str]:
    inside = {type(part).__module__.partition(".")[0] for part in reachable(model)}
    ours = {"sklearn", "numpy", "scipy"} | ({"skops"} if file == SKOPS else set())
    return versions(*inside, *ours, container=form["container"])
