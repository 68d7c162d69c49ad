"""Mount a predictor in Flask."""

from __future__ import annotations

import re

import flask

from fourfold.protocols import PredictProtocol, Refused, Reply

__all__ = ["blueprint"]

_READ_BYTES = 64 * 1024


def blueprint(protocol: PredictProtocol, path: str) -> flask.Blueprint:
    """Return a blueprint with the route `POST path`; see `fourfold.embed.flask_blueprint`."""

    def predict() -> flask.Response:
        reply = _reply(protocol, flask.request)
        return flask.Response(reply.body, reply.status, dict(reply.headers))

    # Blueprints need distinct names in an app: a model can be mounted at two paths, or two models.
    flask_blueprint = flask.Blueprint(re.sub(r"\W+", "_", f"fourfold_{protocol.predictor.name}{path}"), __name__)
    flask_blueprint.add_url_rule(path, "predict", predict, methods=["POST"])
    return flask_blueprint


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
