"""Python code that a package carries: collected when it is packed, and run in modules of its own when it is loaded.

The modules get private names, and `import` inside them finds the package's own files first. So nothing is put on
`sys.path`, a module of the host's with the same name stays what it is, and two packages can each have a `features.py`.
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

__all__ = ["PREFIX", "Code", "collect", "module_of"]

#: The folder of a package's code.
PREFIX = "code/"
_LIMIT = 16 * 2**20
_numbers = itertools.count(1)


def module_of(thing: Any) -> str:
    """The name of the module that a function or class is defined in, where a package can carry that module.

    Raises:
        PackError: it is defined in `__main__`, in a library, inside of a function, or where there is no source file.
    """
    name = f"{thing.__module__}.{thing.__qualname__}"
    if thing.__module__ in ("__main__", "__mp_main__"):
        raise PackError(
            f"{thing.__qualname__} is defined in __main__ (a script or notebook): put it in a module, and import it"
        )
    if "<" in thing.__qualname__:
        raise PackError(f"{name} is defined inside of a function: put it at the top of its module")
    module = sys.modules.get(thing.__module__)
    if module is None:
        raise PackError(f"{name} is defined in a module that is not imported")
    if _is_library(_source(module)):
        raise PackError(f"{name} belongs to an installed library: call it from a function in a module of your own")
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not thing and getattr(found, "__func__", found) is not getattr(thing, "__func__", thing):
        raise PackError(f"{name} is not what its module has under that name")
    return str(thing.__module__)


def collect(modules: Iterable[str], paths: Sequence[Any]) -> dict[str, bytes]:
    """The files of code to carry.

    Args:
        modules: imported modules; of one inside a package, the whole package is carried.
        paths: further files, and folders of packages (with an `__init__.py`), to carry.

    Returns:
        Their bytes by name, such as `code/features.py`, sorted.

    Raises:
        PackError: a path is neither, or two files would have the same name, or they are more than 16 MiB.
    """
    roots = [_root(name) for name in modules]
    roots += [(Path(path).resolve(), ()) for path in paths]
    files: dict[str, bytes] = {}
    for root, above in dict.fromkeys(roots):
        for path in _python_files(root):
            name = PREFIX + "/".join((*above, *path.relative_to(root.parent).parts))
            if name in files:
                raise PackError(f"two files of code would both be {name}: rename one of them")
            try:
                files[name] = path.read_bytes()
            except OSError as error:
                raise PackError(f"the code cannot be read: {error}") from error
    if sum(map(len, files.values())) > _LIMIT:
        raise PackError(f"the code is more than {_LIMIT >> 20} MiB: give its model only the modules that it needs")
    return dict(sorted(files.items()))


def _root(module: str) -> tuple[Path, tuple[str, ...]]:
    """The file or folder that holds a module, and the names of the folders above it that are no packages of files."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        found = sys.modules.get(".".join(parts[:depth]), sys.modules[module])
        if getattr(found, "__file__", None) or depth == len(parts):
            source = _source(found)
            return (source.parent if source.name == "__init__.py" else source), tuple(parts[: depth - 1])
    raise AssertionError(module)  # a module's name has a part


def _source(module: ModuleType) -> Path:
    try:
        found = inspect.getsourcefile(module)
    except TypeError:
        found = None
    if found is None or not Path(found).is_file():
        raise PackError(f"the module {module.__name__} has no source file that a package could carry")
    return Path(found).resolve()


def _is_library(source: Path) -> bool:
    paths = sysconfig.get_paths()
    places = {Path(paths[key]).resolve() for key in ("purelib", "platlib", "stdlib", "platstdlib")}
    return any(source.is_relative_to(place) for place in places)


def _python_files(root: Path) -> list[Path]:
    if root.is_file() and root.suffix == ".py":
        return [root]
    if root.is_dir() and (root / "__init__.py").is_file():
        return sorted(path for path in root.rglob("*.py") if path.is_file())
    raise PackError(
        f"expected a Python file or the folder of a package (with an __init__.py); got {shorten(str(root))}"
    )


class Code:
    """The modules of one loaded package; they go when it does.

    Args:
        files: the source files by name, as `collect` named them.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._name = f"_fourfold_code_{next(_numbers)}"
        self._files = {_module_name(name): (name, data) for name, data in files.items()}
        self._packages = {_module_name(name) for name in files if PurePosixPath(name).name == "__init__.py"}
        # Folders without an `__init__.py` hold modules too, here as anywhere, but not all of theirs are carried.
        self._folders = {str(above) for name in self._files for above in _above(name)} - self._files.keys()
        self._files |= {name: (f"{PREFIX}{name}/", b"") for name in self._folders}
        self._packages |= self._folders
        self._lock = threading.RLock()
        self._modules: dict[str, ModuleType] = {}
        self._builtins = {**vars(builtins), "__import__": _weak_import(self)}
        #: The modules from elsewhere that the code has imported.
        self.foreign: set[str] = set()
        weakref.finalize(self, _forget, self._name, self._modules)

    def get(self, module: str, qualname: str) -> Any:
        """A function or class of the package's modules.

        Raises:
            PackageError: the module fails when it is run, or needs one that is not installed here.
            CorruptPackage: there is no such module, or nothing of that name in it.
        """
        if module not in self._files:
            raise CorruptPackage(f"the package carries no module {shorten(module)}")
        try:
            found: Any = self._load(module)
        except ModuleNotFoundError as error:
            raise PackageError(f"the package's code needs {error.name}, which is not installed here") from error
        except Exception as error:  # the code may do anything
            raise PackageError(f"the package's module {module} fails: {type(error).__name__}: {error}") from error
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise CorruptPackage(f"the package's module {module} has no {shorten(qualname)}")
        return found

    def unpickle(self, data: bytes) -> Any:
        """An object whose classes are the package's own.

        Raises:
            PackageError: one of its classes is neither in the package nor installed here.
            CorruptPackage: the bytes are no pickle.
        """
        try:
            return _Unpickler(self, data).load()
        except (PackageError, CorruptPackage):
            raise
        except ModuleNotFoundError as error:
            raise PackageError(f"the package's object needs {error.name}, which is not installed here") from error
        except Exception as error:  # a pickle may do anything
            raise CorruptPackage(f"the package's object cannot be loaded: {type(error).__name__}: {error}") from error

    def pickle(self, thing: Any) -> bytes:
        """An object pickled so that `unpickle` finds its classes in the package, however their modules are called.

        Raises:
            PackError: it cannot be pickled.
        """
        target = BytesIO()
        try:
            _Pickler(target, self._name).dump(thing)
        except Exception as error:  # whatever `__getstate__` of anybody's class raises
            raise PackError(f"the {type(thing).__name__} cannot be stored: {type(error).__name__}: {error}") from error
        return target.getvalue()

    def check_local(self) -> None:
        """Check that what the code has imported so far is carried or installed.

        Raises:
            PackError: it imports a module of yours that the package does not carry.
        """
        for name in sorted(self.foreign):
            module = sys.modules.get(name)
            if name.partition(".")[0] == "fourfold" or not str(getattr(module, "__file__", None)).endswith(".py"):
                continue
            root, _ = _root(name)
            if not _is_library(root):
                raise PackError(f"the code imports {name}, which no package carries by itself: code=[{str(root)!r}]")

    def has(self, module: str) -> bool:
        """Whether the package carries that module."""
        return module in self._files

    def _load(self, name: str) -> ModuleType:
        with self._lock:
            if name in self._modules:
                return self._modules[name]
            parent, _, last = name.rpartition(".")
            above = self._load(parent) if parent else None
            if name in self._modules:  # its package imported it
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
            if above is not None:
                setattr(above, last, module)
            return module

    def import_(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of builtins.__import__
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What `import` does inside the package's modules."""
        wanted = name
        if level:
            package = str((globals or {}).get("__package__") or "")
            private = importlib.util.resolve_name("." * level + name, package)
            wanted = private.removeprefix(self._name).removeprefix(".")
        top = wanted.partition(".")[0]
        if not level and (top not in self._files or (wanted not in self._files and top in self._folders)):
            found = builtins.__import__(name, globals, locals, fromlist or (), level)
            self.foreign |= {name, *(f"{name}.{each}" for each in fromlist or ())} & sys.modules.keys()
            return found
        if wanted and wanted not in self._files:
            raise ModuleNotFoundError(f"the package carries no module {wanted}", name=wanted)
        if not fromlist:
            self._load(wanted)
            return self._load(top)
        found = self._load(wanted) if wanted else ModuleType(self._name)
        names = getattr(found, "__all__", ()) if "*" in fromlist else fromlist
        for each in names:
            inside = f"{wanted}.{each}".lstrip(".")
            if not hasattr(found, each) and inside in self._files:
                setattr(found, each, self._load(inside))
        return found


# The one in Python, since the one in C writes a class under the name that its module has here. It has no types.
_PythonPickler: Any = pickle._Pickler  # noqa: SLF001


class _Pickler(_PythonPickler):  # type: ignore[misc]
    """Writes the package's own modules under the names that they have in the package."""

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
        # That it is found there under this name is what loading finds out.
        self.save(module.removeprefix(self._private))
        self.save(name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)

    dispatch: ClassVar[dict[Any, Any]] = {**_PythonPickler.dispatch, FunctionType: save_global}


class _Unpickler(pickle.Unpickler):
    def __init__(self, code: Code, data: bytes) -> None:
        super().__init__(BytesIO(data))
        self._code = code

    def find_class(self, module: str, name: str) -> Any:
        if self._code.has(module):
            return self._code.get(module, name)
        self._code.foreign.add(module)
        return super().find_class(module, name)


def _weak_import(code: Code) -> Callable[..., ModuleType]:
    """The `__import__` of a package's modules, which must not keep the package alive: `sys.modules` keeps them."""
    alive = weakref.ref(code)

    def import_(*args: Any, **options: Any) -> ModuleType:
        found = alive()
        if found is None:
            raise ImportError("the package that this code belongs to is gone")
        return found.import_(*args, **options)

    return import_


def _module_name(file: str) -> str:
    parts = PurePosixPath(file.removeprefix(PREFIX)).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _above(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _forget(name: str, modules: dict[str, ModuleType]) -> None:
    for each in modules:
        sys.modules.pop(f"{name}.{each}", None)
