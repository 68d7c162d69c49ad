"""Define the contract of an engine: what a runtime puts into a package, and what answers once the package is loaded.

A runtime is a module of this room with the names of `Runtime`. Its `prepare` turns a trained model into `Prepared`,
which `pack` writes into a package; its `load` turns the same settings and files into an `Engine`. An engine is pure and
exact: the same rows get the same bits in every call, in every process and on every thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from fourfold.runtimes.declared import Inputs
from fourfold.signature.field import Field, Signature

__all__ = [
    "CheckingEngine",
    "DirectEngine",
    "Engine",
    "OpenedModel",
    "Prepared",
    "Runtime",
    "StoppableEngine",
    "installed_version",
    "library_versions",
]

# Modules whose project has another name.
_PROJECTS = {"sklearn": "scikit-learn"}


class Engine(Protocol):
    """Represent a loaded model: a pure function from a canonical table to a canonical table.

    Canonical tables hold exactly the signature's fields, coerced to their dtypes. Any number of threads may call
    `predict` at once; each call computes on one thread.

    Attributes:
        takes: the form of the tables that go in and come out: `rows`, lists of dicts; `columns`, a
            `pyarrow.RecordBatch`; or `either`. An engine that takes `either` is a `DirectEngine`, and checks when it is
            made that its outputs are the signature's.
    """

    @property
    def takes(self) -> Literal["rows", "columns", "either"]:
        """Return the form of table that `predict` takes and returns."""
        ...

    def predict(self, table: Any) -> Any:
        """Return the answer to every row.

        Args:
            table: a canonical table of the signature's inputs, of at least one row.

        Returns:
            A canonical table of the signature's outputs, of as many rows in the same order; a `pyarrow.RecordBatch` has
            exactly the outputs' Arrow schema.

        Raises:
            EngineError: the model failed, or answered with another shape or dtype than when it was packed.
        """
        ...


@runtime_checkable
class DirectEngine(Engine, Protocol):
    """Represent an engine that also answers rows as callers have them, where these need no coercion."""

    @property
    def one(self) -> Callable[[Any], dict[str, Any] | None]:
        """Return a function that answers one row; it returns `None` where the row must be coerced first."""
        ...

    def many(self, rows: list[Any]) -> list[dict[str, Any]] | None:
        """Return the answer to every row, or `None` where one of them must be coerced first."""
        ...


@runtime_checkable
class StoppableEngine(Engine, Protocol):
    """Represent an engine whose calls can be ended from another thread."""

    def stop(self) -> None:
        """End the calls that are running, soon and with any error; nobody calls the engine again."""
        ...


@runtime_checkable
class CheckingEngine(Engine, Protocol):
    """Represent an engine that looks at golden rows before it answers them: it may be unable to stop."""

    def check_golden(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raise `CorruptPackage` where the answers could take for ever."""
        ...


@dataclass(frozen=True)
class Prepared:
    """Hold what a package keeps of a model.

    Attributes:
        runtime: the runtime's name.
        settings: what `load` needs besides the files, as JSON values.
        files: the bytes of the engine's files by name, such as `model.skops`; the same model gives the same bytes.
        inputs: the fields that the model takes.
        outputs: the fields that it returns.
        requires: what a host must allow before it loads the package: nothing, `pickle` or `code`.
        libraries: the versions of the libraries that computed the answers, by name.
        distributions: the installed distributions that the model's code needs, as `distributions.record_distributions`
            returns them; a host must have them in the same version and with the same files.
        origins: where the categories of an input come from, by its name; of others, from the rows.
        decisions: where the `dtype`, `nullable` and `categories` of each input come from, by its name, in words.
    """

    runtime: str
    settings: dict[str, Any]
    files: dict[str, bytes]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    requires: Literal["", "pickle", "code"]
    libraries: dict[str, str]
    distributions: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    decisions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class OpenedModel(NamedTuple):
    """Hold a model that was read from a file.

    Attributes:
        model: the model, ready for `pack`.
        notes: what the user should know about it.
    """

    model: Any
    notes: tuple[str, ...] = ()


class Runtime(Protocol):
    """Describe the module of a runtime.

    Attributes:
        NAME: the runtime's name in a package's manifest.
    """

    NAME: str

    def prepare(self, model: Any, sample: Any, *, inputs: Inputs = None, **options: Any) -> Prepared:
        """Return what a package keeps of a model, after checking that it gives the model's answers again.

        Args:
            model: the trained model; it is not changed.
            sample: at least one row as the model was trained with them, in the same container.
            inputs: the input fields, or what is declared of some; inferred from model and sample by default.
            options: the runtime's own options, listed in docs/runtimes.md.

        Raises:
            PackError: the model cannot be packed, or does not answer the sample.
            SignatureError: no inputs can be inferred from the sample.
        """
        ...

    def load(self, settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> Engine:
        """Return the engine of a package of this runtime; see `fourfold.runtimes.load`."""
        ...


def library_versions(*modules: str, container: str = "") -> dict[str, str]:
    """Return the versions of installed libraries, sorted by the names that `pip` knows.

    Args:
        modules: top-level modules; modules of the standard library and of no installed project are left out.
        container: the kind of container that the model takes; its library is added, if it has one.
    """
    names = {*modules, "pyarrow" if container == "arrow" else container} - {""} - sys.stdlib_module_names
    versions = {}
    for project in sorted(_PROJECTS.get(name, name) for name in names):
        version = installed_version(project)
        if version is not None:
            versions[project] = version
    return versions


def installed_version(project: str) -> str | None:
    """Return the version of an installed project, or of its build for CPUs alone such as `xgboost-cpu`."""
    from importlib.metadata import PackageNotFoundError, version  # imports e-mail and sockets: only when it is needed

    for name in (project, f"{project}-cpu"):
        with suppress(PackageNotFoundError, ValueError):  # a name of a manifest may be empty
            return version(name)
    return None
