"""The mount in Flask."""

from __future__ import annotations

import re

import flask

from fourfold.predictor import Predictor
from fourfold.protocols import PredictProtocol, Refused, Reply

__all__ = ["blueprint"]

_PIECE = 64 * 1024


def blueprint(predictor: Predictor, path: str, max_body_bytes: int) -> flask.Blueprint:
    """A blueprint with `POST path`; as `fourfold.embed.flask_blueprint`."""
    protocol = PredictProtocol(predictor, max_body_bytes=max_body_bytes)

    def predict() -> flask.Response:
        reply = _reply(protocol, flask.request)
        return flask.Response(reply.body, reply.status, dict(reply.headers))

    # An app knows its blueprints by name: one model at two paths, or two models, are two of them.
    made = flask.Blueprint(re.sub(r"\W+", "_", f"fourfold_{predictor.name}{path}"), __name__)
    made.add_url_rule(path, "predict", predict, methods=["POST"])
    return made


def _reply(protocol: PredictProtocol, request: flask.Request) -> Reply:
    try:
        body = _read(protocol, request)
    except Refused as error:
        return protocol.error_reply(error)
    return protocol(body, {name.lower(): value for name, value in request.headers})


def _read(protocol: PredictProtocol, request: flask.Request) -> bytes:
    """The body, in pieces, so that one that is too long is not read to its end."""
    protocol.check_length(request.content_length or 0)
    pieces: list[bytes] = []
    length = 0
    while piece := request.stream.read(_PIECE):
        length += len(piece)
        protocol.check_length(length)
        pieces.append(piece)
    return b"".join(pieces)
