"""Store an estimator as a skops file where skops can hold it, otherwise as a pickle, and restore it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any

from fourfold.errors import CorruptPackage, PackError, describe, shorten
from fourfold.runtimes.code import PackageCode, public_names
from fourfold.runtimes.distributions import Environment, record_distributions
from fourfold.runtimes.file_reads import refuse_file_reads
from fourfold.runtimes.sklearn import skops_file
from fourfold.runtimes.sklearn.inspection import set_one_thread
from fourfold.runtimes.sklearn.methods import ROUNDING_GAP, OriginalAnswers
from fourfold.runtimes.sources import collect_own_modules, module_name
from fourfold.runtimes.threads import ThreadGuard
from fourfold.runtimes.unchanged import check_unchanged

__all__ = ["PICKLE", "SKOPS", "StoredModel", "check_storable", "restore", "store"]

#: The names of the files in a package.
SKOPS, PICKLE = "model.skops", "model.pickle"
_SHOWN_MODULES = 5


@dataclass(frozen=True)
class StoredModel:
    """Hold the file of a model.

    Attributes:
        file: the file's name.
        data: the file's bytes.
        reasons: why the file is a pickle, and what else the user should know about it.
        gap: the relative gap between the answers of the stored model and of the original.
        code: the source files of the user's modules that a pickle needs, by their names in the package.
        imported: the names of the other modules that the pickle and this code import.
        distributions: the installed distributions among these, as the manifest records them.
        versions: the versions of the user's own distributions that this code asks for.
    """

    file: str
    data: bytes
    reasons: tuple[str, ...]
    gap: float
    code: dict[str, bytes] = field(default_factory=dict)
    imported: tuple[str, ...] = ()
    distributions: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def store(
    model: Any,
    rows: Any,
    original: OriginalAnswers,
    guard: ThreadGuard,
    code: PackageCode | Sequence[Any] = (),
) -> StoredModel:
    """Return the model as a skops file if that gives the same bits once it is loaded again, otherwise as a pickle.

    Args:
        model: the estimator.
        rows: the rows that it was asked about, in the container that it takes.
        original: its answers.
        guard: holds the estimator to one thread.
        code: files and folders of code to carry besides the user's modules that the model's classes are in; or the
            code that the model was loaded with, which is then carried as it is.

    Raises:
        PackError: neither file holds the model, or gives its answers again.
    """
    skops = _as_skops(model, rows, original, guard)
    if isinstance(skops, StoredModel) and not skops.gap:
        return skops
    reason = public_names(skops) if isinstance(skops, str) else "its answers differ once it is loaded again"
    pickled = _as_pickle(model, rows, original, guard, reason, code)
    if not pickled.gap:
        return pickled
    # For example, neither keeps the memory order of the model's arrays, on which the last bits of a BLAS depend.
    best = skops if isinstance(skops, StoredModel) and skops.gap <= pickled.gap else pickled
    if best.gap > ROUNDING_GAP:
        raise PackError(f"the {type(model).__name__} gives other answers once it is stored and loaded again")
    note = f"loaded again, its answers differ from the original's by a relative gap of up to {best.gap:.1e}"
    return replace(best, reasons=(*best.reasons, note))


def check_storable(model: Any, code: PackageCode | Sequence[Any] = ()) -> None:
    """Raise `PackError` where neither skops nor pickle holds a model; nothing of the model is asked for that.

    A model that came with code of its own was unpickled with it, and can be pickled again.
    """
    if isinstance(code, PackageCode):
        return
    trial = _Trial()
    try:
        trial.dump(model)
    except Exception:  # noqa: BLE001  # `__getstate__` of the user's classes may raise anything; the file's error says more
        is_doubtful = True
    else:
        is_doubtful = bool(trial.scripts)
    if is_doubtful:
        skops = _dump_skops(model)
        if isinstance(skops, str):
            _own_code(model, _dump_pickle(model, public_names(skops), code), code)


class _Trial(pickle.Pickler):
    """Pickle a model without keeping a byte, and note what of it a script or notebook defines."""

    def __init__(self) -> None:
        super().__init__(self, protocol=5)
        self.scripts: set[str] = set()

    def write(self, data: Any) -> int:
        """Take bytes of the pickle, as a file does."""
        return len(data)

    def reducer_override(self, value: Any) -> Any:
        """Note a class or function of a script; pickle everything as usual."""
        kind = value if isinstance(value, (type, FunctionType)) else type(value)
        if kind.__module__ in ("__main__", "__mp_main__"):
            self.scripts.add(kind.__qualname__)
        return NotImplemented


def _dump_skops(model: Any) -> bytes | str:
    """Return the bytes of a skops file, or the reason why the model cannot be one."""
    try:
        data = skops_file.dumps(model)
        refused_names = skops_file.refused_names(data)
    # skops walks through everything that the estimator holds, and may raise anything; pickle is tried next.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {shorten(str(error), 200)}"
    return f"it has {', '.join(refused_names)}" if refused_names else data


def _dump_pickle(model: Any, reason: str, code: PackageCode | Sequence[Any]) -> bytes:
    """Return the model as a pickle; raise `PackError`, with the reason why it is none of skops, where that fails."""
    try:
        return code.pickle(model) if isinstance(code, PackageCode) else pickle.dumps(model, protocol=5)
    # `__getstate__` of the user's classes may raise anything.
    except Exception as error:
        raise PackError(
            f"the {type(model).__name__} cannot be stored: skops: {reason}; pickle: {error}. Lambdas and functions "
            "inside of functions, and what a script or notebook defines, cannot be; put them at the top of a module"
        ) from error


def _as_skops(model: Any, rows: Any, original: OriginalAnswers, guard: ThreadGuard) -> StoredModel | str:
    """Return the model as a skops file, or the reason why it cannot be one."""
    data = _dump_skops(model)
    if isinstance(data, str):
        return data
    try:
        return StoredModel(SKOPS, data, (), original.gap(restore(SKOPS, data), rows, guard))
    except Exception as error:  # noqa: BLE001  # what skops restored may be anything; pickle is tried next
        return f"{type(error).__name__}: {shorten(str(error), 200)}"


class _Unpickler(pickle.Unpickler):
    """Load a pickle, and remember the names that it imports."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return super().find_class(module, name)


def _as_pickle(
    model: Any,
    rows: Any,
    original: OriginalAnswers,
    guard: ThreadGuard,
    reason: str,
    code: PackageCode | Sequence[Any],
) -> StoredModel:
    """Return the model as a pickle with the code that it needs, with the reason why it is none of skops.

    Raises:
        PackError: the pickle or the code cannot be stored, or the code reads files.
    """
    kind = type(model).__name__
    data = _dump_pickle(model, reason, code)
    files = code.files if isinstance(code, PackageCode) else _own_code(model, data, code)
    package_code = PackageCode(files)
    with refuse_file_reads(package_code.name, map(module_name, files)):
        try:
            copy = package_code.unpickle(data)
            set_one_thread(copy)
            gap = original.gap(copy, rows, guard)
        except Exception as error:  # the model's own code may raise anything
            raise PackError(
                f"the {kind} does not answer once it is loaded with the code that the package carries "
                f"({_describe(files) or 'none'}), which finds no files beside it and no modules by looking into "
                f"folders: {type(error).__name__}: {public_names(str(error))}"
            ) from error
    imported = tuple(sorted(package_code.foreign_imports))
    distributions = record_distributions(imported, Environment())
    needs = [f"it carries the code of {_describe(files)}"] if files else []
    needs += [f"it needs {name} {record['version']} on its host" for name, record in distributions.items()]
    return StoredModel(PICKLE, data, (reason, *needs), gap, dict(files), imported, distributions, package_code.versions)


def _own_code(model: Any, data: bytes, paths: Sequence[Any]) -> dict[str, bytes]:
    """Return the source files of the user's modules that a pickle names, and of what these import.

    Raises:
        PackError: a module is a script, or has no source; or the pickle cannot be loaded.
    """
    loader = _Unpickler(data)
    try:
        loader.load()
    except Exception as error:  # `__setstate__` of the user's classes may raise anything
        raise PackError(f"the {type(model).__name__} cannot be loaded from its pickle: {error}") from error
    script_names = sorted(name for module, name in loader.names if module in ("__main__", "__mp_main__"))
    if script_names:
        raise PackError(
            f"{', '.join(script_names)} is defined in __main__, which no other process has: put it in a module"
        )
    modules = {module for module, _ in loader.names}
    files = collect_own_modules(modules, paths, Environment())
    check_unchanged(files)
    return files


def _describe(files: Iterable[str]) -> str:
    """Return the modules of source files, the first of them, for a message."""
    modules = [module_name(file) for file in files]
    return ", ".join(modules[:_SHOWN_MODULES]) + (
        f" and {len(modules) - _SHOWN_MODULES} more" if len(modules) > _SHOWN_MODULES else ""
    )


def restore(file: str, data: bytes, code: PackageCode | None = None) -> Any:
    """Return the estimator in a file, set to one thread. A pickle runs code: the caller checks the host's trust.

    Args:
        file: the file's name.
        data: its bytes.
        code: the code that the package carries, if any, where a pickle finds its classes first.

    Raises:
        TrustError: a skops file holds types that no host allows.
        CorruptPackage: the file is not what `store` wrote.
        PackageError: the estimator needs a module that is neither carried nor installed.
    """
    model = (code or PackageCode({})).unpickle(data) if file == PICKLE else skops_file.loads(data)
    try:
        set_one_thread(model)
    except Exception as error:  # an estimator that lacks a parameter cannot say which it has
        raise CorruptPackage(f"the model lacks a parameter: {describe(error)}") from error
    return model
