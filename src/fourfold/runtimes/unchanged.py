"""Check that the modules of this process are what their source files say, before the files are packed.

A module that was edited after it was imported, or whose constants were set from outside, has answered with something
else than its source. The few rows of a sample may not show that.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fourfold.errors import PackError
from fourfold.runtimes.sources import module_name

__all__ = ["check_unchanged"]


def check_unchanged(files: Mapping[str, bytes]) -> None:
    """Check that the functions and numbers of imported modules are those of the source files that are carried of them.

    Args:
        files: the source files by their names in the package; modules that this process has not imported are left out.

    Raises:
        PackError: a function or a number at the top of a module is not that of its source.
    """
    for file, source in files.items():
        module = sys.modules.get(module_name(file))
        # Other loaders may rewrite what they load, as pytest does with assertions.
        if module is None or type(getattr(module, "__loader__", None)) is not SourceFileLoader:
            continue
        path = str(module.__file__)
        try:
            tree = ast.parse(source)
            available = set(_nested_code(compile(source, path, "exec", dont_inherit=True)))
        except (SyntaxError, ValueError, RecursionError) as error:
            raise PackError(f"the source of the module {module.__name__} is no Python now: {error}") from error
        for name, function in _functions(module):
            if function.__code__.co_filename == path and function.__code__ not in available:
                raise PackError(
                    f"{module.__name__}.{name} runs here as it was imported, and the source that would be carried says "
                    "otherwise (edited since, or another file): start Python anew, and train and pack with what the "
                    "file says now"
                )
        for name, code in _defined(tree, module):
            if code not in available:
                raise PackError(
                    f"{module.__name__}.{name} is not the function of its source, which a package carries: something "
                    "replaced it in this process. Write it into the source, or keep it in the model's own state"
                )
        for name, literal in _literals(tree):
            value = vars(module).get(name)
            if repr(value) != repr(literal):
                raise PackError(
                    f"{module.__name__}.{name} is {value!r} here and {literal!r} in its source, which a package "
                    "carries: change the source, or keep the value in the model's own state"
                )


def _nested_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested_code(constant)


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions of a module and of its classes with their names, decorators taken off."""
    waiting = list(vars(module).items())
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, FunctionType):
            yield name, value
        if isinstance(value, type) and value.__module__ == module.__name__:
            waiting += [(f"{name}.{part}", member) for part, member in vars(value).items()]
        waiting += [(name, inner) for inner in _inside(value) if inner is not None]


def _inside(value: Any) -> tuple[Any, ...]:
    """Return what a decorator has wrapped."""
    if isinstance(value, (staticmethod, classmethod)):
        return (value.__func__,)
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.cached_property):
        return (value.func,)
    return (value.__wrapped__,) if isinstance(value, FunctionType) and hasattr(value, "__wrapped__") else ()


def _defined(tree: ast.Module, module: ModuleType) -> Iterator[tuple[str, CodeType | None]]:
    """Yield the functions that a source defines once and without decorators, with the code that they have here.

    Methods of classes without decorators and metaclasses are among them. The code is `None` for what is no function.
    """
    stores, shared = _stores(tree)
    for statement in tree.body:
        name = getattr(statement, "name", "")
        if not name or stores.get(name) != 1 or name in shared or getattr(statement, "decorator_list", None):
            continue
        value = vars(module).get(name)
        if isinstance(statement, ast.FunctionDef):
            yield name, _code_of(value)
        elif isinstance(statement, ast.ClassDef) and isinstance(value, type) and not statement.keywords:
            names = [getattr(part, "name", "") for part in statement.body]
            for part in statement.body:
                if isinstance(part, ast.FunctionDef) and not part.decorator_list and names.count(part.name) == 1:
                    method = vars(value).get(part.name)
                    method = getattr(method, "__func__", method)  # `__init_subclass__` becomes a class method by itself
                    if isinstance(method, FunctionType):
                        yield f"{name}.{part.name}", _code_of(method)


def _code_of(value: object) -> CodeType | None:
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value.__code__ if isinstance(value, FunctionType) else None


def _stores(tree: ast.Module) -> tuple[dict[str, int], set[str]]:
    """Return how often each name is given a value anywhere in a module, and the names that functions declare global."""
    stores: dict[str, int] = {}
    shared: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names = [node.id]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.Global):
            shared.update(node.names)
        for name in names:
            stores[name] = stores.get(name, 0) + 1
    return stores, shared


def _literals(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Yield the names at the top of a module that its source gives a number, once and nowhere else."""
    stores, shared = _stores(tree)
    for statement in tree.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or not isinstance(target, ast.Name):
            continue
        try:
            literal = ast.literal_eval(statement.value) if statement.value is not None else None
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(literal, (bool, int, float)) and stores[target.id] == 1 and target.id not in shared:
            yield target.id, literal
