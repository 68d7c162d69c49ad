"""Provide setuptools' build hooks (PEP 517, PEP 660); they ask for a C compiler in a wheel if the machine has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

from build_backend import compilers

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return what setuptools needs for a wheel, and a compiler if none works here."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *compilers.needed()]


def get_requires_for_build_editable(config_settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return what setuptools needs for an editable installation, and a compiler if none works here."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *compilers.needed()]
