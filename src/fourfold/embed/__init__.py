"""Mount a predictor in a web app of your own, with one line (docs/embed.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fourfold.embed.on_error import OnError, check_on_error
from fourfold.embed.paths import check_path
from fourfold.errors import naming_missing_library
from fourfold.predictor import Predictor
from fourfold.protocols import MAX_BODY_BYTES, Failure, PredictProtocol

if TYPE_CHECKING:
    import flask
    from fastapi import APIRouter
    from starlette.routing import Route

__all__ = ["Failure", "fastapi_router", "flask_blueprint", "mount", "starlette_route"]

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
    on_error: OnError | None = None,
    dependencies: Sequence[Any] | None = None,
    tags: Sequence[Any] | None = None,
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
        on_error: makes the reply to a request that fails, for an envelope of the app's own. It is called with the
            framework's request and the `Failure`, and returns content for JSON (with the failure's status), `(content,
            status)`, `(content, status, headers)`, a response of the framework, or `None` to leave the reply as it
            is. It may be a coroutine function where the framework takes these. What it raises goes to the app.
        dependencies: FastAPI's, such as `[Depends(check_key)]`: they run before the body is read.
        tags: FastAPI's, for its page.

    Raises:
        TypeError: the app belongs to none of these frameworks, `predictor` is not a predictor, or an argument is not
            for this framework.
        ValueError: the path is none, or the app answers `POST path` already.
    """
    if not callable(getattr(predictor, "answer", None)):
        raise TypeError(f"expected a predictor, as fourfold.load gives it; got {predictor!r}")
    class_names = {f"{base.__module__}.{base.__qualname__}" for base in type(app).__mro__}
    bounds: dict[str, Any] = {"max_body_bytes": max_body_bytes, "max_decoded_bytes": max_decoded_bytes}
    if class_names & _FLASK_CLASSES:
        _check_fastapi_only("a view that app.before_request names runs before the body is read", dependencies, tags)
        check_path(path, may_be_empty="flask.blueprints.Blueprint" in class_names)
        blueprint = flask_blueprint(predictor, path, on_error=on_error, **bounds)
        from fourfold.embed.flask import register

        register(app, blueprint)
    elif class_names & _FASTAPI_CLASSES:  # before Starlette, whose classes FastAPI's derive from
        is_router = "fastapi.routing.APIRouter" in class_names
        check_path(path, may_be_empty=is_router)
        router = fastapi_router(
            predictor, path, on_error=on_error, dependencies=dependencies or (), tags=tags or (), **bounds
        )
        _check_free(app.router if not is_router else app, path)
        app.include_router(router)
    elif class_names & _STARLETTE_CLASSES:
        _check_fastapi_only("a middleware runs before the body is read", dependencies, tags)
        route = starlette_route(predictor, path, on_error=on_error, **bounds)
        starlette_router = getattr(app, "router", app)
        _check_free(starlette_router, path)
        starlette_router.routes.append(route)
    else:
        app_class = type(app)
        raise TypeError(
            f"expected a Flask, FastAPI or Starlette app, or a blueprint or router of theirs; got a "
            f"{app_class.__module__}.{app_class.__qualname__}"
        )


def _check_free(router: Any, path: str) -> None:
    from fourfold.embed.starlette import check_free

    check_free(router.routes, path, getattr(router, "prefix", ""))


def _check_fastapi_only(instead: str, dependencies: Sequence[Any] | None, tags: Sequence[Any] | None) -> None:
    """Check that no argument is given that only FastAPI has a use for.

    Raises:
        TypeError: one is.
    """
    if dependencies:
        raise TypeError(f"dependencies are FastAPI's, and this app is of another framework: {instead}")
    if tags:
        raise TypeError("tags are FastAPI's, and this app is of another framework, without a page that shows them")


def flask_blueprint(
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
    on_error: OnError | None = None,
) -> flask.Blueprint:
    """Return a Flask blueprint with the route `POST path`, to be registered under any prefix.

    Raises:
        MissingLibrary: Flask is not installed.
        ValueError: the path is none; or, when it is registered, the app answers it already.
    """
    check_path(path, may_be_empty=True)
    check_on_error(on_error)
    with naming_missing_library("a Flask blueprint", extra="flask"):
        from fourfold.embed.flask import blueprint
    protocol = PredictProtocol(predictor, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
    return blueprint(protocol, path, on_error)


def fastapi_router(
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
    on_error: OnError | None = None,
    dependencies: Sequence[Any] = (),
    tags: Sequence[Any] = (),
) -> APIRouter:
    """Return a FastAPI router with the route `POST path`; the app's OpenAPI page shows it with its fields.

    Raises:
        MissingLibrary: FastAPI is not installed.
        TypeError: `dependencies` or `tags` are none.
        ValueError: the path is none.
    """
    check_path(path, may_be_empty=True)
    check_on_error(on_error)
    with naming_missing_library("a FastAPI router", extra="fastapi"):
        from fourfold.embed.fastapi import check_dependencies, check_tags, router
    protocol = PredictProtocol(predictor, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
    return router(protocol, path, on_error, check_dependencies(dependencies), check_tags(tags))


def starlette_route(
    predictor: Predictor,
    path: str = "/predict",
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_decoded_bytes: int | None = None,
    on_error: OnError | None = None,
) -> Route:
    """Return a Starlette route `POST path`, for the routes of an app or a `Mount`.

    Raises:
        MissingLibrary: Starlette is not installed.
        ValueError: the path is none.
    """
    check_path(path)
    check_on_error(on_error)
    with naming_missing_library("a Starlette route", extra="service"):
        from fourfold.embed.starlette import route
    protocol = PredictProtocol(predictor, max_body_bytes=max_body_bytes, max_decoded_bytes=max_decoded_bytes)
    return route(protocol, path, on_error)
