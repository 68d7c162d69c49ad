"""Tell a library's own classes from others that only bear their names, or whose methods somebody has replaced.

A rule knows what a class of a library computes. A subclass has a name of its own and finds no rule; what is looked for
here is a class that claims a library's module and name, a method that was set on an object, and one that was set on the
library's class.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FunctionType
from typing import Any

from fourfold.plan.compile.columns import NoPlan

__all__ = ["library_class", "replaced_method"]

#: Libraries whose functions may stand in each other's classes.
_LIBRARIES = frozenset(["catboost", "joblib", "lightgbm", "numpy", "scipy", "sklearn", "xgboost"])


def library_class(model: Any) -> str:
    """Return the name of an object's class as `library.Class`, after checking that it is the library's, unchanged.

    Raises:
        NoPlan: the class is not what its module has under its name, or a method was replaced on it or on the object.
    """
    kind = type(model)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    if name.partition(".")[0] not in _LIBRARIES:
        return name
    if not _is_in_library(kind):
        raise NoPlan(f"a class calls itself {kind.__module__}.{kind.__qualname__}, and is not what that module has")
    for attribute in getattr(model, "__dict__", {}):
        if isinstance(getattr(kind, attribute, None), FunctionType):
            raise NoPlan(f"the {kind.__qualname__} has a {attribute} of its own, in place of the library's")
    if replaced := replaced_method(kind):
        raise NoPlan(replaced)
    return name


def _is_in_library(kind: type) -> bool:
    """Return whether a class is what its module has under its name, and the module lies in its library's folder."""
    module = sys.modules.get(kind.__module__)
    library = sys.modules.get(kind.__module__.partition(".")[0])
    if module is None or library is None or vars(module).get(kind.__qualname__) is not kind:
        return False
    file, top = (str(getattr(part, "__file__", None) or "") for part in (module, library))
    return bool(top) and Path(file).is_relative_to(Path(top).parent)


def replaced_method(kind: type) -> str:
    """Return which method of a library's class, or of one above it, somebody has replaced; "" where none is.

    Methods that only fit do not count: the model is fitted. A function that wraps the library's own does not either:
    programs watch methods so, and the answers are compared.
    """
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] not in _LIBRARIES:
            continue
        for attribute, value in vars(base).items():
            function = getattr(value, "__func__", value)
            while isinstance(function, FunctionType) and hasattr(function, "__wrapped__"):
                function = function.__wrapped__
            if not isinstance(function, FunctionType) or "fit" in attribute:
                continue
            module = str(function.__globals__.get("__name__", ""))
            top = module.partition(".")[0]
            if module == f"namedtuple_{base.__name__}":
                continue  # the `__new__` that Python writes for a named tuple, such as IterativeImputer holds
            if top not in _LIBRARIES and top not in sys.stdlib_module_names:
                return f"{base.__qualname__}.{attribute} was replaced by a function of {module}"
    return ""
