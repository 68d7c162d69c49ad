"""Apps of every framework that `embed.mount` knows, and real servers for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flask
import httpx
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Router
from werkzeug.serving import make_server

from tests.embed.app_client import client_of

#: The apps of each framework.
APPS: dict[str, Callable[[], Any]] = {
    "Flask": lambda: flask.Flask("host"),
    "FastAPI": FastAPI,
    "Starlette": Starlette,
}
#: And what stands for a part of an app in each.
PARTS: dict[str, Callable[[], Any]] = {
    "Flask blueprint": lambda: flask.Blueprint("part", "part"),
    "FastAPI router": APIRouter,
    "Starlette router": Router,
}


@contextmanager
def served(app: Any) -> Iterator[httpx.Client]:
    """An HTTP client of an app that a real server of its framework runs."""
    if not isinstance(app, flask.Flask):
        with client_of(app) as client:
            yield client
        return
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", timeout=60) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
