"""Turn the name of a source into a source: a file, standard input or another pipe."""

from __future__ import annotations

import os
import stat

from fourfold.errors import SourceError
from fourfold.stream.sources.files import FileSource
from fourfold.stream.sources.pipes import PipeSource
from fourfold.stream.sources.protocol import STOP_CHECK_INTERVAL_S
from fourfold.stream.urls import local_path

__all__ = ["open_source"]


def open_source(
    url: str | os.PathLike[str], *, follow: bool = False, poll: float = STOP_CHECK_INTERVAL_S
) -> FileSource | PipeSource:
    """Return the source of a name; it is opened when a run starts.

    Args:
        url: a path, a `file://` URL, or `-` for standard input. A path can also name a pipe or a device.
        follow: keep reading as the file grows, until the run is stopped.
        poll: the interval at which a followed file is checked for more, in seconds.

    Raises:
        SourceError: the file does not exist or is a folder, a pipe is to be followed, or the URL has another scheme.
    """
    path = local_path(url, SourceError, "a source")
    if path is None:
        source: FileSource | PipeSource = PipeSource(0, "standard input")
    else:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            raise SourceError(f"cannot read {path}: expected a file of JSON lines, got a folder")
        source = FileSource(path, follow=follow, poll=poll) if stat.S_ISREG(mode) else PipeSource(path, str(path))
    if follow and isinstance(source, PipeSource):
        raise SourceError(f"only a file can be followed; {source.name} is read until its writer closes it anyway")
    return source
