"""Say where to go instead of a path or method that the service does not have."""

from __future__ import annotations

import re

__all__ = ["method_hint", "path_hint"]

_PREDICT = "POST rows to /predict"
#: The paths of other servers, and of tools that look for what most services have.
_ELSEWHERE = (
    (r"/invocations", f"{_PREDICT}: the path of SageMaker and MLflow is not served"),
    (r"/ping", "GET /health/ready tells whether it answers"),
    (r"/v1/models(/.*)?", f"{_PREDICT}: the paths of TensorFlow Serving and KServe are not served"),
    (r"/v2(/models|/repository)?(/.*)?", f"{_PREDICT}: the Open Inference Protocol is not served"),
    (r"/predictions(/.*)?", f"{_PREDICT}: the paths of TorchServe are not served"),
    (r"/api/v[0-9.]+/predictions", f"{_PREDICT}: the paths of Seldon are not served"),
    (r"/(docs|redoc|swagger.*|api-docs|schema)", "GET /openapi.json has the description"),
    (r"/(openapi|swagger)\.(json|ya?ml)", "GET /openapi.json has the description"),
    (r"/(version|info|model|models|metadata|manifest)", "GET / and GET /package tell what this is"),
    (r"/(health|healthz|livez|readyz|live|ready|alive|status|up)", "GET /health/live and GET /health/ready tell"),
    (r"/(favicon\.ico|robots\.txt|index\.html?)", "GET / lists what there is"),
)
#: How much of a path is looked at.
_MAX_PATH_CHARACTERS = 200
_PATTERNS = tuple((re.compile(pattern), hint) for pattern, hint in _ELSEWHERE)


def path_hint(path: str, method: str, paths: frozenset[str], root: str = "") -> str:
    """Return where to go instead of a path that is none.

    Args:
        path: the request's path, below the root.
        method: its method.
        paths: the paths that there are.
        root: where the service itself is mounted, in a larger application.
    """
    plain = "/" + "/".join(filter(None, path[:_MAX_PATH_CHARACTERS].lower().split("/")))
    if plain in paths:
        return _below(root, f"did you mean {plain}?")
    otherwise = f"{_PREDICT}; GET / lists what there is" if method == "POST" else "GET / lists what there is"
    return _below(root, next((hint for pattern, hint in _PATTERNS if pattern.fullmatch(plain)), otherwise))


def method_hint(path: str, example: str | None, root: str = "") -> str:
    """Return how to use a path that takes another method.

    Args:
        path: the request's path, below the root.
        example: a row in JSON; `None` where there is none to show.
        root: where the service itself is mounted, in a larger application.
    """
    if path != "/predict" or example is None:
        return _below(root, _PREDICT)
    return f"{_below(root, _PREDICT)}, such as curl -H 'content-type: application/json' -d {_quoted(example)}"


def _below(root: str, hint: str) -> str:
    """Return a hint with its paths below a root."""
    return hint.replace(" /", f" {root}/")


def _quoted(text: str) -> str:
    """Return a text as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
