"""The integrated approach: a predictor inside another program, and one line to mount it in a web app.

The page of this room is docs/embed.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fourfold.errors import MissingLibrary
from fourfold.predictor import Predictor
from fourfold.protocols import MAX_BODY_BYTES

if TYPE_CHECKING:
    import flask
    from fastapi import APIRouter
    from starlette.routing import Route

__all__ = ["fastapi_router", "flask_blueprint", "mount", "starlette_route"]

#: Where `mount` puts a route, by what the app's class, or one that it derives from, is called.
_FLASK = {"flask.app.Flask", "flask.blueprints.Blueprint"}
_FASTAPI = {"fastapi.applications.FastAPI", "fastapi.routing.APIRouter"}
_STARLETTE = {"starlette.applications.Starlette", "starlette.routing.Router"}


def mount(app: Any, predictor: Predictor, path: str = "/predict", *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
    """Add `POST path`, which predicts, to a web app that is there already; the rest of the app stays as it is.

    Args:
        app: a Flask app or blueprint, a FastAPI app or router, or a Starlette app or router; which of them is told
            from its type, and no other framework is imported.
        predictor: a loaded package.
        path: the route's path, under the prefix that the app or blueprint has.
        max_body_bytes: the longest request body, in bytes.

    Raises:
        TypeError: the app is of no framework that is known here, or this is no predictor.
    """
    if not callable(getattr(predictor, "answer", None)):
        raise TypeError(f"expected a predictor, as fourfold.load gives it; got {predictor!r}")
    names = {f"{base.__module__}.{base.__qualname__}" for base in type(app).__mro__}
    if names & _FLASK:
        app.register_blueprint(flask_blueprint(predictor, path, max_body_bytes=max_body_bytes))
    elif names & _FASTAPI:  # before Starlette, which its classes derive from
        app.include_router(fastapi_router(predictor, path, max_body_bytes=max_body_bytes))
    elif names & _STARLETTE:
        router = getattr(app, "router", app)
        router.routes.append(starlette_route(predictor, path, max_body_bytes=max_body_bytes))
    else:
        kind = type(app)
        raise TypeError(
            f"expected a Flask, FastAPI or Starlette app, or a blueprint or router of theirs; got a "
            f"{kind.__module__}.{kind.__qualname__}"
        )


def flask_blueprint(
    predictor: Predictor, path: str = "/predict", *, max_body_bytes: int = MAX_BODY_BYTES
) -> flask.Blueprint:
    """A Flask blueprint with `POST path`; register it where, and with the prefix that, you like.

    Raises:
        MissingLibrary: Flask is not installed.
    """
    try:
        from fourfold.embed.flask import blueprint
    except ModuleNotFoundError as error:
        raise _missing(error, "flask", extra="flask", purpose="a Flask blueprint") from error
    return blueprint(predictor, path, max_body_bytes)


def fastapi_router(predictor: Predictor, path: str = "/predict", *, max_body_bytes: int = MAX_BODY_BYTES) -> APIRouter:
    """A FastAPI router with `POST path`, which the app's own OpenAPI page shows with its fields.

    Raises:
        MissingLibrary: FastAPI is not installed.
    """
    try:
        from fourfold.embed.fastapi import router
    except ModuleNotFoundError as error:
        raise _missing(error, "fastapi", extra="fastapi", purpose="a FastAPI router") from error
    return router(predictor, path, max_body_bytes)


def starlette_route(predictor: Predictor, path: str = "/predict", *, max_body_bytes: int = MAX_BODY_BYTES) -> Route:
    """A Starlette route, `POST path`, for an app's or a `Mount`'s list of routes.

    Raises:
        MissingLibrary: Starlette is not installed.
    """
    try:
        from fourfold.embed.starlette import route
    except ModuleNotFoundError as error:
        raise _missing(error, "starlette", extra="service", purpose="a Starlette route") from error
    return route(predictor, path, max_body_bytes)


def _missing(error: ModuleNotFoundError, library: str, *, extra: str, purpose: str) -> Exception:
    """What to raise: that the library is missing, unless it is another one, which is a bug of somebody else's."""
    if (error.name or "").partition(".")[0] != library:
        return error
    return MissingLibrary(library, extra=extra, purpose=purpose)
