"""Serve a predictor over HTTP, with micro-batches (docs/service.md)."""

from fourfold.errors import naming_missing_library

with naming_missing_library("the service", extra="service"):
    from fourfold.service.application import app
    from fourfold.service.job import Job
    from fourfold.service.run import running, serve

__all__ = ["Job", "app", "running", "serve"]
