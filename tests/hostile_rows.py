"""Make bodies and files of a few bytes that stand for far more: one of each kind."""

from __future__ import annotations

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from fourfold.protocols import ARROW, CSV, JSON, JSON_LINES, PARQUET

__all__ = ["BODIES", "TOO_LARGE", "WRONG", "stream_of"]

_MILLION = 1 << 20


def stream_of(table: pa.Table, compression: str | None = None) -> bytes:
    """Return a table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet_of(table: pa.Table, **options: object) -> bytes:
    """Return a table as a Parquet file without the Arrow schema."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=False, **options)
    return sink.getvalue()


def _one_text(length: int, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), rows), pa.array(["x" * length]))


def _runs(value: object, rows: int) -> pa.RunEndEncodedArray:
    return pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array([value]))


def _with_word(words: pa.Array) -> pa.Table:
    return pa.table({"x": _zeros(len(words)), "word": words})


def _complete(x: pa.Array) -> pa.Table:
    return pa.table({"x": x, "n": pa.nulls(len(x)), "word": pa.nulls(len(x))})


def _zeros(rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(0.0), rows)


def _views(rows: int) -> pa.Array:
    """Return views that all show one text of 64 KiB."""
    view = (1 << 16).to_bytes(4, "little") + b"yyyy" + bytes(8)
    buffers = [None, pa.py_buffer(view * rows), pa.py_buffer(b"y" * (1 << 16))]
    return pa.Array.from_buffers(pa.string_view(), rows, buffers)


#: Bodies that a limit of 16 MiB of memory refuses, whatever is in them: for each its media type and what makes it.
TOO_LARGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "json objects without keys": (JSON, lambda: b"[" + b",".join([b"{}"] * 300_000) + b"]"),
    "json lists in lists": (JSON, lambda: b"[" + b",".join([b"[[]]"] * 200_000) + b"]"),
    "json in json": (JSON, lambda: b"[" + b",".join([b'{"":' * 100 + b"0" + b"}" * 100] * 1500) + b"]"),
    "json columns": (JSON, lambda: b'{"columns":{"x":[' + b",".join([b"0"] * 400_000) + b"]}}"),
    "json lines": (JSON_LINES, lambda: b"{}\n" * 300_000),
    "csv of many columns": (CSV, lambda: b",".join(b"c%d" % number for number in range(20_000)) + b"\n"),
    "csv of cells that do not fit": (CSV, lambda: b"x,n\n" + b"a,b\n" * 200_000),
    "arrow dictionary": (
        ARROW,
        lambda: stream_of(pa.table({"x": _zeros(2000), "word": _one_text(1 << 16, 2000)}), "zstd"),
    ),
    "arrow runs": (ARROW, lambda: stream_of(_with_word(_runs("x" * (1 << 16), 2000)))),
    "arrow views": (ARROW, lambda: stream_of(_with_word(_views(2000)))),
    "arrow compressed": (ARROW, lambda: stream_of(pa.table({"x": _zeros(4 * _MILLION)}), "zstd")),
    "arrow of many columns": (ARROW, lambda: stream_of(pa.table({f"c{n}": pa.nulls(1) for n in range(20_000)}))),
    "parquet dictionary": (
        PARQUET,
        lambda: parquet_of(_with_word(_one_text(1 << 16, 2000))),
    ),
    "parquet page": (
        PARQUET,
        lambda: parquet_of(pa.table({"x": _zeros(1), "word": ["x" * (1 << 25)]}), use_dictionary=False),
    ),
    "parquet prefixes": (
        PARQUET,
        lambda: parquet_of(
            pa.table({"x": _zeros(600), "word": ["x" * (1 << 16)] * 600}),
            use_dictionary=False,
            column_encoding={"x": "PLAIN", "word": "DELTA_BYTE_ARRAY"},
        ),
    ),
    "parquet lists": (PARQUET, lambda: parquet_of(pa.table({"x": pa.array([[0] * 1000] * 5000, pa.list_(pa.int8()))}))),
}

#: Bodies whose rows are wrong a million times and cost nearly nothing.
WRONG: dict[str, tuple[str, Callable[[], bytes]]] = {
    "arrow nulls": (ARROW, lambda: stream_of(_complete(x=pa.nulls(_MILLION)))),
    "arrow wrong runs": (ARROW, lambda: stream_of(_complete(x=_runs("far", _MILLION)))),
    "parquet nulls": (PARQUET, lambda: parquet_of(_complete(x=pa.nulls(_MILLION, pa.float64())))),
}

BODIES = TOO_LARGE | WRONG
