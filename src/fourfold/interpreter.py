"""Find the Python that runs a process of our own, and say what it must take no notice of, as this one does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["PYTHON_VARIABLE", "find_python", "python_flags"]

#: The environment variable that names the interpreter, where Python is part of another program.
PYTHON_VARIABLE = "FOURFOLD_PYTHON"


def find_python() -> str | None:
    """Return the path of an interpreter, or `None`: inside of another program, the executable is that program."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return named
    if "python" in os.path.basename(sys.executable or "").lower():  # noqa: PTH119 - may be None
        return sys.executable
    installed = Path(sys.exec_prefix) / "bin" / "python3"
    return str(installed) if installed.is_file() else None


def python_flags() -> list[str]:
    """Return the flags of this Python that say what it takes no notice of; a process takes none of it either.

    The working folder is never searched for modules.
    """
    flags = [("-E", sys.flags.ignore_environment), ("-s", sys.flags.no_user_site)]
    return ["-P", *(flag for flag, is_set in flags if is_set)]
