"""Check whether a port can be listened on."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from fourfold.checks import Check

__all__ = ["check_port"]


def check_port(host: str, port: int, *, is_named: bool) -> Iterator[Check]:
    """Yield whether a service could listen.

    Args:
        host: the address.
        port: the port.
        is_named: whether the caller named it; the default may be taken by a service that runs already.
    """
    name, address = "port", f"{host}:{port}"
    try:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            status = "problem" if is_named else "note"
            yield Check(
                name,
                "problem" if status == "problem" else "note",
                f"{address} is in use",
                "fourfold serve NAME --port 0",
            )
        else:
            yield Check(name, "problem", f"{address} cannot be listened on: {error.strerror or error}")
    else:
        yield Check(name, "ok", f"{address} is free")
