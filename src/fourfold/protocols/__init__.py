"""Turn a request's bytes into a call of a predictor, and its answer into a reply's bytes.

The service and the mounts in web frameworks share this, so they cannot read one request in two ways (docs/service.md).
They add only the transport: this room has no sockets, queues or metrics.
"""

from fourfold.codecs.formats import ARROW, CSV, JSON, JSON_LINES, PARQUET
from fourfold.protocols.media_types import MEDIA_TYPES
from fourfold.protocols.predict import MAX_BODY_BYTES, Call, PredictProtocol, join_headers
from fourfold.protocols.replies import Failure, Refused, Reply, error_reply, internal_error_reply

__all__ = [
    "ARROW",
    "CSV",
    "JSON",
    "JSON_LINES",
    "MAX_BODY_BYTES",
    "MEDIA_TYPES",
    "PARQUET",
    "Call",
    "Failure",
    "PredictProtocol",
    "Refused",
    "Reply",
    "error_reply",
    "internal_error_reply",
    "join_headers",
]
