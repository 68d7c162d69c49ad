"""Notice files that a package's code reads: no package carries them, and another host may have others.

Python tells an audit hook of every file that it opens. Files that a library or Python opens for itself do not count.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fourfold.errors import PackError, shorten
from fourfold.runtimes.distributions import DRIVEN_LIBRARIES

__all__ = ["refuse_file_reads"]

#: Folders of the system, which no model keeps data in.
_SYSTEM_FOLDERS = ("/dev", "/etc/zoneinfo", "/proc", "/sys", "/usr/lib", "/usr/share")
#: Modules that read files for whoever calls them. Fourfold itself reads the lists of installed distributions.
_READERS = (sys.stdlib_module_names | DRIVEN_LIBRARIES) - {"fourfold", "linecache"}
_watchers: list[_Watcher] = []


class _Watcher:
    """Collect the files that modules with a private name read.

    Args:
        private: the private name of the package's modules.
        modules: their names.
    """

    def __init__(self, private: str, modules: Iterable[str]) -> None:
        self.read: dict[str, str] = {}
        self.unpickled: list[str] = []
        self._modules = frozenset(modules)
        self._prefix = f"<{private}>/"
        self._written: set[str] = set()
        paths = sysconfig.get_paths()
        folders = {sys.prefix, sys.base_prefix, *(paths[key] for key in ("stdlib", "purelib", "platlib"))}
        self._skipped = (*(f"{Path(folder).absolute()}{os.sep}" for folder in folders), *_SYSTEM_FOLDERS)

    def see(self, path: object, mode: object, flags: object) -> None:
        """Note a file that is opened, if the package's code asked for that."""
        if isinstance(path, int) or path is None:
            return
        name = os.fsdecode(path)  # type: ignore[arg-type]
        is_carried = name.startswith(self._prefix)
        full = name if is_carried else str(Path(name).absolute())
        is_write = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        if is_write or (isinstance(mode, str) and set(mode) & set("wax+")):
            self._written.add(full)
        elif full not in self._written and not full.startswith(self._skipped):
            module = self._asking_module(sys._getframe(2))  # noqa: SLF001 - past this method and the hook
            if module is not None:
                self.read.setdefault(full, module)

    def see_class(self, module: object, name: object) -> None:
        """Note a class of the package's modules that an unpickler takes from the host's, which have the same names."""
        if module in self._modules:
            self.unpickled.append(f"{module}.{name}")

    @property
    def reason(self) -> str:
        """Return what the code took from its host and the way out; "" where it took nothing."""
        if self.read:
            path, module = next(iter(self.read.items()))
            more = f" (and {len(self.read) - 1} more)" if len(self.read) > 1 else ""
            return (
                f"the code in {module} reads the file {shorten(path.removeprefix(self._prefix), 200)}{more}, which no "
                "package carries: read it when the model is made and keep what it says in the model's state, or write "
                "it into the module as a constant, or install module and file as a distribution (a wheel)"
            )
        if self.unpickled:
            return (
                f"the code unpickles {self.unpickled[0]} by itself, which takes the class from the host's own module "
                "and not from the package: keep the object itself in the model's state"
            )
        return ""

    def _asking_module(self, frame: FrameType | None) -> str | None:
        """Return the package's module that opens a file, itself or through Python and the libraries that read tables.

        Returns:
            `None` where an import or somebody else's library opens it.
        """
        while frame is not None:
            file = frame.f_code.co_filename
            top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if file.startswith(self._prefix):
                return file.removeprefix(self._prefix)
            is_loader = "importlib._bootstrap" in file
            # A loader's `get_data` reads a module for an import, or any file of a package for `pkgutil`.
            if frame.f_code.co_name != "get_data" if is_loader else top not in _READERS:
                return None
            frame = frame.f_back
        return None


@contextmanager
def refuse_file_reads(private: str, modules: Iterable[str] = ()) -> Iterator[None]:
    """Run code of a package, and refuse what reads files.

    Args:
        private: the private name of the package's modules, `PackageCode.name`.
        modules: the names of the modules that the package carries.

    Raises:
        PackError: a module of the package read a file, or a pickle that takes a class from the host's own modules.
    """
    _install_hook()
    watcher = _Watcher(private, modules)
    _watchers.append(watcher)
    try:
        yield
    except Exception as error:
        # The code may have failed because of the file, which then says more than the failure.
        if watcher.reason:
            raise PackError(watcher.reason) from error
        raise
    finally:
        _watchers.remove(watcher)
    if watcher.reason:
        raise PackError(watcher.reason)


_is_installed = False


def _install_hook() -> None:
    global _is_installed  # noqa: PLW0603 - Python keeps an audit hook until the process ends
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers:
        return
    if event == "open":
        for watcher in tuple(_watchers):
            watcher.see(*arguments)
    elif event == "pickle.find_class":
        for watcher in tuple(_watchers):
            watcher.see_class(*arguments)
