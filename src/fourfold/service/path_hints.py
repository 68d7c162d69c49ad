"""Say where to go instead of a path or method that the service does not have."""

from __future__ import annotations

import re

__all__ = ["method_hint", "path_hint"]

_PREDICT = "POST rows to /predict"
#: The paths of other servers, and of tools that look for what most services have.
_ELSEWHERE = (
    (r"/invocations", f"{_PREDICT}: the path of SageMaker and MLflow is not spoken"),
    (r"/ping", "GET /health/ready tells whether it answers"),
    (r"/v1/models(/.*)?", f"{_PREDICT}: the paths of TensorFlow Serving and KServe are not spoken"),
    (r"/v2(/models|/repository)?(/.*)?", f"{_PREDICT}: the Open Inference Protocol is not spoken"),
    (r"/predictions(/.*)?", f"{_PREDICT}: the paths of TorchServe are not spoken"),
    (r"/api/v[0-9.]+/predictions", f"{_PREDICT}: the paths of Seldon are not spoken"),
    (r"/(docs|redoc|swagger.*|api-docs|schema)", "GET /openapi.json has the description"),
    (r"/(openapi|swagger)\.(json|ya?ml)", "GET /openapi.json has the description"),
    (r"/(version|info|model|models|metadata|manifest)", "GET / and GET /package tell what this is"),
    (r"/(health|healthz|livez|readyz|live|ready|alive|status|up)", "GET /health/live and GET /health/ready tell"),
    (r"/(favicon\.ico|robots\.txt|index\.html?)", "GET / lists what there is"),
)
_PATTERNS = tuple((re.compile(pattern), hint) for pattern, hint in _ELSEWHERE)


def path_hint(path: str, method: str, paths: frozenset[str]) -> str:
    """Return where to go instead of a path that is none.

    Args:
        path: the request's path.
        method: its method.
        paths: the paths that there are.
    """
    plain = "/" + "/".join(filter(None, path[:200].lower().split("/")))
    if plain in paths:
        return f"did you mean {plain}?"
    for pattern, hint in _PATTERNS:
        if pattern.fullmatch(plain):
            return hint
    return f"{_PREDICT}; GET / lists what there is" if method == "POST" else "GET / lists what there is"


def method_hint(path: str, example: str | None) -> str:
    """Return how to use a path that takes another method; empty where the method alone says it.

    Args:
        path: the request's path, which there is.
        example: a row in JSON; `None` while the package is loading.
    """
    if path != "/predict":
        return f"; {_PREDICT}"
    row = "" if example is None else f", such as curl -H 'content-type: application/json' -d {_quoted(example)}"
    return f"; {_PREDICT}{row}"


def _quoted(text: str) -> str:
    """Return a text as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
