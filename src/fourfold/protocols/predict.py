"""Answer `POST /predict` in three steps: decode, predict, encode. A server can do its own work between them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from fourfold.codecs import json_bytes, json_columns, json_rows
from fourfold.codecs.bounds import Bounds, dict_bytes
from fourfold.codecs.formats import CSV, JSON, JSON_LINES
from fourfold.errors import DecodeError, InputError, MissingLibrary, RowError, TableError, TooLarge, shorten
from fourfold.predictor import Answer, Predictor
from fourfold.protocols.hints import ARRAY_IN_LINES, body_hint, unknown_media_type, wrong_encoding
from fourfold.protocols.media_types import (
    CODECS,
    MEDIA_TYPES,
    SPLITS_LABELS,
    choose_media_type,
    parse_media_type,
)
from fourfold.protocols.other_forms import advise, find_other_form
from fourfold.protocols.query import Query, drop_unknown, forbid_unknown, read_query
from fourfold.protocols.replies import Refused, Reply, WrongForm, error_reply
from fourfold.signature import Extra
from fourfold.signature.label_columns import LabelColumns
from fourfold.signature.table_columns import check_absent, check_columns

__all__ = ["MAX_BODY_BYTES", "Call", "PredictProtocol", "join_headers"]

#: The default limit of a request's body.
MAX_BODY_BYTES = 32 * 2**20
#: The default limit of what a request takes in memory once it is decoded: so many bytes, or so many times
#: `max_body_bytes` where that is more.
MAX_DECODED_BYTES, DECODED_BYTES_PER_BYTE = 512 * 2**20, 16
#: The most rows, and values in them, of one request. The size of the body does not limit them: `{}` is a row in JSON,
#: and Arrow and Parquet can hold a billion rows in a few bytes.
MAX_ROWS, MAX_VALUES = 2**20, 2**25
#: The most row errors of one call that are built. A reply lists fewer, but several requests can share a call.
MAX_BUILT_ERRORS = 1000
#: The most names of fields that an error lists.
_MAX_SHOWN_NAMES = 12

# The forms of a body in JSON; a reply has the form of its request.
_ROW = "row"
_ROWS = "rows"
_WRAPPED_ROWS = "wrapped rows"
_COLUMNS = "columns"
# The forms of other media types; in JSON they are replied to with an array of objects.
_LINES = "lines"
_TABLE = "table"

# Media types whose rows take about as many bytes as they hold.
_TEXT_TYPES = (JSON, JSON_LINES, CSV)

_CONTENT_TYPES = {media_type: media_type for media_type in MEDIA_TYPES} | {CSV: "text/csv; charset=utf-8"}


_NO_QUERY = Query()


@dataclass(frozen=True, slots=True)
class Call:
    """Hold a decoded request.

    Attributes:
        table: its rows, for `Predictor.answer`.
        media_type: the media type of the reply.
        form: the form of the reply, if that is JSON.
        arrays: whether an output with labels is one column of arrays in CSV too, not one for each label.
    """

    table: Any
    media_type: str
    form: str
    arrays: bool = False


class PredictProtocol:
    """Turn requests to a predictor into replies. Any number of threads can call it.

    Args:
        predictor: the predictor.
        max_body_bytes: the most bytes of a request's body.
        max_decoded_bytes: the most bytes of memory that its rows may take; `None` for sixteen times `max_body_bytes`,
            but at least 512 MiB.

    Attributes:
        headers: the headers of every reply: the model's name and version, and its digest.
    """

    def __init__(
        self, predictor: Predictor, *, max_body_bytes: int = MAX_BODY_BYTES, max_decoded_bytes: int | None = None
    ) -> None:
        self.predictor = predictor
        self.max_body_bytes = max_body_bytes
        if max_decoded_bytes is None:
            max_decoded_bytes = max(MAX_DECODED_BYTES, DECODED_BYTES_PER_BYTE * max_body_bytes)
        self.bounds = Bounds(max_decoded_bytes, MAX_ROWS, only_fields=True)
        version = "" if predictor.version is None else f":{predictor.version}"
        self.headers = {"x-fourfold-model": f"{predictor.name}{version}", "x-fourfold-digest": predictor.digest}
        self._inputs = predictor.signature.inputs
        self._outputs = predictor.signature.outputs
        self._label_columns = LabelColumns(self._outputs)
        self._row_bytes = dict_bytes(len(self._inputs))
        self._values_per_row = sum(math.prod(field.shape) for field in self._inputs)
        # Up to so many rows, and up to a text of so many bytes, nothing needs to be counted.
        self._safe_rows = min(MAX_ROWS, MAX_VALUES // self._values_per_row, max_decoded_bytes // self._row_bytes)
        self._safe_json_bytes = self.bounds.safe_json_bytes
        names = {field.name for field in self._inputs}
        # An object whose only key is `rows` or `columns` holds a table, unless an input field has that name.
        self._wrappers = {"rows", "columns"} - names
        # The keys that may not be there twice, where others are ignored; where they are errors, no key may.
        self._known = names | self._wrappers

    def __call__(self, body: bytes, headers: Mapping[str, str], query: bytes = b"") -> Reply:
        """Answer one request; the reply reports every failure.

        Args:
            body: the request's body.
            headers: the request's headers, with lower-case names.
            query: what stands after the `?` of its target.

        Returns:
            The reply, with status 200 where every row has an answer.
        """
        try:
            self.check_length(len(body))
            call = self.decode(body, headers, query)
            return self.encode(call, self.answer(call.table))
        except Exception as error:  # noqa: BLE001  # `error_reply` logs what is no Fourfold error
            return self.error_reply(error)

    def answer(self, table: Any) -> Answer:
        """Return the answers to a request's rows; where it has very many errors, they are counted and none is answered.

        Raises:
            EngineError: the engine is broken.
        """
        return self.predictor.answer(table, MAX_BUILT_ERRORS)

    def error_reply(self, error: Exception) -> Reply:
        """Return the reply to a request that failed with this error."""
        return error_reply(error, self.headers)

    def check_length(self, length: int) -> None:
        """Check the length of a body, in bytes.

        Raises:
            Refused: the body is too long.
        """
        if length > self.max_body_bytes:
            raise Refused(
                413,
                "too_large",
                f"expected a body of at most {self.max_body_bytes} bytes; this one has more: send it in parts",
            )

    @staticmethod
    def may_unfold(headers: Mapping[str, str]) -> bool:
        """Return whether a short body of this media type can hold far more than its length: decode it in a thread."""
        content_type = headers.get("content-type", "")
        return not content_type.startswith(_TEXT_TYPES)

    async def read(self, chunks: AsyncIterable[bytes], headers: Mapping[str, str]) -> bytes:
        """Return the body of a request that arrives in chunks.

        Raises:
            Refused: the body is too long. It is not read to its end, and not at all if `content-length` is too large.
        """
        content_length = headers.get("content-length", "")
        if content_length.isdecimal():
            self.check_length(int(content_length))
        first, rest = b"", bytearray()  # not a list: a body may come byte by byte, and each would be an object
        async for chunk in chunks:
            self.check_length(len(first) + len(rest) + len(chunk))
            if first:
                rest += chunk
            else:
                first = chunk
        return first + rest if rest else first

    def decode(self, body: bytes, headers: Mapping[str, str], query: bytes = b"") -> Call:
        """Decode a request: its rows, and the media type and form of its reply.

        Args:
            body: the request's body.
            headers: the request's headers, with lower-case names; `content-type`, `content-encoding` and `accept` are
                used.
            query: what stands after the `?` of its target: `absent=A,B` names the nullable fields whose column may be
                absent, `arrays=true` asks for arrays where CSV would have a column for each label, `extra=ignore` drops
                keys and columns that are no fields, and `extra=forbid` makes them errors. Other parameters mean
                nothing.

        Raises:
            Refused: its media type is unknown, or the client accepts no known one, or it has too many rows, or a
                parameter has another value.
            TooLarge: it would take too much memory.
            DecodeError: the body does not have the format of its media type.
            InputError: the body is not a table.
            TableError: it lacks a field's column, has one that it may not have, or `absent` names no nullable field.
        """
        asked = read_query(query) if query else _NO_QUERY
        absent, extra = asked.absent, asked.extra or self.predictor.extra
        body_type = _media_type(headers, body)
        # The reply has the media type of the request, if the client has no preference.
        offered = (body_type, *(media_type for media_type in MEDIA_TYPES if media_type != body_type))
        reply_type = choose_media_type(headers.get("accept"), offered)
        if reply_type is None:
            raise Refused(
                406,
                "accept",
                f"expected to reply in one of {', '.join(MEDIA_TYPES)}; the client takes "
                f"{shorten(headers.get('accept'))}",
            )
        if reply_type != JSON:
            _codec(reply_type)  # raises before the work is done where the reply's library is missing
        try:
            if body_type == JSON:
                table, form, names = self._decode_json(body, extra)
            else:
                table = _codec(body_type).decode(body, self._inputs, self.bounds)
                form, names = (_LINES, None) if body_type == JSON_LINES else (_TABLE, _column_names(table))
        except TooLarge:
            raise
        except DecodeError as error:
            hint = body_hint(body, body_type, self._inputs)
            if hint is None:
                raise
            raise DecodeError(f"{error}; {hint}") from error
        if type(table) is not list or len(table) > self._safe_rows:
            self._check_size(table)
        if names is not None:
            self._check_columns(names, absent, extra, body, body_type)
            table = _with_nulls(table, [name for name in absent if name not in names])
        elif absent:
            check_absent(self._inputs, absent)
        if extra != self.predictor.extra:
            if extra == "ignore":
                table = drop_unknown(table, self._inputs)
            else:
                forbid_unknown(table, self._inputs)
        return Call(table, reply_type, form, asked.arrays)

    def _check_columns(
        self, names: Sequence[str], absent: Sequence[str], extra: Extra, body: bytes, body_type: str
    ) -> None:
        """Check which columns a table has; of CSV that is something else, say what it is."""
        has_header = body_type == CSV
        try:
            check_columns(self._inputs, names, extra, absent, advice="?absent={}", has_header=has_header)
        except TableError:
            hint = body_hint(body, CSV, self._inputs) if has_header else None
            if hint is not None:
                raise DecodeError(f"expected CSV with a first line of the columns' names; {hint}") from None
            raise

    def _check_size(self, table: Any) -> None:
        rows = len(table)
        values_per_row = max(self._values_per_row, 0 if isinstance(table, list) else table.num_columns)
        if rows > MAX_ROWS or rows * values_per_row > MAX_VALUES:
            raise Refused(
                413,
                "too_large",
                f"expected at most {min(MAX_ROWS, MAX_VALUES // values_per_row)} rows of {values_per_row} values; got "
                f"{rows}: send them in parts",
            )
        if isinstance(table, list):
            # A row of two bytes becomes a dict with a key for each field.
            if rows * self._row_bytes > self.bounds.max_decoded_bytes:
                self.bounds.check_rows_of_dicts(rows, len(self._inputs), "a table")
        else:
            from fourfold.signature.column_sizes import decoded_size

            size = decoded_size(table, self._inputs, self.bounds.max_decoded_bytes)
            self.bounds.check_bytes(size, f"a table of {rows} rows, each with its own values,")

    def _decode_json(self, body: bytes, extra: Extra) -> tuple[Any, str, list[str] | None]:
        """Return the rows, the form of the reply, and the names of the columns where these are what came."""
        if len(body) > self._safe_json_bytes:
            self.bounds.check_json(body)
        value = json_bytes.parse(body, self._known if extra == "ignore" else None)
        if isinstance(value, list):
            return value, _ROWS, None
        if not isinstance(value, dict):
            raise DecodeError(f"expected an array of objects, or one object; got {shorten(value)}")
        only_key = next(iter(value)) if len(value) == 1 else None
        if only_key not in self._wrappers:
            return [value], _ROW, None
        if only_key == "columns":
            return json_columns.rows_of(value["columns"], self.bounds), _COLUMNS, list(value["columns"])
        if not isinstance(value["rows"], list):
            advice = advise(value["rows"], self._inputs)
            raise DecodeError(f"rows: expected an array of objects; got {shorten(value['rows'])}; {advice}")
        return value["rows"], _WRAPPED_ROWS, None

    def encode(self, call: Call, answer: Answer) -> Reply:
        """Return the reply to a request: the outputs, or the row errors if there are any."""
        if answer.errors:
            return self.error_reply(self._rows_error(call, answer.errors))
        if call.media_type != JSON:
            outputs, fields = answer.outputs, self._outputs
            if call.media_type in SPLITS_LABELS and not call.arrays:
                outputs, fields = self._label_columns.split(outputs), self._label_columns.fields
            body = _codec(call.media_type).encode(outputs, fields)
        elif call.form == _COLUMNS:
            body = b'{"columns":' + json_columns.encode(answer.outputs, self._outputs) + b"}"
        else:
            body = json_rows.encode(answer.outputs, self._outputs)
            if call.form == _ROW:
                body = body[1:-1]
            elif call.form == _WRAPPED_ROWS:
                body = b'{"rows":' + body + b"}"
        return Reply(200, body, {**self.headers, "content-type": _CONTENT_TYPES[call.media_type]})

    def _rows_error(self, call: Call, errors: Sequence[RowError]) -> InputError:
        """Return the error of a request whose rows do not fit; where they have another server's form, the one of that.

        Where its values are those of fields and only stand in another way, the errors stay as they are.
        """
        first = errors[0]
        if call.form in (_TABLE, _COLUMNS) or first.row != 0 or first.code == "engine":
            return InputError(errors)
        row = call.table[0]
        if call.form == _LINES:
            return WrongForm(errors, f"{first}; {ARRAY_IN_LINES}") if isinstance(row, list) else InputError(errors)
        is_flat = len(call.table) == len(self._inputs) and not isinstance(row, dict | list)
        form = find_other_form(call.table if is_flat else row, self._inputs)
        if form is None:
            return InputError(errors)
        if form.key is not None:
            names = ", ".join(shorten(field.name) for field in self._inputs[:_MAX_SHOWN_NAMES])
            more = ", …" if len(self._inputs) > _MAX_SHOWN_NAMES else ""
            errors = [RowError(0, form.key, "unknown", f"one of the fields {names}{more}", "another server's form")]
        return WrongForm(errors, form.message)


def join_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of an ASGI request as a mapping; values of a repeated header are joined with commas."""
    joined: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        joined[name] = f"{joined[name]}, {value.decode('latin-1')}" if name in joined else value.decode("latin-1")
    return joined


def _column_names(table: Any) -> list[str]:
    """Return the names of a table's columns; rows that came as columns all have the same keys."""
    if isinstance(table, list):
        return list(table[0]) if table else []
    names: list[str] = table.schema.names
    return names


def _with_nulls(table: Any, names: Sequence[str]) -> Any:
    """Return an Arrow table with columns of nulls of these names; of rows an absent key is missing anyway."""
    if names and not isinstance(table, list):
        import pyarrow as pa

        for name in dict.fromkeys(names):
            table = table.append_column(pa.field(name, pa.null()), pa.nulls(table.num_rows))
    return table


def _media_type(headers: Mapping[str, str], body: bytes) -> str:
    """Return the media type of a request's body.

    Raises:
        Refused: it is unknown or missing, its charset is not UTF-8, or the body is compressed.
    """
    content_type = headers.get("content-type", "")
    parsed = parse_media_type(content_type)
    if parsed is None or parsed[0] not in MEDIA_TYPES:
        raise unknown_media_type(content_type, body)
    charset = parsed[1].get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(415, "media_type", f"expected text in UTF-8; got the charset {shorten(charset)}")
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise wrong_encoding(encoding)
    return parsed[0]


def _codec(media_type: str) -> ModuleType:
    """Import and return the codec of a media type other than JSON.

    Raises:
        MissingLibrary: it needs pyarrow, which is not installed.
    """
    try:
        return import_module(f"fourfold.codecs.{CODECS[media_type]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise MissingLibrary("pyarrow", extra="arrow", purpose=f"the media type {media_type}") from error
