"""Name what exists where somebody types a name that other libraries have, and this one does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from fourfold.errors import MissingLibrary, missing_library

__all__ = ["OF_MODULE", "OF_PACKAGE", "OF_PREDICTOR", "OF_REPOSITORY", "NamesWhatExists", "missing", "without_library"]

#: The extras of the libraries of models.
_MODEL_EXTRAS = ("sklearn", "lightgbm", "xgboost", "catboost")

_ANSWER = "load a package and call it: fourfold.load('eta.fourfold').predict(frame)"
_SAVE = "package.save('eta.fourfold') writes a package; fourfold.push(package, repository=…) stores it as a version"
_LOAD = "fourfold.load('eta.fourfold') is a predictor, ready to answer; fourfold.open('eta.fourfold') is the package"
_PACK = "fourfold.pack(model, name='eta', rows=frame) makes a package"
_PUSH = "fourfold.push(package, repository=…) stores a package as the next version of its model"
_PULL = "fourfold.pull('eta@production', repository=…) fetches a package; to='eta.fourfold' writes it there, too"
_PROMOTE = "fourfold.promote('eta:1', 'production', repository=…) points an alias at a version"
_LIST = "fourfold.list(repository=…) lists models with their versions and aliases"
_SHOW = "fourfold.show('eta.fourfold') prints what a package holds"
_CERTIFY = "fourfold.certify(package, rows=frame) compares the answers of the four architectures"
_MOUNT = "fourfold.embed.mount(app, predictor, '/eta') adds a route to a Flask, FastAPI or Starlette app"
_SERVE = f"`fourfold serve eta.fourfold` on the command line is a service; {_MOUNT}"
_REPOSITORY = "fourfold.Repository.open('models/') is a folder or a bucket; $FOURFOLD_REPOSITORY names the default"
_COMMAND = "`fourfold {}` on the command line does that"
_METHODS = "where the model was packed with methods=('predict', '{0}'), predict answers it as an output of its own"
_FEATURES = "[field.name for field in predictor.inputs] are the names of the inputs"
_ENGINE = "a package holds an engine, not the estimator; predictor.engine is what computes"
_FIXED = "a package never changes: train the model again and pack it anew with fourfold.pack"
_SIGNATURE = "the declared fields are .inputs and .outputs, together .signature"
_MANIFEST = "what the package says of itself is package.manifest"


def _each(names: str, text: str) -> dict[str, str]:
    """Return the same text for every name of a line, with the name in it where it has braces."""
    return {name: text.format(name) for name in names.split()}


#: What exists instead, by the name that was typed, as an attribute of `fourfold`.
OF_MODULE: Mapping[str, str] = {
    **_each("predict predict_one predict_proba predict_batch infer score transform", _ANSWER),
    **_each("save save_model save_package dump write write_package to_file", _SAVE),
    **_each("load_model load_package open_package open_model read get get_model from_file restore", _LOAD),
    **_each("build create wrap convert compile bundle from_sklearn package_model save_estimator", _PACK),
    **_each("log_model register register_model publish upload store", _PUSH),
    **_each("download fetch download_model", _PULL),
    **_each("alias set_alias tag transition set_registered_model_alias", _PROMOTE),
    **_each("models list_models search_models ls versions list_versions", _LIST),
    **_each("describe info inspect summary print", _SHOW),
    **_each("verify validate check", _CERTIFY),
    **_each("mount flask fastapi router", _MOUNT),
    **_each("serve deploy run Service Server App start", _SERVE),
    **_each("Model Registry Client Store connect registry set_tracking_uri set_repository", _REPOSITORY),
    **_each("doctor why", _COMMAND),
    **_each("version VERSION", "fourfold.__version__"),
}
#: The same of packages.
OF_PACKAGE: Mapping[str, str] = {
    **_each("predict predict_one predict_proba infer score transform run", "fourfold.load(package).predict(frame)"),
    **_each("load open to_predictor predictor", "fourfold.load(package) is a predictor, ready to answer"),
    **_each("write dump to_file export to_disk save_to", "package.save('eta.fourfold') writes it"),
    **_each("push publish upload register log", "fourfold.push(package, repository=…) stores it as a version"),
    **_each("promote alias tag", f"push it, then promote: {_PROMOTE}"),
    **_each("version versions aliases", "versions are numbered by a repository: fourfold.list(repository=…) has them"),
    **_each("show describe info summary print", "fourfold.show(package) prints what it holds"),
    **_each("certify validate check test", "fourfold.certify(package, rows=frame) compares the four architectures"),
    **_each("serve deploy mount", _SERVE),
    **_each("schema input_schema output_schema fields columns", _SIGNATURE),
    **_each("metadata meta info_dict config engines exactness provenance golden runtime", _MANIFEST),
    **_each("files", "package.names lists the files, package.read(name) reads one"),
    **_each("model estimator engine", "fourfold.load(package).engine is what computes"),
    **_each("id hash sha256 fingerprint", "package.digest"),
}
#: The same of predictors.
OF_PREDICTOR: Mapping[str, str] = {
    **_each("transform infer run invoke forward predict_batch predict_many map", "predictor.predict(frame)"),
    **_each("predict_row predict_single", "predictor.predict_one({{…}})"),
    **_each("score evaluate", "predictor.predict(frame) answers; compare the answers with the metric of your choice"),
    **_each("predict_log_proba decision_function predict_std score_samples apply", _METHODS),
    **_each("fit partial_fit train fit_transform fit_predict set_params update", _FIXED),
    **_each("classes_ labels class_names", "predictor.classes are the classes of predict_proba's columns"),
    **_each("feature_names feature_names_in_ feature_name_ feature_name columns", _FEATURES),
    **_each("n_features_in_ n_features n_features_", "len(predictor.inputs) is the number of inputs"),
    **_each("coef_ intercept_ feature_importances_ steps named_steps get_params model estimator booster", _ENGINE),
    **_each("schema input_schema output_schema fields", _SIGNATURE),
    **_each("metadata meta manifest config", "what the package says of itself is predictor.package.manifest"),
    **_each("save dump write export to_file", "predictor.package.save('eta.fourfold') writes its package"),
    **_each("push publish upload register", "fourfold.push(predictor.package, repository=…) stores its package"),
    **_each("show describe info summary", "fourfold.show(predictor.package) prints what it holds"),
    **_each("certify validate check", "fourfold.certify(predictor, rows=frame) compares the four architectures"),
    **_each("serve deploy mount", "fourfold.embed.mount(app, predictor, '/eta'), or `fourfold serve` of its package"),
    **_each("explain why", "`fourfold why ROW` on the command line says where two engines part"),
    **_each("warmup warm_up", "loading has replayed the golden rows: it is warm"),
    **_each("close unload", "there is nothing to close: forget it"),
    **_each("reload refresh", "fourfold.load('eta@production') again: an alias may have moved, a predictor never does"),
}
#: The same of repositories.
OF_REPOSITORY: Mapping[str, str] = {
    **_each("load predictor load_model", "fourfold.load('eta@production', repository=repository)"),
    **_each("list list_models ls search all", "repository.models() lists models with their versions and aliases"),
    **_each("versions aliases list_versions", "repository.model('eta') has versions and aliases"),
    **_each("get fetch download read", "repository.pull('eta@production')"),
    **_each("upload add put save register publish store", "repository.push(package)"),
    **_each("alias set_alias tag transition", "repository.promote('eta:1', 'production')"),
    **_each("delete remove unpublish", "nothing is deleted: see 'does not do' in docs/repository.md"),
    **_each("path location uri", "repository.url"),
}


def missing(owner: str, name: str, instead: Mapping[str, str]) -> AttributeError | None:
    """Return the error for a name that is not there, `None` where nothing is known to exist instead."""
    text = instead.get(name)
    return None if text is None else AttributeError(f"{owner} has no {name!r}: {text}")


def without_library(name: str, error: ModuleNotFoundError | MissingLibrary) -> Callable[..., NoReturn]:
    """Return what stands for a public function whose libraries are not installed: it says so when it is called.

    Args:
        name: the function's name.
        error: why its module cannot be imported; raised where no extra brings what is missing.
    """
    absent = error if isinstance(error, MissingLibrary) else missing_library(error, f"fourfold.{name}")
    if absent is None:
        raise error

    def function(*arguments: Any, **_: Any) -> NoReturn:
        extra = absent.extra
        if name == "pack" and arguments:  # what packs a model installs all that packing needs
            model_library = type(arguments[0]).__module__.partition(".")[0]
            extra = model_library if model_library in _MODEL_EXTRAS else "python"
        raise MissingLibrary(absent.library, extra=extra, purpose=f"fourfold.{name}") from error

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Raise `MissingLibrary`: {absent.library} is not installed."
    return function


class NamesWhatExists:
    """Say in the error for an attribute that is not there what exists instead: `_INSTEAD` of a class, by name."""

    _INSTEAD: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # to a type checker every name would exist

        def __getattr__(self, name: str) -> Any:
            error = missing(f"a {type(self).__name__}", name, self._INSTEAD)
            if error is not None:
                raise error
            # Fail as Python does: also where a property is there, and what it computes raised the first error.
            return object.__getattribute__(self, name)
