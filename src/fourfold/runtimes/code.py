"""Run the Python code that a package carries in modules of the package's own.

These modules have private names, and `import` inside them finds the package's own files first. So nothing is added to
`sys.path`, the host's modules of the same names stay as they are, and two packages can each have a `features.py`. What
is not carried comes from Python, from the libraries that Fourfold drives or from installed distributions, and never
from the host's own modules.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import itertools
import pickle
import re
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import PurePosixPath
from types import FunctionType, ModuleType
from typing import Any, ClassVar

from fourfold.errors import CorruptPackage, PackageError, PackError, describe, shorten
from fourfold.runtimes.distributions import (
    DRIVEN_LIBRARIES,
    Environment,
    canonical_name,
    file_of,
    locate,
    own_version,
)
from fourfold.runtimes.sources import PREFIX, module_name, source_root

__all__ = ["PackageCode", "public_names"]

_numbers = itertools.count(1)
_PRIVATE = re.compile(r"_fourfold_code_[0-9]+(?:\.|\b)")


def public_names(text: str) -> str:
    """Return a text with modules under the names that they have in their package, the same in every process."""
    return _PRIVATE.sub("", text)


class PackageCode:
    """Hold the modules of one loaded package, which are removed from `sys.modules` together with this object.

    Args:
        files: the bytes of the source files by name, as `collect_files` returns them.
        versions: the versions of distributions that the code asks `importlib.metadata` for and no host has.

    Attributes:
        name: the private name above its modules.
        files: the files.
        foreign_imports: the names of the modules from elsewhere that the code has imported so far.
        versions: the versions that were given, and those of the user's own distributions asked for so far.
    """

    def __init__(self, files: Mapping[str, bytes], versions: Mapping[str, str] | None = None) -> None:
        self.versions = dict(versions or {})
        self.name = self._name = f"_fourfold_code_{next(_numbers)}"
        self.files = dict(files)
        self._files = {module_name(name): (name, data) for name, data in files.items()}
        self._packages = {module_name(name) for name in files if PurePosixPath(name).name == "__init__.py"}
        # Folders without an `__init__.py` are namespace packages, of which only some modules may be carried.
        self._namespaces = {parent for name in self._files for parent in _parents(name)} - self._files.keys()
        self._files |= {name: (f"{PREFIX}{name}/", b"") for name in self._namespaces}
        self._packages |= self._namespaces
        self._lock = threading.RLock()
        self._environment = Environment()
        self._permitted: set[str] = set()
        self._foreign_statements: set[tuple[str, ...]] = set()
        self._modules: dict[str, ModuleType] = {}
        self._builtins = {**vars(builtins), "__import__": _weak_import(self)}
        self.foreign_imports: set[str] = set()
        weakref.finalize(self, _forget, self._name, self._modules)

    def get(self, module: str, qualname: str) -> Any:
        """Return a function or class of the package's modules.

        Raises:
            PackageError: the module fails when it is run, or needs one that is not installed.
            CorruptPackage: there is no such module, or it has no such name.
        """
        if module not in self._files:
            raise CorruptPackage(f"the package carries no module {shorten(module)}")
        try:
            value: Any = self._load(module)
        except ModuleNotFoundError as error:
            raise PackageError(_missing("code", error)) from error
        except Exception as error:  # the code may raise anything
            raise PackageError(f"the package's module {module} fails: {describe(error)}") from error
        for part in qualname.split("."):
            value = getattr(value, part, None)
        if value is None:
            raise CorruptPackage(f"the package's module {module} has no {shorten(qualname)}")
        return value

    def unpickle(self, data: bytes) -> Any:
        """Return the object in a pickle, which finds classes in the package first.

        Raises:
            PackageError: one of its classes is neither in the package nor installed.
            CorruptPackage: the bytes are no pickle.
        """
        try:
            return _Unpickler(self, data).load()
        except (PackageError, CorruptPackage):
            raise
        except ModuleNotFoundError as error:
            raise PackageError(_missing("object", error)) from error
        except Exception as error:  # a pickle runs code, which may raise anything
            raise CorruptPackage(f"the package's object cannot be loaded: {describe(error)}") from error

    def pickle(self, value: Any) -> bytes:
        """Return an object pickled with the names of modules in the package, so that `unpickle` finds its classes.

        Raises:
            PackError: the object cannot be pickled.
        """
        target = BytesIO()
        try:
            _Pickler(target, self._name).dump(value)
        except Exception as error:  # `__getstate__` of the user's class may raise anything
            raise PackError(f"the {type(value).__name__} cannot be stored: {describe(error)}") from error
        return target.getvalue()

    def check_foreign(self, module: str) -> None:
        """Check that a module from elsewhere is Python's, a library's or an installed distribution's.

        Raises:
            ModuleNotFoundError: it is the host's own, which a package never uses.
        """
        if module in self._permitted:
            return
        file = file_of(locate(module))
        if file is not None and self._environment.origin(module, file) == "own":
            try:
                advice = f"code=[{str(source_root(module)[0])!r}]"
            except PackError as error:
                advice = str(error)
            raise ModuleNotFoundError(
                f"the code imports {module}, which the package does not carry, and the host's own {file} is never "
                f"used: pack it with {advice}",
                name=module,
            )
        self._permitted.add(module)

    def has_module(self, module: str) -> bool:
        """Return whether the package carries a module."""
        return module in self._files

    def _load(self, name: str) -> ModuleType:
        with self._lock:
            if name in self._modules:
                return self._modules[name]
            parent, _, last = name.rpartition(".")
            package = self._load(parent) if parent else None
            if name in self._modules:  # its package has imported it
                return self._modules[name]
            path, source = self._files[name]
            private = f"{self._name}.{name}"
            module = ModuleType(private)
            module.__file__ = f"<{self._name}>/{path.removeprefix(PREFIX)}"
            vars(module)["__loader__"] = _Source(source)
            module.__package__ = private if name in self._packages else f"{self._name}.{parent}".rstrip(".")
            if name in self._packages:
                module.__path__ = []
            module.__dict__["__builtins__"] = self._builtins
            self._modules[name] = sys.modules[private] = module
            try:
                exec(compile(source, module.__file__, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
            except BaseException:
                del self._modules[name], sys.modules[private]
                raise
            if package is not None:
                setattr(package, last, module)
            return module

    def import_(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of builtins.__import__
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import a module as `builtins.__import__` does, from the package's own files first."""
        target = name
        if not level and name.startswith(f"{self._name}."):  # as pickle asks for the module of a class
            return self._load(name.removeprefix(f"{self._name}."))
        if level:
            package = str((globals or {}).get("__package__") or "")
            private = importlib.util.resolve_name("." * level + name, package)
            target = private.removeprefix(self._name).removeprefix(".")
        top = target.partition(".")[0]
        if not level and (top not in self._files or (target not in self._files and top in self._namespaces)):
            return self._import_foreign(name, globals, locals, fromlist or ())
        if target and target not in self._files:
            raise ModuleNotFoundError(f"the package carries no module {target}", name=target)
        if not fromlist:
            self._load(target)
            return self._load(top)
        module = self._load(target) if target else ModuleType(self._name)
        members = getattr(module, "__all__", ()) if "*" in fromlist else fromlist
        for member in members:
            submodule = f"{target}.{member}".lstrip(".")
            if not hasattr(module, member) and submodule in self._files:
                setattr(module, member, self._load(submodule))
        return module

    def _import_foreign(
        self,
        name: str,
        globals: Mapping[str, object] | None,  # noqa: A002 - the names of builtins.__import__
        locals: Mapping[str, object] | None,  # noqa: A002
        fromlist: Sequence[str],
    ) -> ModuleType:
        """Import a module that the package does not carry; `importlib` becomes one that looks into the package."""
        statement = (name, *fromlist)
        if statement not in self._foreign_statements and name.partition(".")[0] not in DRIVEN_LIBRARIES:
            self.check_foreign(name)
            spec = locate(name)
            if spec is not None and file_of(spec) is None and spec.submodule_search_locations:
                for member in fromlist:  # a namespace package may have parts of the host's own
                    self.check_foreign(f"{name}.{member}")
        module = builtins.__import__(name, globals, locals, fromlist, 0)
        if statement not in self._foreign_statements:
            self.foreign_imports |= {name, *(f"{name}.{member}" for member in fromlist)} & sys.modules.keys()
            self._foreign_statements.add(statement)
        if module is importlib:
            return self._importlib()
        return self._metadata(module) if module.__name__ == "importlib.metadata" else module

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module as `importlib.import_module` does, from the package's own files first."""
        target = name
        if name.startswith("."):
            if not package:
                raise TypeError(f"the 'package' argument is required to import {name!r}")
            target = importlib.util.resolve_name(name, package)
        target = target.removeprefix(f"{self._name}.")
        self.import_(target)
        return self._modules[target] if target in self._modules else sys.modules[target]

    def _importlib(self) -> ModuleType:
        """Return `importlib` with an `import_module` that finds the package's own files first."""
        reference = weakref.ref(self)

        def import_module(name: str, package: str | None = None) -> ModuleType:
            return _alive(reference).import_module(name, package)

        module = ModuleType("importlib")
        vars(module).update(vars(importlib), import_module=import_module)
        if isinstance(metadata := vars(module).get("metadata"), ModuleType):
            vars(module)["metadata"] = self._metadata(metadata)
        return module

    def _metadata(self, metadata: ModuleType) -> ModuleType:
        """Return `importlib.metadata` with a `version` that knows the distributions that the package's code is of."""
        reference = weakref.ref(self)

        def version(distribution_name: str) -> str:
            return _alive(reference).version(distribution_name)

        module = ModuleType("importlib.metadata")
        vars(module).update(vars(metadata), version=version)
        return module

    def version(self, name: str) -> str:
        """Return the version of a distribution; that of one of the user's own is kept, to travel with the code.

        Raises:
            importlib.metadata.PackageNotFoundError: it is neither kept nor installed.
        """
        key = canonical_name(name)
        if key not in self.versions:
            version, is_own = own_version(name)
            if not is_own and key.replace("-", "_") not in {module.partition(".")[0] for module in self._files}:
                return version
            self.versions[key] = version
        return self.versions[key]


class _Source:
    """Show the source of a module to `inspect` and to tracebacks."""

    def __init__(self, source: bytes) -> None:
        self._source = source

    def get_source(self, _name: str) -> str:
        """Return the source as text."""
        return importlib.util.decode_source(self._source)


# The pickler in Python: the one in C cannot write a class under another module's name. It has no types.
_PythonPickler: Any = pickle._Pickler  # noqa: SLF001


class _Pickler(_PythonPickler):  # type: ignore[misc]
    """Write the package's own modules under the names that they have in the package."""

    def __init__(self, target: BytesIO, name: str) -> None:
        super().__init__(target, protocol=5)
        self._private = f"{name}."

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function as its module and its name."""
        module = str(getattr(obj, "__module__", ""))
        if not module.startswith(self._private):
            super().save_global(obj, name)
            return
        name = name or str(obj.__qualname__)
        if "<" in name:
            raise pickle.PicklingError(f"{name} is defined inside of a function: put it at the top of its module")
        # Whether the module has this name shows when the pickle is loaded.
        self.save(module.removeprefix(self._private))
        self.save(name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)

    dispatch: ClassVar[dict[Any, Any]] = {**_PythonPickler.dispatch, FunctionType: save_global}


class _Unpickler(pickle.Unpickler):
    def __init__(self, code: PackageCode, data: bytes) -> None:
        super().__init__(BytesIO(data))
        self._code = code

    def find_class(self, module: str, name: str) -> Any:
        if self._code.has_module(module):
            return self._code.get(module, name)
        self._code.check_foreign(module)
        self._code.foreign_imports.add(module)
        return super().find_class(module, name)


def _weak_import(code: PackageCode) -> Callable[..., ModuleType]:
    """Return the `__import__` of a package's modules.

    It holds no reference to the package: it is reachable from `sys.modules`, and would keep the package alive.
    """
    reference = weakref.ref(code)

    def import_(*args: Any, **options: Any) -> ModuleType:
        return _alive(reference).import_(*args, **options)

    return import_


def _alive(reference: weakref.ref[PackageCode]) -> PackageCode:
    """Return the code of a package that is still loaded; raise `ImportError` where it is not."""
    package = reference()
    if package is None:
        raise ImportError("the package that this code belongs to is gone")
    return package


def _missing(part: str, error: ModuleNotFoundError) -> str:
    """Return the text of an error about a module that a part of a package needs."""
    if "never used" in str(error):
        return str(error)
    return f"the package's {part} needs {error.name}, which is not installed here"


def _parents(module: str) -> list[str]:
    """Return the names of the packages above a module."""
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _forget(name: str, modules: dict[str, ModuleType]) -> None:
    for module in modules:
        sys.modules.pop(f"{name}.{module}", None)
