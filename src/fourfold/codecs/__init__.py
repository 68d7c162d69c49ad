"""Convert bytes to tables and back: one module for each format, with the same functions in each.

    decode(data, fields, bounds) -> Table               the whole table
    encode(table, fields) -> bytes
    names(path, bounds) -> the columns of a file        None where they are known only from the rows
    read(path, fields, chunk_rows, columns, bounds) -> Tables   a file in bounded memory, in order
    Writer(target, fields): write(table), close()       a file in bounded memory

A decoder coerces nothing: the signature's coercion checks the values as the bytes hold them. A format's module is
imported when it is first used, because CSV, Arrow and Parquet need pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import IO, Protocol, cast

from fourfold.codecs.bounds import DEFAULT_BOUNDS, Bounds
from fourfold.codecs.files import TableWriter
from fourfold.codecs.formats import FORMATS
from fourfold.codecs.table import Rows, Table
from fourfold.errors import DecodeError, MissingLibrary, SourceError, shorten
from fourfold.signature.field import Field

__all__ = ["DEFAULT_BOUNDS", "FORMATS", "Bounds", "Codec", "Rows", "Table", "by_media_type", "by_name", "by_suffix"]


class MakeWriter(Protocol):
    """Make a format's writer."""

    def __call__(self, target: str | os.PathLike[str] | IO[bytes], fields: Sequence[Field]) -> TableWriter: ...


class Codec(Protocol):
    """Describe what every module of a format holds."""

    Writer: MakeWriter

    def decode(self, data: bytes, fields: Sequence[Field] | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> Table:
        """Return the table that the bytes hold; raise `DecodeError` where they are malformed or over the bounds."""

    def encode(self, table: Table, fields: Sequence[Field]) -> bytes:
        """Return a canonical table's bytes; raise `SinkError` where it does not fit the fields."""

    def names(self, path: str | os.PathLike[str], bounds: Bounds = DEFAULT_BOUNDS) -> tuple[str, ...] | None:
        """Return a file's columns, or `None` where only its rows name them; raise `SourceError` or `DecodeError`."""

    def read(
        self,
        path: str | os.PathLike[str],
        fields: Sequence[Field] | None = None,
        chunk_rows: int = 65_536,
        columns: Sequence[str] | None = None,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Iterator[Table]:
        """Yield a file's rows in tables of `chunk_rows`, in order; raise `SourceError` or `DecodeError`."""


def by_name(name: str) -> Codec:
    """Return the codec of a format, named as in `FORMATS`.

    Raises:
        DecodeError: no format has that name.
        MissingLibrary: the codec needs pyarrow, which is not installed.
    """
    if name not in FORMATS:
        raise DecodeError(f"no format {shorten(name)}; expected one of {', '.join(FORMATS)}")
    try:
        module = import_module(f"fourfold.codecs.{FORMATS[name].module}")
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise MissingLibrary("pyarrow", extra="arrow", purpose=f"the format {name}") from error
    return cast("Codec", module)


def by_media_type(media_type: str) -> Codec:
    """Return the codec of a media type, such as `application/json; charset=utf-8`.

    Raises:
        DecodeError: no format has it, or it names another charset than UTF-8.
        MissingLibrary: the codec needs pyarrow, which is not installed.
    """
    essence, *parameters = (part.strip().lower() for part in media_type.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise DecodeError(f"expected the charset utf-8, got {shorten(value.strip())}")
    for name, format_ in FORMATS.items():
        if essence in format_.media_types:
            return by_name(name)
    media_types = ", ".join(media_type for format_ in FORMATS.values() for media_type in format_.media_types)
    raise DecodeError(f"no format has the media type {shorten(essence)}; expected one of {media_types}")


def by_suffix(path: str | os.PathLike[str]) -> Codec:
    """Return the codec of a file by the end of its name, in upper or lower case.

    Raises:
        SourceError: no format has that suffix.
        MissingLibrary: the codec needs pyarrow, which is not installed.
    """
    ending = os.fspath(path).lower()
    pairs = ((suffix, name) for name, format_ in FORMATS.items() for suffix in format_.suffixes)
    matches = [(suffix, name) for suffix, name in pairs if ending.endswith(suffix)]
    if not matches:
        suffixes = ", ".join(suffix for format_ in FORMATS.values() for suffix in format_.suffixes)
        raise SourceError(f"{path}: its name does not say its format; expected it to end in one of {suffixes}")
    return by_name(max(matches, key=lambda pair: len(pair[0]))[1])  # .columns.json before .json
