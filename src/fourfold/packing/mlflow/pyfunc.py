"""Open MLflow's Python models: an object of the user's class, or of the user's loader.

The object is loaded here once, from the files in the model's directory, and its state is pickled. The package carries
this state, the user's modules, and a stand-in for the few names of MLflow that such a module imports.
"""

from __future__ import annotations

import bz2
import gzip
import inspect
import lzma
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fourfold.durable.reading import read_file
from fourfold.errors import CorruptPackage, FourfoldError, PackageError, PackError, TrustError, shorten
from fourfold.package.levels import Level
from fourfold.packing.mlflow.code_paths import check_code_size, read_code_paths
from fourfold.packing.mlflow.directory import ModelDirectory
from fourfold.packing.mlflow.signature import MlflowSignature
from fourfold.runtimes.code import PackageCode
from fourfold.runtimes.open_model import OpenedModel
from fourfold.runtimes.source_model import SourceModel
from fourfold.runtimes.sources import PREFIX

__all__ = ["PYFUNC", "open_pyfunc"]

PYFUNC = "python_function"
#: The module in a package that `stand_in.py` becomes.
_STAND_IN = "fourfold_stand_in"
#: The modules of MLflow that a model's own module may import; they lend the names of the stand-in.
_MLFLOW_MODULES = {
    "mlflow/__init__.py": (
        "from mlflow import models, pyfunc\n\n\n"
        "def __getattr__(name):\n"
        '    raise AttributeError(f"the package carries no MLflow, so there is no mlflow.{name}")\n'
    ),
    "mlflow/models/__init__.py": f"from {_STAND_IN} import set_model\n",
    "mlflow/models/signature.py": f"from {_STAND_IN} import Hints as _TypeHints\n",
    "mlflow/pyfunc/__init__.py": f"from {_STAND_IN} import Context as PythonModelContext, PythonModel\n",
    "mlflow/pyfunc/model.py": f"from {_STAND_IN} import Context as PythonModelContext, PythonModel\n",
}
_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "bzip2": bz2.decompress,
    "gzip": gzip.decompress,
    "lzma": lzma.decompress,
}
_ADVICE = (
    "Put its class into a file of its own and log that: python_model='model.py' with mlflow.models.set_model (models "
    "from code), or the object with code_paths=['model.py']"
)


def open_pyfunc(directory: ModelDirectory, signature: MlflowSignature | None, *, trust: Level | None) -> OpenedModel:
    """Open the Python model of a directory.

    Args:
        directory: the MLflow model.
        signature: its signature.
        trust: what it may do here, as in `open_mlflow`.

    Raises:
        TrustError: its code may not run here.
        PackError: the model cannot be loaded, or no package can carry it; the error says what to do.
    """
    settings = directory.flavors[PYFUNC]
    if trust not in (None, "code"):
        raise TrustError(
            f"the model {directory.path} is Python code of its maker, which runs when it is loaded. If you know where "
            "it comes from, allow it: trust='code', or --trust code on the command line"
        )
    if directory.data.get("is_signature_from_type_hint"):
        raise PackError(
            "the model's predict has a type hint that is no table, which MLflow converts rows to: a package has "
            "columns. Log it with a predict that takes a frame, without such a hint"
        )
    code = PackageCode(files := _source_files(directory, settings))
    try:
        user_model = _load(directory, settings, code)
        takes_context, takes_params = _predict_arguments(user_model)
        params = dict(signature.params) if signature and signature.params else None
        given = {"params": params} if takes_params else {}
        config = settings.get("config") or None
        model = code.get(_STAND_IN, "Model")(user_model, context=takes_context, model_config=config, given=given)
        notes = _notes(given.get("params"))
        return OpenedModel(SourceModel(model, files, code.pickle(model), _STAND_IN, "Model"), notes)
    except (PackageError, CorruptPackage) as error:
        text = str(error).replace("the package's", "the model's").replace("the package", "the model")
        raise PackError(f"{text}. The model {directory.path} is loaded without MLflow, from its own files") from error


def _notes(params: Mapping[str, Any] | None) -> tuple[str, ...]:
    if not params:
        return ()
    defaults = ", ".join(f"{name}={shorten(value, 40)}" for name, value in params.items())
    return (
        f"the parameters of the model keep the defaults of its signature ({defaults}): a package is given rows alone",
    )


def _source_files(directory: ModelDirectory, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the source files that the package carries: the model's own, and the stand-in for MLflow."""
    files = {f"{PREFIX}{name}": text.encode() for name, text in _MLFLOW_MODULES.items()}
    files[f"{PREFIX}{_STAND_IN}.py"] = Path(__file__).with_name("stand_in.py").read_bytes()
    model_files = read_code_paths(directory, settings)
    if settings.get("model_code_path"):
        # The path is that on the machine that logged the model; the file lies in the model's directory.
        path = directory.file(Path(str(settings["model_code_path"])).name, "its code")
        if path.suffix != ".py":
            raise PackError(f"the model's code is {path.name}; expected a Python file: save the notebook as one")
        model_files[f"{PREFIX}{path.name}"] = path.read_bytes()
    check_code_size(model_files)
    duplicates = sorted(model_files.keys() & files.keys())
    if duplicates:
        raise PackError(
            f"the model brings a file {duplicates[0].removeprefix(PREFIX)} of its own, in the place of MLflow's"
        )
    return dict(sorted({**files, **model_files}.items()))


def _load(directory: ModelDirectory, settings: Mapping[str, Any], code: PackageCode) -> Any:
    """Load the model's object and its artifacts."""
    if settings.get("model_code_path"):
        code.get(Path(str(settings["model_code_path"])).stem, "__name__")
        chosen = code.get(_STAND_IN, "chosen")
        if not chosen:
            raise PackError(
                f"{Path(str(settings['model_code_path'])).name} sets no model: mlflow.models.set_model(model)"
            )
        model = chosen[-1]
    elif settings.get("python_model"):
        model = code.unpickle(_read_pickle(directory, settings))
        getattr(model, "__dict__", {}).pop("_predict_type_hints", None)
    else:
        return _from_loader(directory, settings, code)
    artifacts = settings.get("artifacts") or {}
    paths = {str(name): str(directory.file(entry.get("path"), "an artifact")) for name, entry in artifacts.items()}
    if callable(getattr(model, "load_context", None)):
        try:
            model.load_context(code.get(_STAND_IN, "Context")(paths, settings.get("config")))
        except FourfoldError:
            raise
        except Exception as error:  # the user's code may raise anything
            raise PackError(
                f"the model's load_context fails: {type(error).__name__}: {shorten(str(error), 200)}"
            ) from error
    return model


def _from_loader(directory: ModelDirectory, settings: Mapping[str, Any], code: PackageCode) -> Any:
    """Call the user's loader with the model's data."""
    module = str(settings.get("loader_module") or "")
    if not code.has_module(module):
        raise PackError(
            f"the model is loaded by {shorten(module)}, which is not in its directory: log it with that in "
            "code_paths=[…]"
        )
    data = directory.file(settings["data"], "its data") if settings.get("data") else directory.path
    load = code.get(module, "_load_pyfunc")
    try:
        return load(str(data))
    except Exception as error:  # the user's code may raise anything
        raise PackError(f"{module}._load_pyfunc fails: {type(error).__name__}: {shorten(str(error), 200)}") from error


def _read_pickle(directory: ModelDirectory, settings: Mapping[str, Any]) -> bytes:
    """Return the bytes of the pickled model; refuse one that holds bytecode of classes or functions."""
    path = directory.file(settings["python_model"], "its Python model")
    try:
        data = read_file(path)
    except OSError as error:
        raise PackError(f"{path} cannot be read: {error.strerror or error}") from error
    compression = settings.get("python_model_compression")
    if compression:
        if compression not in _DECOMPRESSORS:
            raise PackError(
                f"{path} is compressed by {shorten(str(compression))}; expected one of {', '.join(_DECOMPRESSORS)}"
            )
        try:
            data = _DECOMPRESSORS[compression](data)
        except (EOFError, OSError, ValueError, lzma.LZMAError) as error:
            raise PackError(f"{path} cannot be decompressed: {error}") from error
    try:
        texts = {argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)}
    except Exception as error:  # pickletools may raise anything
        raise PackError(f"{path} is no pickle: {type(error).__name__}: {shorten(str(error), 120)}") from error
    if any(text.split(" ")[0].startswith("cloudpickle.") for text in texts):
        raise PackError(
            f"{path} holds a class or function of a script or notebook, as the bytecode of one version of Python and "
            f"not as its source, which a package carries. {_ADVICE}"
        )
    return data


def _predict_arguments(model: Any) -> tuple[bool, bool]:
    """Return whether `predict` takes a context before the rows, and whether it takes parameters by name.

    Raises:
        PackError: the model has no `predict`, or one that takes no table.
    """
    call = getattr(model, "predict", model)
    if not callable(call):
        raise PackError(f"the model's {type(model).__name__} has no predict")
    parameters = inspect.signature(call).parameters
    takes_params = "params" in parameters and hasattr(model, "predict")  # MLflow gives none to a plain function
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [argument for argument in parameters.values() if argument.kind in kinds and argument.name != "params"]
    required = [argument for argument in positional if argument.default is argument.empty]
    takes_context = "context" in [argument.name for argument in positional] or len(required) > 1
    rows = positional[1 if takes_context else 0 : 2 if takes_context else 1]
    hint = str(rows[0].annotation) if rows else ""
    if hint.startswith(("list", "List", "typing.List")):
        raise PackError(
            f"the model's predict takes {hint}, which MLflow makes of a column; a package gives it a table. Log a "
            "predict that takes a frame"
        )
    return takes_context, takes_params
