"""Check the path of a mount: the same plain form in every framework."""

from __future__ import annotations

import re

from fourfold.errors import shorten

__all__ = ["ONCE", "check_path", "taken"]

#: What to do where the other one is a mount as well: a function that makes apps may run twice over one blueprint.
ONCE = "mount once, where the app, router or blueprint is made, or at another path"

_PARAMETER = re.compile(r"[{}<>]")
_NO_PATH = re.compile(r"[\s?#\\%\x00-\x1f]")


def check_path(path: object, *, may_be_empty: bool = False) -> None:
    """Check that a path begins with a slash, ends without one, and names one place.

    Args:
        path: the path, without the prefix of its router or blueprint.
        may_be_empty: whether a prefix will be the whole path.

    Raises:
        TypeError: it is no text.
        ValueError: it is no such path; the message says which would be.
    """
    if not isinstance(path, str):
        raise TypeError(f"path: expected a text such as '/predict'; got {shorten(path)}")
    if path == "/" or (path == "" and may_be_empty):
        return
    got = f"got {shorten(path, 120)}"
    if path == "":
        raise ValueError(
            "path: expected a path such as '/predict'; got an empty one, which needs a router or blueprint with a "
            "prefix"
        )
    if "://" in path:
        raise ValueError(f"path: expected a path such as '/predict', without scheme and host; {got}")
    if _PARAMETER.search(path):
        raise ValueError(
            f"path: expected a path without parameters, since nothing would read them; {got}: give them to the prefix "
            "of a router or blueprint, such as include_router(fastapi_router(predictor), prefix='/{tenant}')"
        )
    if not path.startswith("/"):
        raise ValueError(f"path: expected a slash at its beginning, {shorten('/' + path, 120)}; {got}")
    if path.endswith("/"):
        raise ValueError(f"path: expected no slash at its end, {shorten(path.rstrip('/') or '/', 120)}; {got}")
    if "//" in path:
        raise ValueError(f"path: expected one slash between two parts; {got}")
    if _NO_PATH.search(path):
        raise ValueError(f"path: expected a path as it is, without spaces, escapes, query or fragment; {got}")


def taken(path: str, by: str, advice: str = "mount at another path") -> ValueError:
    """Return the error of a path that another route answers.

    Args:
        path: the whole path, with the prefix.
        by: what answers it.
        advice: what to do.
    """
    return ValueError(f"POST {path} is answered already, by {by}: {advice}")
