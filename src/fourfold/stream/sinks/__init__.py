"""Turn the name of a sink into a sink: a file, standard output or another pipe."""

from __future__ import annotations

import os
import stat

from fourfold.durable.outputs import check_no_link, open_descriptor
from fourfold.errors import SinkError
from fourfold.stream.sinks.files import FileSink
from fourfold.stream.sinks.pipes import PipeSink
from fourfold.stream.urls import local_path

__all__ = ["open_sink"]


def open_sink(url: str | os.PathLike[str]) -> FileSink | PipeSink:
    """Return the sink of a name; it is opened when a run starts.

    Args:
        url: a path, a `file://` URL, or `-` for standard output. A path can also name a pipe or a device, and
            `/dev/stdout` or `/dev/fd/3` what this process has open.

    Raises:
        SinkError: the name is empty, a folder's or a symbolic link's, its folder is missing, or its URL has another
            scheme.
    """
    path = local_path(url, SinkError, "a sink")
    if path is None:
        return PipeSink(1, "standard output")
    descriptor = open_descriptor(path)
    if descriptor is not None:
        return PipeSink(descriptor, str(path))
    if not path.parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {path.parent}")
    try:
        check_no_link(path)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from None
    if not path.exists():
        return FileSink(path)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise SinkError(f"cannot write {path}: expected a file, got a folder")
    return FileSink(path) if stat.S_ISREG(mode) else PipeSink(path, str(path))
