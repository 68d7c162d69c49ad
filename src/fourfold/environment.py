"""Read the limits that environment variables set."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from fourfold.errors import shorten

__all__ = ["read_bytes", "read_number"]

_MAX_DIGITS = 18


def read_number(name: str, default: float, expected: str, is_allowed: Callable[[float], bool]) -> float:
    """Return the number of an environment variable; callers turn the error into their own.

    Args:
        name: the variable.
        default: the number where it is not set, or empty.
        expected: what it may hold, for the error.
        is_allowed: whether it may hold that number; must say no to NaN.

    Raises:
        ValueError: it holds something else.
    """
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not is_allowed(number):
        raise ValueError(f"{name}: expected {expected}; got {shorten(text)}")
    return number


def read_bytes(name: str, default: int) -> int:
    """Return the number of bytes that an environment variable holds, `default` where it is not set, or empty.

    Raises:
        ValueError: it holds something else than up to 18 digits.
    """
    text = os.environ.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError(f"{name}: expected a number of bytes; got {shorten(text)}")
    return int(text)
