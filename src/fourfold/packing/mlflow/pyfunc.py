"""MLflow's own Python models: a class of somebody's in a module of the model, or what somebody's loader makes.

They are loaded here once, from the files in the model's directory, and their state is pickled; the package carries
that, their modules, and a stand-in for the few names of MLflow that such a module imports.
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

from fourfold.errors import CorruptPackage, FourfoldError, PackageError, PackError, TrustError, shorten
from fourfold.packing.mlflow.directory import Directory
from fourfold.packing.mlflow.schema import Schema
from fourfold.runtimes.code import PREFIX, PackageCode
from fourfold.runtimes.open_model import OpenedModel
from fourfold.runtimes.source_model import SourceModel

__all__ = ["PYFUNC", "open_pyfunc"]

PYFUNC = "python_function"
_STAND_IN = "fourfold_stand_in"
_LIMIT = 16 * 2**20
_ASIDE = "__pycache__"
#: The modules of MLflow that a model's own module imports, made of the stand-in.
_MODULES = {
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
_OPENERS: dict[str, Callable[[bytes], bytes]] = {
    "bzip2": bz2.decompress,
    "gzip": gzip.decompress,
    "lzma": lzma.decompress,
}
_ADVICE = (
    "Put its class into a file of its own and log that: python_model='model.py' with mlflow.models.set_model (models "
    "from code), or the object with code_paths=['model.py']"
)


def open_pyfunc(directory: Directory, schema: Schema | None, *, trust: bool) -> OpenedModel:
    """The Python model of a directory.

    Args:
        directory: the MLflow model.
        schema: its signature.
        trust: whether its code may run here.

    Raises:
        TrustError: it is not given.
        PackError: it cannot be loaded, or is of a kind that no package can carry; it says what to do.
    """
    settings = directory.flavors[PYFUNC]
    if not trust:
        raise TrustError(
            f"the model {directory.path} is Python code of its maker, which runs when it is loaded. If you know where "
            "it comes from, allow it: trust=True, or --trust on the command line"
        )
    if directory.data.get("is_signature_from_type_hint"):
        raise PackError(
            "the model's predict has a type hint that is no table, which MLflow converts rows to: a package has "
            "columns. Log it with a predict that takes a frame, without such a hint"
        )
    code = PackageCode(files := _code(directory, settings))
    try:
        found = _loaded(directory, settings, code)
        context, params = _taken(found)
        given = {"params": dict(schema.params) if schema and schema.params else None} if params else {}
        config = settings.get("config") or None
        model = code.get(_STAND_IN, "Model")(found, context=context, model_config=config, given=given)
        notes = _notes(given.get("params"))
        return OpenedModel(SourceModel(model, files, code.pickle(model), _STAND_IN, "Model"), notes)
    except (PackageError, CorruptPackage) as error:
        text = str(error).replace("the package's", "the model's").replace("the package", "the model")
        raise PackError(f"{text}. The model {directory.path} is loaded without MLflow, from its own files") from error


def _notes(params: Mapping[str, Any] | None) -> tuple[str, ...]:
    if not params:
        return ()
    said = ", ".join(f"{name}={shorten(value, 40)}" for name, value in params.items())
    return (f"the parameters of the model keep the defaults of its signature ({said}): a package is given rows alone",)


def _code(directory: Directory, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """The source files that the package carries: the model's own, and the stand-in."""
    files = {f"{PREFIX}{name}": text.encode() for name, text in _MODULES.items()}
    files[f"{PREFIX}{_STAND_IN}.py"] = Path(__file__).with_name("stand_in.py").read_bytes()
    own: dict[str, bytes] = {}
    if settings.get("code"):
        root = directory.file(settings["code"], "its code")
        for path in sorted(each for each in root.rglob("*.py") if _ASIDE not in each.parts):
            own[f"{PREFIX}{path.relative_to(root).as_posix()}"] = path.read_bytes()
    if settings.get("model_code_path"):
        # The path is that of the machine where the model was logged: the file lies in the directory.
        path = directory.file(Path(str(settings["model_code_path"])).name, "its code")
        if path.suffix != ".py":
            raise PackError(f"the model's code is {path.name}; expected a Python file: save the notebook as one")
        own[f"{PREFIX}{path.name}"] = path.read_bytes()
    if sum(map(len, own.values())) > _LIMIT:
        raise PackError(f"the model's code is more than {_LIMIT >> 20} MiB: log it with only the modules that it needs")
    twice = sorted(own.keys() & files.keys())
    if twice:
        raise PackError(f"the model brings a file {twice[0].removeprefix(PREFIX)} of its own, in the place of MLflow's")
    return dict(sorted({**files, **own}.items()))


def _loaded(directory: Directory, settings: Mapping[str, Any], code: PackageCode) -> Any:
    """The model's object, with its artifacts loaded."""
    if settings.get("model_code_path"):
        code.get(Path(str(settings["model_code_path"])).stem, "__name__")
        chosen = code.get(_STAND_IN, "chosen")
        if not chosen:
            raise PackError(
                f"{Path(str(settings['model_code_path'])).name} sets no model: mlflow.models.set_model(model)"
            )
        found = chosen[-1]
    elif settings.get("python_model"):
        found = code.unpickle(_pickle(directory, settings))
        getattr(found, "__dict__", {}).pop("_predict_type_hints", None)
    else:
        return _from_loader(directory, settings, code)
    artifacts = settings.get("artifacts") or {}
    paths = {str(name): str(directory.file(each.get("path"), "an artifact")) for name, each in artifacts.items()}
    if callable(getattr(found, "load_context", None)):
        try:
            found.load_context(code.get(_STAND_IN, "Context")(paths, settings.get("config")))
        except FourfoldError:
            raise
        except Exception as error:  # code of anybody's
            raise PackError(
                f"the model's load_context fails: {type(error).__name__}: {shorten(str(error), 200)}"
            ) from error
    return found


def _from_loader(directory: Directory, settings: Mapping[str, Any], code: PackageCode) -> Any:
    """What the loader of the model's own makes of its data."""
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
    except Exception as error:  # code of anybody's
        raise PackError(f"{module}._load_pyfunc fails: {type(error).__name__}: {shorten(str(error), 200)}") from error


def _pickle(directory: Directory, settings: Mapping[str, Any]) -> bytes:
    """The bytes of the pickled model, which names every class that it is of."""
    path = directory.file(settings["python_model"], "its Python model")
    data = path.read_bytes()
    packed = settings.get("python_model_compression")
    if packed:
        if packed not in _OPENERS:
            raise PackError(f"{path} is compressed by {shorten(str(packed))}; expected one of {', '.join(_OPENERS)}")
        try:
            data = _OPENERS[packed](data)
        except (EOFError, OSError, ValueError, lzma.LZMAError) as error:
            raise PackError(f"{path} cannot be decompressed: {error}") from error
    try:
        texts = {argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)}
    except Exception as error:  # pickletools raises whatever its readers do
        raise PackError(f"{path} is no pickle: {type(error).__name__}: {shorten(str(error), 120)}") from error
    if any(text.split(" ")[0].startswith("cloudpickle.") for text in texts):
        raise PackError(
            f"{path} holds a class or function of a script or notebook, as the bytecode of one version of Python and "
            f"not as its source, which a package carries. {_ADVICE}"
        )
    return data


def _taken(model: Any) -> tuple[bool, bool]:
    """Whether `predict` takes a context before the rows, and parameters by name.

    Raises:
        PackError: there is no `predict`, or it takes anything but a table.
    """
    call = getattr(model, "predict", model)
    if not callable(call):
        raise PackError(f"the model's {type(model).__name__} has no predict")
    parameters = inspect.signature(call).parameters
    params = "params" in parameters and hasattr(model, "predict")  # a function is given none
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [each for each in parameters.values() if each.kind in kinds and each.name != "params"]
    names = [each.name for each in positional]
    context = "context" in names or len([each for each in positional if each.default is each.empty]) > 1
    rows = positional[1 if context else 0 : 2 if context else 1]
    hint = str(rows[0].annotation) if rows else ""
    if hint.startswith(("list", "List", "typing.List")):
        raise PackError(
            f"the model's predict takes {hint}, which MLflow makes of a column; a package gives it a table. Log a "
            "predict that takes a frame"
        )
    return context, params
