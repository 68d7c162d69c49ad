"""Collect the Python code that a package carries, and run it in modules of the package's own.

These modules have private names, and `import` inside them finds the package's own files first. So nothing is added to
`sys.path`, the host's modules of the same names stay as they are, and two packages can each have a `features.py`.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import inspect
import itertools
import pickle
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import FunctionType, ModuleType
from typing import Any, ClassVar

from fourfold.errors import CorruptPackage, PackageError, PackError, shorten

__all__ = ["PREFIX", "PackageCode", "collect_files", "defining_module"]

#: The folder of a package's code.
PREFIX = "code/"
_MAX_BYTES = 16 * 2**20
_numbers = itertools.count(1)


def defining_module(definition: Any) -> str:
    """Return the name of the module that defines a function or class, checked to be one that a package can carry.

    Raises:
        PackError: the definition is in `__main__`, in a library, inside of a function, or in no source file.
    """
    name = f"{definition.__module__}.{definition.__qualname__}"
    if definition.__module__ in ("__main__", "__mp_main__"):
        raise PackError(
            f"{definition.__qualname__} is defined in __main__ (a script or notebook): put it in a module, and import "
            "it"
        )
    if "<" in definition.__qualname__:
        raise PackError(f"{name} is defined inside of a function: put it at the top of its module")
    module = sys.modules.get(definition.__module__)
    if module is None:
        raise PackError(f"{name} is defined in a module that is not imported")
    if _is_library(_source(module)):
        raise PackError(f"{name} belongs to an installed library: call it from a function in a module of your own")
    value: Any = module
    for part in definition.__qualname__.split("."):
        value = getattr(value, part, None)
    # A bound class method is made anew at every look: compare its function.
    if value is not definition and getattr(value, "__func__", value) is not getattr(definition, "__func__", definition):
        raise PackError(f"{name} is not what its module has under that name")
    return str(definition.__module__)


def collect_files(modules: Iterable[str], paths: Sequence[Any]) -> dict[str, bytes]:
    """Return the bytes of the source files that a package carries, by names such as `code/features.py`, sorted.

    Args:
        modules: the names of imported modules; of a module in a package, the whole package is carried.
        paths: further files, and folders of packages (with an `__init__.py`).

    Raises:
        PackError: a path is neither, two files would have the same name, or all files have more than 16 MiB.
    """
    roots = [_root(name) for name in modules]
    roots += [(Path(path).resolve(), ()) for path in paths]
    files: dict[str, bytes] = {}
    for root, folders in dict.fromkeys(roots):
        for path in _python_files(root):
            name = PREFIX + "/".join((*folders, *path.relative_to(root.parent).parts))
            if name in files:
                raise PackError(f"two files of code would both be {name}: rename one of them")
            try:
                files[name] = path.read_bytes()
            except OSError as error:
                raise PackError(f"the code cannot be read: {error}") from error
    if sum(map(len, files.values())) > _MAX_BYTES:
        raise PackError(f"the code is more than {_MAX_BYTES >> 20} MiB: give its model only the modules that it needs")
    return dict(sorted(files.items()))


def _root(module: str) -> tuple[Path, tuple[str, ...]]:
    """Return the file of a module or the folder of its package, and the names of the namespace packages above it."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        package = sys.modules.get(".".join(parts[:depth]), sys.modules[module])
        if getattr(package, "__file__", None) or depth == len(parts):
            source = _source(package)
            return (source.parent if source.name == "__init__.py" else source), tuple(parts[: depth - 1])
    raise AssertionError(module)  # a name has at least one part


def _source(module: ModuleType) -> Path:
    """Return the source file of a module; raise `PackError` where there is none."""
    try:
        path = inspect.getsourcefile(module)
    except TypeError:
        path = None
    if path is None or not Path(path).is_file():
        raise PackError(f"the module {module.__name__} has no source file that a package could carry")
    return Path(path).resolve()


def _is_library(source: Path) -> bool:
    """Return whether a file belongs to Python or to an installed library."""
    paths = sysconfig.get_paths()
    folders = {Path(paths[key]).resolve() for key in ("purelib", "platlib", "stdlib", "platstdlib")}
    return any(source.is_relative_to(folder) for folder in folders)


def _python_files(root: Path) -> list[Path]:
    if root.is_file() and root.suffix == ".py":
        return [root]
    if root.is_dir() and (root / "__init__.py").is_file():
        return sorted(path for path in root.rglob("*.py") if path.is_file())
    raise PackError(
        f"expected a Python file or the folder of a package (with an __init__.py); got {shorten(str(root))}"
    )


class PackageCode:
    """Hold the modules of one loaded package, which are removed from `sys.modules` together with this object.

    Args:
        files: the bytes of the source files by name, as `collect_files` returns them.

    Attributes:
        foreign_imports: the names of the modules from elsewhere that the code has imported so far.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._name = f"_fourfold_code_{next(_numbers)}"
        self._files = {_module_name(name): (name, data) for name, data in files.items()}
        self._packages = {_module_name(name) for name in files if PurePosixPath(name).name == "__init__.py"}
        # Folders without an `__init__.py` are namespace packages, of which only some modules may be carried.
        self._namespaces = {parent for name in self._files for parent in _parents(name)} - self._files.keys()
        self._files |= {name: (f"{PREFIX}{name}/", b"") for name in self._namespaces}
        self._packages |= self._namespaces
        self._lock = threading.RLock()
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
            raise PackageError(f"the package's code needs {error.name}, which is not installed here") from error
        except Exception as error:  # the code may raise anything
            raise PackageError(f"the package's module {module} fails: {type(error).__name__}: {error}") from error
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
            raise PackageError(f"the package's object needs {error.name}, which is not installed here") from error
        except Exception as error:  # a pickle runs code, which may raise anything
            raise CorruptPackage(f"the package's object cannot be loaded: {type(error).__name__}: {error}") from error

    def pickle(self, value: Any) -> bytes:
        """Return an object pickled with the names of modules in the package, so that `unpickle` finds its classes.

        Raises:
            PackError: the object cannot be pickled.
        """
        target = BytesIO()
        try:
            _Pickler(target, self._name).dump(value)
        except Exception as error:  # `__getstate__` of the user's class may raise anything
            raise PackError(f"the {type(value).__name__} cannot be stored: {type(error).__name__}: {error}") from error
        return target.getvalue()

    def check_imports(self) -> None:
        """Check that every module that the code has imported so far is carried or installed.

        Raises:
            PackError: a module is neither.
        """
        for name in sorted(self.foreign_imports):
            module = sys.modules.get(name)
            if name.partition(".")[0] == "fourfold" or not str(getattr(module, "__file__", None)).endswith(".py"):
                continue
            root, _ = _root(name)
            if not _is_library(root):
                raise PackError(f"the code imports {name}, which no package carries by itself: code=[{str(root)!r}]")

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
        if level:
            package = str((globals or {}).get("__package__") or "")
            private = importlib.util.resolve_name("." * level + name, package)
            target = private.removeprefix(self._name).removeprefix(".")
        top = target.partition(".")[0]
        if not level and (top not in self._files or (target not in self._files and top in self._namespaces)):
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
            self.foreign_imports |= {name, *(f"{name}.{member}" for member in fromlist or ())} & sys.modules.keys()
            return module
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
        self._code.foreign_imports.add(module)
        return super().find_class(module, name)


def _weak_import(code: PackageCode) -> Callable[..., ModuleType]:
    """Return the `__import__` of a package's modules.

    It holds no reference to the package: it is reachable from `sys.modules`, and would keep the package alive.
    """
    reference = weakref.ref(code)

    def import_(*args: Any, **options: Any) -> ModuleType:
        package = reference()
        if package is None:
            raise ImportError("the package that this code belongs to is gone")
        return package.import_(*args, **options)

    return import_


def _module_name(file: str) -> str:
    """Return the name of the module in a file of `collect_files`."""
    parts = PurePosixPath(file.removeprefix(PREFIX)).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parents(module: str) -> list[str]:
    """Return the names of the packages above a module."""
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _forget(name: str, modules: dict[str, ModuleType]) -> None:
    for module in modules:
        sys.modules.pop(f"{name}.{module}", None)
