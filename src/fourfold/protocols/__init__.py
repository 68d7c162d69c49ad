"""Bytes in a media type → predictor → bytes: what the service and the mounts in web frameworks share.

They only differ in how the bytes come and go, so no two of them can read a request in two ways (docs/service.md).
"""

from fourfold.codecs.formats import ARROW, CSV, JSON, JSON_LINES, PARQUET
from fourfold.protocols.media_types import MEDIA_TYPES
from fourfold.protocols.predict import MAX_BODY_BYTES, Call, PredictProtocol, join_headers
from fourfold.protocols.replies import Refused, Reply, error_reply, internal_error_reply

__all__ = [
    "ARROW",
    "CSV",
    "JSON",
    "JSON_LINES",
    "MAX_BODY_BYTES",
    "MEDIA_TYPES",
    "PARQUET",
    "Call",
    "PredictProtocol",
    "Refused",
    "Reply",
    "error_reply",
    "internal_error_reply",
    "join_headers",
]
