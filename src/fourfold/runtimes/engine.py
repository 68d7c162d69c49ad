"""What every runtime gives: `Prepared` for the package, and an `Engine` that answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from fourfold.signature.field import Field, Signature

__all__ = ["DirectEngine", "Engine", "Prepared", "Runtime", "installed", "versions"]

# Modules whose project has another name.
_PROJECTS = {"sklearn": "scikit-learn"}


class Engine(Protocol):
    """A loaded model: one pure function from a canonical table to a canonical table.

    `predict` may be called from any number of threads at once, each of which it gives one thread of computation.

    Attributes:
        takes: `rows`, a list of dicts, or `columns`, a `pyarrow.RecordBatch`; what comes out is of the same form. An
            engine that takes `either` gives by its making what the signature says, and is a `DirectEngine`.
    """

    @property
    def takes(self) -> Literal["rows", "columns", "either"]:
        """The form of table that `predict` takes and gives."""
        ...

    def predict(self, table: Any) -> Any:
        """Answer every row.

        Args:
            table: at least one row of the signature's inputs, in canonical values.

        Returns:
            As many rows of the signature's outputs, in the same order; a batch has exactly their Arrow schema.

        Raises:
            EngineError: the model failed, or answered with another shape or dtype than it was packed with.
        """
        ...


@runtime_checkable
class DirectEngine(Engine, Protocol):
    """Describe an engine that also answers rows as callers have them, where these need no coercion."""

    @property
    def one(self) -> Callable[[Any], dict[str, Any] | None]:
        """Return a function that answers one row; its answer is None where the row must be coerced first."""
        ...

    def many(self, rows: list[Any]) -> list[dict[str, Any]] | None:
        """Return the answers to rows, or None where one of them must be coerced first."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A model made ready for a package.

    Attributes:
        runtime: the runtime's name.
        settings: what `load` needs besides the files, in JSON values.
        files: the engine's files by name, such as `model.skops`; the same model gives the same bytes.
        inputs: the fields that the model takes.
        outputs: the fields that it gives.
        requires: what a host must allow before it is loaded: nothing, `pickle` or `code`.
        libraries: the libraries that computed the answers, with their versions.
    """

    runtime: str
    settings: dict[str, Any]
    files: dict[str, bytes]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    requires: Literal["", "pickle", "code"]
    libraries: dict[str, str]


class Runtime(Protocol):
    """One engine's adapter: a module of this room."""

    NAME: str

    def claims(self, model: object) -> bool:
        """Whether the model is this runtime's, told from its type alone."""
        ...

    def prepare(self, model: Any, sample: Any, *, inputs: tuple[Field, ...] | None = None, **options: Any) -> Prepared:
        """A model made ready for a package.

        Args:
            model: the model as it was trained; it is not changed.
            sample: rows as the model was trained with them, in the same container, at least one.
            inputs: the fields that go in, where they shall not be inferred from the sample.
            options: the runtime's own, named on its page.

        Raises:
            PackError: the model cannot be packed, or does not answer the sample.
            SignatureError: no inputs can be inferred from the sample.
        """
        ...

    def load(self, settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> Engine:
        """What `fourfold.runtimes.load` does, for this runtime's packages."""
        ...


def versions(*modules: str, container: str = "") -> dict[str, str]:
    """The versions of installed libraries, by the names that `pip` knows them under, sorted.

    Args:
        modules: top-level modules; one that is no installed project is left out.
        container: the container of a form, which is a library too unless it is plain Python.
    """
    names = {*modules, "pyarrow" if container == "arrow" else container} - {""} - sys.stdlib_module_names
    found = {}
    for name in sorted(_PROJECTS.get(name, name) for name in names):
        here = installed(name)
        if here is not None:
            found[name] = here
    return found


def installed(project: str) -> str | None:
    """The version of an installed project, or of the build of it for processors alone (`xgboost-cpu`, say)."""
    from importlib.metadata import PackageNotFoundError, version  # it brings e-mail and sockets: only where it is used

    for name in (project, f"{project}-cpu"):
        with suppress(PackageNotFoundError):
            return version(name)
    return None
