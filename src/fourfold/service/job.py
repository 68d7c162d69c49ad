"""Describe how the service runs: address, workers and limits."""

from __future__ import annotations

from dataclasses import dataclass

from fourfold.errors import ServiceError, shorten
from fourfold.protocols import MAX_BODY_BYTES

__all__ = ["Job"]

_MINIMUMS = {
    "port": 0,
    "workers": 1,
    "max_body_bytes": 1,
    "max_decoded_bytes": 1,
    "micro_batch_rows": 1,
    "queue_rows": 1,
    "notice_seconds": 0,
    "drain_seconds": 0,
}


@dataclass(frozen=True, slots=True)
class Job:
    """Hold the settings of the service.

    Args:
        host: the address to listen on; `0.0.0.0` or `::` for every address of this machine.
        port: the port to listen on; 0 takes a free one.
        workers: processes that share the port; each loads the package itself.
        max_body_bytes: the longest request body, in bytes; a longer one is refused before it has been read.
        max_decoded_bytes: the most bytes of memory that a request's rows may take once they are decoded: a few hundred
            bytes can stand for gigabytes. `None` for sixteen times `max_body_bytes`, but at least 512 MiB.
        micro_batch_rows: the most rows to which waiting requests are merged for one call of the engine. One request may
            bring more.
        queue_rows: the most rows that may wait, per worker, while the engine is busy; further requests get a 503. One
            request may bring more where nothing else waits.
        notice_seconds: how long the service goes on after SIGTERM, in seconds, while `/health/ready` answers 503 and
            every reply closes its connection, so that load balancers look elsewhere before the port is closed.
        drain_seconds: how long accepted requests may take to finish after SIGTERM, in seconds.
        access_log: whether every request is logged, as a line on stdout.

    Raises:
        ServiceError: a setting is of another type or out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    max_body_bytes: int = MAX_BODY_BYTES
    max_decoded_bytes: int | None = None
    micro_batch_rows: int = 1024
    queue_rows: int = 65_536
    notice_seconds: int = 1
    drain_seconds: int = 30
    access_log: bool = False

    def __post_init__(self) -> None:
        for name, minimum in _MINIMUMS.items():
            value = getattr(self, name)
            if value is None and name == "max_decoded_bytes":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
                raise ServiceError(f"expected {name} to be an integer of at least {minimum}; got {shorten(value)}")
        if self.port > 65_535:
            raise ServiceError(f"expected port to be at most 65535; got {self.port}")
