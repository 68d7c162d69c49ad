"""Open a model whose file needs modules of the user's own, from the folders that the user allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fourfold.cli.output import printable
from fourfold.errors import PackError

if TYPE_CHECKING:
    from fourfold.runtimes.engine import OpenedModel

__all__ = ["open_with_modules"]


def open_with_modules(
    kind: str, path: str | Path, folders: Sequence[Path], *, may_ask: bool, **options: Any
) -> OpenedModel:
    """Return the model of a file; its modules are also found in some folders.

    An estimator's file that needs a module of the current folder is answered with a question on a terminal, and
    elsewhere with the option that allows it. The command `fourfold`, as every script, does not search that folder.

    Args:
        kind: the kind of the file.
        path: the file.
        folders: the folders; what is in them runs where the model needs it.
        may_ask: whether the user may be asked.
        options: what `open_model` takes besides.

    Raises:
        PackError: the file cannot be opened; where a module is in the current folder, the message names the option.
    """
    from fourfold.runtimes.open_model import open_model

    if folders and kind not in ("estimator", "function", "skops"):
        raise click.UsageError(f"--modules is for a model of Python objects; a model of the kind {kind} has no modules")
    _search(folders)
    try:
        return open_model(kind, path, **options)
    except PackError as error:
        file = _file_here(error.__cause__) if kind == "estimator" else None
        if file is None:
            raise
        question = (
            f"{printable(str(path))} needs {printable(str(file))} of the current folder, which would run. Run it?"
        )
        is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
        if not (may_ask and is_terminal and click.confirm(question, err=True)):
            raise PackError(
                f"the estimator in {path} needs the module {file.stem}, which is in the current folder ({file}), where "
                "it is not looked for unasked: say --modules . to run it from there"
            ) from error
    _search([Path()])
    return open_model(kind, path, **options)


def _file_here(cause: BaseException | None) -> Path | None:
    """Return the file or folder in the current folder that a module would be imported from, where it was not found."""
    if not isinstance(cause, ModuleNotFoundError) or not cause.name:
        return None
    name = cause.name.partition(".")[0]
    return next((path for path in (Path(f"{name}.py"), Path(name)) if path.is_file() or any(path.glob("*.py"))), None)


def _search(folders: Sequence[Path]) -> None:
    """Search folders for modules, after all others: a file there takes no library's place."""
    for folder in folders:
        entry = str(folder.absolute())
        if entry not in sys.path:
            sys.path.append(entry)
