"""Find the source files that a package carries: modules of the user's own, and those that these import.

Nothing is imported or run here. Imports are read from the source, wherever in a module they stand; a module that is
imported in another way has to be named (`code=[…]`).
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from typing import Any

from fourfold.durable.reading import read_file
from fourfold.errors import PackError, shorten
from fourfold.runtimes.distributions import Environment, file_of, is_compiled, locate

__all__ = ["PREFIX", "collect_files", "collect_own_modules", "defining_module", "module_name", "source_root"]

#: The folder of a package's code.
PREFIX = "code/"
_MAX_BYTES = 16 * 2**20


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
    if Environment().origin(module.__name__, _source(module.__name__)) != "own":
        raise PackError(
            f"{name} belongs to an installed library: call it from a function in a module of your own. An object of it "
            "is packed inside of one of your own class, whose predict asks it"
        )
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
        modules: the names of modules; of a module in a package, the whole package is carried.
        paths: further files, and folders of packages (with an `__init__.py`).

    Raises:
        PackError: a path is neither, two files would have the same name, or all files have more than 16 MiB.
    """
    roots = [source_root(name) for name in modules]
    roots += [(Path(path).resolve(), ()) for path in paths]
    files: dict[str, bytes] = {}
    for root, folders in dict.fromkeys(roots):
        for path in _python_files(root):
            name = PREFIX + "/".join((*folders, *path.relative_to(root.parent).parts))
            if name in files:
                raise PackError(f"two files of code would both be {name}: rename one of them")
            try:
                files[name] = read_file(path, _MAX_BYTES)
            except OSError as error:
                raise PackError(f"the code cannot be read: {path}: {error.strerror or error}") from error
    return _within_limit(files)


def collect_own_modules(modules: Iterable[str], paths: Sequence[Any], environment: Environment) -> dict[str, bytes]:
    """Return the source files of modules of the user's own, of what they import of these, and of the paths.

    Args:
        modules: the names of modules; those of Python, of driven libraries and of installed distributions are left out.
        paths: further files, and folders of packages, which come before imported modules of the same name.
        environment: the installed distributions.

    Raises:
        PackError: a module has no Python source, or as `collect_files` does.
    """
    files = collect_files([], paths)
    waiting, seen = deque(sorted(modules)), set[str]()
    while waiting:
        name = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        carried = {module_name(file): file for file in files}
        if name not in carried:
            # What the package has of a top-level name is all that it has of that name.
            is_shadowed = name.partition(".")[0] in carried
            if not _is_own_source(name, environment) or is_shadowed:
                continue
            for file, data in collect_files([name], []).items():
                if files.setdefault(file, data) != data:
                    raise PackError(f"two files of code would both be {file}: rename one of them")
            carried = {module_name(file): file for file in files}
        if name not in carried:
            raise PackError(f"the module {name} cannot be carried: the name of its file is no name in ASCII letters")
        waiting.extend(_parents(name))
        waiting.extend(imported_names(files[carried[name]], name, carried[name].endswith("/__init__.py")))
    return _within_limit(dict(sorted(files.items())))


def imported_names(source: bytes, module: str, is_package: bool) -> list[str]:
    """Return the names of what a module's source imports, anywhere in it; some may name a function or class.

    Args:
        source: the bytes of its file; one that is no Python imports nothing.
        module: its name.
        is_package: whether it is the `__init__.py` of a package.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    package = module if is_package else module.rpartition(".")[0]
    names: list[str] = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            try:
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                names.append(node.args[0].value)
    return [name for name in dict.fromkeys(names) if name and not name.startswith(".")]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, without what only a type checker reads."""
    waiting = deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        children: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.If):
            test = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
            children = node.orelse if test == "TYPE_CHECKING" else children
        waiting.extend(children)


def source_root(module: str) -> tuple[Path, tuple[str, ...]]:
    """Return the file of a module or the folder of its package, and the names of the namespace packages above it.

    Raises:
        PackError: the module has no source file, or lies in the folder of an installed distribution that does not list
            it.
    """
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        if file_of(locate(name)) is None and depth < len(parts):
            continue
        source = _source(name)
        root = source.parent if source.name == "__init__.py" else source
        if name != module and Environment().owner(source) is not None:
            raise PackError(
                f"the module {module} lies in the folder of the installed {name}, and is none of its files: move it "
                "into a package of your own"
            )
        return root, tuple(parts[: depth - 1])
    raise AssertionError(module)  # a name has at least one part


def _is_own_source(module: str, environment: Environment) -> bool:
    """Return whether a module exists, is the user's own and has source; `False` for a namespace package.

    Raises:
        PackError: it is the user's own, and a compiled extension.
    """
    file = file_of(locate(module))
    if file is None or environment.origin(module, file) != "own":
        return False
    if not is_compiled(file):
        return True
    if module in sys.modules:
        raise PackError(
            f"the module {module} is a compiled extension of your own ({file}), which a package cannot carry: build a "
            "wheel of it and install that here and where the package will run; its version and files are then checked"
        )
    return False


def _source(module: str) -> Path:
    """Return the source file of a module; raise `PackError` where there is none."""
    imported = sys.modules.get(module)
    path: str | None = None
    if imported is not None:
        try:
            path = inspect.getsourcefile(imported)
        except TypeError:
            path = None
    else:
        path = _source_of_spec(locate(module))
    if path is None or not Path(path).is_file():
        raise PackError(
            f"the module {module} has no source file that a package could carry (Python source, not in a zip and not "
            "compiled): install it as a distribution, or give its source"
        )
    return Path(path).absolute()


def _source_of_spec(spec: ModuleSpec | None) -> str | None:
    file = file_of(spec)
    return None if file is None or file.suffix != ".py" else str(file)


def _python_files(root: Path) -> list[Path]:
    if root.is_file() and root.suffix == ".py":
        return [root]
    if root.is_dir() and (root / "__init__.py").is_file():
        # Only what an import can name: no environment in a hidden folder, no script with a hyphen.
        return sorted(
            path
            for path in root.rglob("*.py")
            if path.is_file() and all(_is_importable(part) for part in path.relative_to(root).with_suffix("").parts)
        )
    raise PackError(
        f"expected a Python file or the folder of a package (with an __init__.py); got {shorten(str(root))}"
    )


def _is_importable(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _within_limit(files: dict[str, bytes]) -> dict[str, bytes]:
    if sum(map(len, files.values())) > _MAX_BYTES:
        raise PackError(f"the code is more than {_MAX_BYTES >> 20} MiB: give its model only the modules that it needs")
    return dict(sorted(files.items()))


def module_name(file: str) -> str:
    """Return the name of the module in a file of `collect_files`."""
    parts = PurePosixPath(file.removeprefix(PREFIX)).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parents(module: str) -> list[str]:
    """Return the names of the packages above a module."""
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]
