"""Compile the evaluator as a step of a setuptools build."""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

from build_backend import compilers


class BuildExtension(build_ext):
    """Compile with the compiler and the flags that `compilers` chooses, not with those that built this Python."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension into the build folder.

        Raises:
            CompileError: No compiler works, or it refuses the files; the message says what to do.
        """
        if os.name == "nt":  # setuptools finds Microsoft's compiler and Python's import library
            ext.extra_compile_args = ["/O2", "/fp:strict"]
            ext.define_macros = [("Py_LIMITED_API", "0x030B0000")]  # links python3.lib
            super().build_extension(ext)
            return
        try:
            compiler = compilers.build_extension(
                [Path(source) for source in ext.sources], Path(self.get_ext_fullpath(ext.name))
            )
        except compilers.CompilerError as error:
            raise CompileError(str(error)) from error
        self.announce(f"built {ext.name} with {compiler}", level=2)
