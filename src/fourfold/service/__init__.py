"""Serve a predictor over HTTP, with micro-batches (docs/service.md)."""

from fourfold.errors import MissingLibrary

try:
    from fourfold.service.application import app
    from fourfold.service.job import Job
    from fourfold.service.run import running, serve
except ModuleNotFoundError as error:
    library = (error.name or "").partition(".")[0]
    if library not in ("httptools", "starlette", "uvicorn"):
        raise
    raise MissingLibrary(library, extra="service", purpose="the service") from error

__all__ = ["Job", "app", "running", "serve"]
