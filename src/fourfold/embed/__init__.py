"""Mount a predictor in a web app of your own, with one line (docs/embed.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fourfold.errors import MissingLibrary
from fourfold.predictor import Predictor
from fourfold.protocols import MAX_BODY_BYTES, PredictProtocol

if TYPE_CHECKING:
    import flask
    from fastapi import APIRouter
    from starlette.routing import Route

__all__ = ["fastapi_router", "flask_blueprint", "mount", "starlette_route"]

# The classes that `mount` accepts, by name: no framework is imported to recognize its app.
_FLASK_CLASSES = {"flask.app.Flask", "flask.blueprints.Blueprint"}
_FASTAPI_CLASSES = {"fastapi.applications.FastAPI", "fastapi.routing.APIRouter"}
_STARLETTE_CLASSES = {"starlette.applications.Starlette", "starlette.routing.Router"}


def mount(
    app: Any,
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
) -> None:
    """Add the route `POST path`, which predicts, to an existing web app; the rest of the app does not change.

    Args:
        app: a Flask app or blueprint, a FastAPI app or router, or a Starlette app or router; its type tells which, and
            no other framework is imported.
        predictor: a loaded package.
        path: the route's path, under the prefix of the app or blueprint.
        max_body_bytes: the most bytes of a request's body.
        max_decoded_bytes: the most bytes of memory that its rows may take once they are decoded; `None` for sixteen
            times `max_body_bytes`, but at least 512 MiB.

    Raises:
        TypeError: the app belongs to none of these frameworks, or `predictor` is not a predictor.
    """
    if not callable(getattr(predictor, "answer", None)):
        raise TypeError(f"expected a predictor, as fourfold.load gives it; got {predictor!r}")
    class_names = {f"{base.__module__}.{base.__qualname__}" for base in type(app).__mro__}
    if class_names & _FLASK_CLASSES:
        app.register_blueprint(
            flask_blueprint(predictor, path, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
        )
    elif class_names & _FASTAPI_CLASSES:  # before Starlette, whose classes FastAPI's derive from
        app.include_router(
            fastapi_router(predictor, path, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
        )
    elif class_names & _STARLETTE_CLASSES:
        router = getattr(app, "router", app)
        router.routes.append(
            starlette_route(predictor, path, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
        )
    else:
        app_class = type(app)
        raise TypeError(
            f"expected a Flask, FastAPI or Starlette app, or a blueprint or router of theirs; got a "
            f"{app_class.__module__}.{app_class.__qualname__}"
        )


def flask_blueprint(
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
) -> flask.Blueprint:
    """Return a Flask blueprint with the route `POST path`, to be registered under any prefix.

    Raises:
        MissingLibrary: Flask is not installed.
    """
    try:
        from fourfold.embed.flask import blueprint
    except ModuleNotFoundError as error:
        raise _import_error(error, "flask", extra="flask", purpose="a Flask blueprint") from error
    return blueprint(
        PredictProtocol(predictor, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes), path
    )


def fastapi_router(
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
) -> APIRouter:
    """Return a FastAPI router with the route `POST path`; the app's OpenAPI page shows it with its fields.

    Raises:
        MissingLibrary: FastAPI is not installed.
    """
    try:
        from fourfold.embed.fastapi import router
    except ModuleNotFoundError as error:
        raise _import_error(error, "fastapi", extra="fastapi", purpose="a FastAPI router") from error
    protocol = PredictProtocol(predictor, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
    return router(protocol, path)


def starlette_route(
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
) -> Route:
    """Return a Starlette route `POST path`, for the routes of an app or a `Mount`.

    Raises:
        MissingLibrary: Starlette is not installed.
    """
    try:
        from fourfold.embed.starlette import route
    except ModuleNotFoundError as error:
        raise _import_error(error, "starlette", extra="service", purpose="a Starlette route") from error
    protocol = PredictProtocol(predictor, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
    return route(protocol, path)


def _import_error(error: ModuleNotFoundError, library: str, *, extra: str, purpose: str) -> Exception:
    """Return the error to raise: `MissingLibrary`, or the error itself where another module is missing."""
    if (error.name or "").partition(".")[0] != library:
        return error
    return MissingLibrary(library, extra=extra, purpose=purpose)
