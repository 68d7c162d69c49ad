"""Mount a predictor in Flask."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import flask

from fourfold.embed.on_error import OnError, unpack
from fourfold.embed.paths import ONCE, taken
from fourfold.protocols import PredictProtocol, Refused, Reply

__all__ = ["blueprint", "register"]

_READ_BYTES = 64 * 1024
#: The paths of the mounts in a blueprint, whose rules are known only once it is registered.
_mounts: WeakKeyDictionary[flask.Blueprint, dict[str, str]] = WeakKeyDictionary()


class _MountBlueprint(flask.Blueprint):
    """Register one route; refuse a path that the app answers already, and take a name that is free."""

    path = ""
    model = ""

    def register(self, app: Any, options: dict[str, Any]) -> None:
        state = self.make_setup_state(app, options, first_registration=False)
        prefix = state.url_prefix or ""
        check_free(app, prefix.rstrip("/") + self.path if self.path else prefix, state.subdomain)
        if "name" not in options:
            parent = options.get("name_prefix", "")
            options = {**options, "name": _free_name(self.name, parent, app.blueprints)}
        super().register(app, options)


def blueprint(protocol: PredictProtocol, path: str, on_error: OnError | None) -> flask.Blueprint:
    """Return a blueprint with the route `POST path`; see `fourfold.embed.flask_blueprint`."""

    def predict(**_: Any) -> Any:  # the parameters of a prefix are the host's: `flask.request.view_args` has them
        reply = _reply(protocol, flask.request)
        if on_error is not None and reply.failure is not None:
            result = flask.current_app.ensure_sync(on_error)(flask.request, reply.failure)
            if callable(result) and hasattr(result, "status_code"):  # a response, of Flask or of Werkzeug
                return result
            if result is not None:
                return flask.make_response(unpack(result, reply.failure))
        return flask.Response(reply.body, reply.status, dict(reply.headers))

    predict.fourfold_mount = protocol.headers["x-fourfold-model"]  # type: ignore[attr-defined]
    name = re.sub(r"\W+", "_", f"fourfold_{protocol.predictor.name}{path}")
    mount = _MountBlueprint(name, __name__)
    mount.path, mount.model = path, protocol.headers["x-fourfold-model"]
    mount.add_url_rule(path, "predict", predict, methods=["POST"])
    return mount


def register(app: flask.Flask | flask.Blueprint, mount: flask.Blueprint) -> None:
    """Register a mount's blueprint in an app or in another blueprint.

    Raises:
        ValueError: the path is taken.
    """
    assert isinstance(mount, _MountBlueprint)
    if isinstance(app, flask.Blueprint):
        paths = _mounts.setdefault(app, {})
        if mount.path in paths:
            raise taken((app.url_prefix or "") + mount.path, f"the mount of {paths[mount.path]}", ONCE)
        app.register_blueprint(mount)
        paths[mount.path] = mount.model
    else:
        app.register_blueprint(mount)


def check_free(app: flask.Flask, path: str, subdomain: str | None) -> None:
    """Check that an app has no rule of its own for `POST path`. A rule with parameters may match it: this one wins.

    Raises:
        ValueError: it has one.
    """
    subdomain = subdomain or app.url_map.default_subdomain
    for rule in app.url_map.iter_rules():
        if rule.rule == path and rule.subdomain == subdomain and "POST" in (rule.methods or ("POST",)):
            view = app.view_functions.get(rule.endpoint)
            model = getattr(view, "fourfold_mount", None)
            raise taken(path, f"the mount of {model}", ONCE) if model else taken(path, f"the app's {rule.endpoint}")


def _free_name(name: str, parent: str, names: Iterable[str]) -> str:
    """Return a name that no blueprint has yet: an app may have a model twice, or two models of one name."""
    used = set(names)
    tries = (name if number == 1 else f"{name}_{number}" for number in count(1))
    return next(free for free in tries if f"{parent}.{free}".lstrip(".") not in used)


def _reply(protocol: PredictProtocol, request: flask.Request) -> Reply:
    try:
        body = _read_body(protocol, request)
    except Refused as error:
        return protocol.error_reply(error)
    return protocol(body, {name.lower(): value for name, value in request.headers}, request.query_string)


def _read_body(protocol: PredictProtocol, request: flask.Request) -> bytes:
    """Read the body in chunks, so that a body that is too long is not read to its end."""
    protocol.check_length(request.content_length or 0)
    chunks: list[bytes] = []
    length = 0
    while chunk := request.stream.read(_READ_BYTES):
        length += len(chunk)
        protocol.check_length(length)
        chunks.append(chunk)
    return b"".join(chunks)
