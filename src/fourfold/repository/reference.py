"""Parse references: the four ways to name a package in a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fourfold.errors import RepositoryError, shorten
from fourfold.package import check_name

__all__ = ["Reference", "check_alias", "check_digest", "is_digest"]

#: The fewest hexadecimal digits of a shortened digest.
MIN_DIGEST_DIGITS = 12

_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SHORT_DIGEST = re.compile(rf"sha256:[0-9a-f]{{{MIN_DIGEST_DIGITS},64}}", re.ASCII)
_ALIAS = re.compile(r"[a-z](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_HEXADECIMAL_DIGITS = re.compile(rf"[0-9a-f]{{{MIN_DIGEST_DIGITS},}}", re.ASCII)
# The word for "the newest" in other tools, and the beginning of a digest.
_RESERVED = {"latest", "sha256"}


def check_alias(alias: object) -> str:
    """Check an alias, and return it.

    An alias has 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, begins with a letter, and ends with a letter or digit. It
    must not look like a digest, and is not `latest`: the newest version needs no alias.

    Raises:
        RepositoryError: the alias is invalid.
    """
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise RepositoryError(
            "expected an alias of a-z, 0-9, '.', '_' and '-', at most 64 of them, beginning with a letter and ending "
            f"with a letter or digit; got {shorten(alias)}"
        )
    if alias in _RESERVED:
        raise RepositoryError(f"{alias!r} cannot be an alias: the newest version of a model is its bare name")
    if _HEXADECIMAL_DIGITS.fullmatch(alias):
        raise RepositoryError(f"{alias!r} cannot be an alias: it looks like a digest")
    return alias


def is_digest(text: str) -> bool:
    """Return whether a text is a full digest: `sha256:` and 64 hexadecimal digits, in lower case."""
    return _DIGEST.fullmatch(text) is not None


def check_digest(digest: object) -> str:
    """Check a full digest, and return it.

    Raises:
        RepositoryError: it is no full digest.
    """
    if not isinstance(digest, str) or not is_digest(digest):
        raise RepositoryError(f"expected a digest, 'sha256:' and 64 digits of 0-9 and a-f; got {shorten(digest, 80)}")
    return digest


@dataclass(frozen=True, slots=True)
class Reference:
    """Name a package by its model and at most one of version, alias and digest; by none, the newest version.

    Attributes:
        name: the model's name.
        version: `3` in `eta:3`.
        alias: `production` in `eta@production`.
        digest: `sha256:…` in `eta@sha256:…`, with at least the first 12 of its 64 hexadecimal digits.
    """

    name: str
    version: int | None = None
    alias: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: object) -> Reference:
        """Read `eta`, `eta:3`, `eta@production` or `eta@sha256:…`.

        Raises:
            RepositoryError: the text is none of the four.
        """
        if not isinstance(text, str):
            raise RepositoryError(f"expected a reference such as 'eta:3', got {shorten(text)}")
        name_and_version, at, target = text.partition("@")
        name, colon, number = name_and_version.partition(":")
        try:
            check_name(name)
        except ValueError as error:
            raise RepositoryError(f"cannot read the reference {shorten(text, 100)}: {error}") from None
        if colon and at:
            raise RepositoryError(f"the reference {shorten(text, 100)} names both a version and an alias or digest")
        if colon:
            return cls(name, version=_parse_version(text, name, number))
        if not at:
            return cls(name)
        if target.startswith("sha256:"):
            return cls(name, digest=_parse_digest(text, target))
        try:
            return cls(name, alias=check_alias(target))
        except RepositoryError as error:
            raise RepositoryError(f"cannot read the reference {shorten(text, 100)}: {error}") from None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return f"{self.name}@{self.alias or self.digest}" if self.alias or self.digest else self.name


def _parse_version(text: str, name: str, number: str) -> int:
    if _VERSION.fullmatch(number):
        return int(number)
    hint = f"; for the alias, write '{name}@{number}'" if _ALIAS.fullmatch(number) else ""
    raise RepositoryError(
        f"cannot read the reference {shorten(text, 100)}: expected a version, an integer from 1 on, got "
        f"{shorten(number)}{hint}"
    )


def _parse_digest(text: str, digest: str) -> str:
    if _SHORT_DIGEST.fullmatch(digest):
        return digest
    raise RepositoryError(
        f"cannot read the reference {shorten(text, 100)}: expected 'sha256:' and {MIN_DIGEST_DIGITS} to 64 digits of "
        "0-9 and a-f"
    )
