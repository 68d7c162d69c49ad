"""Finding a format's codec."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from fourfold.codecs import FORMATS, by_media_type, by_name, by_suffix
from fourfold.errors import DecodeError, SourceError


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_verbs(name: str) -> None:
    """The verbs of each module take the same arguments as the others'."""
    codec = by_name(name)
    for verb, arguments in {
        "decode": ["data", "fields", "bounds"],
        "encode": ["table", "fields"],
        "names": ["path", "bounds"],
        "read": ["path", "fields", "chunk_rows", "columns", "bounds"],
    }.items():
        assert list(inspect.signature(getattr(codec, verb)).parameters) == arguments
    assert list(inspect.signature(codec.Writer).parameters)[:2] == ["target", "fields"]


@pytest.mark.parametrize(
    ("media_type", "module"),
    [
        ("application/json", "json_rows"),
        ("Application/JSON; charset=UTF-8", "json_rows"),
        ("application/x-ndjson", "json_lines"),
        ('text/csv; header=present; charset="utf-8"', "csv"),
        ("application/vnd.apache.arrow.stream", "arrow"),
        ("application/vnd.apache.arrow.file", "arrow"),
        ("application/vnd.apache.parquet", "parquet"),
    ],
)
def test_by_media_type(media_type: str, module: str) -> None:
    """A media type names a codec, whatever its case and parameters."""
    assert by_media_type(media_type).__name__ == f"fourfold.codecs.{module}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("media_type", "message"),
    [
        ("text/plain", "no format has the media type 'text/plain'; expected one of application/json, "),
        ("", "no format has the media type ''"),
        ("text/csv; charset=latin-1", "expected the charset utf-8, got 'latin-1'"),
    ],
)
def test_unknown_media_types(media_type: str, message: str) -> None:
    """Another media type is refused with those that there are, another charset too."""
    with pytest.raises(DecodeError, match=message):
        by_media_type(media_type)


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("t.json", "json_rows"),
        ("t.columns.json", "json_columns"),
        ("a/T.JSONL", "json_lines"),
        ("t.ndjson", "json_lines"),
        ("t.csv", "csv"),
        ("t.arrow", "arrow"),
        ("t.arrows", "arrow"),
        ("t.parquet", "parquet"),
    ],
)
def test_by_suffix(path: str, module: str) -> None:
    """The end of a file's name names a codec, the longest that fits, whatever its case."""
    assert by_suffix(path).__name__ == f"fourfold.codecs.{module}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["t", "t.xlsx", "csv", "t.csv.gz"])
def test_unknown_suffixes(path: str) -> None:
    """Another name is refused with the suffixes that there are."""
    with pytest.raises(SourceError, match=r"its name does not say its format; expected it to end in one of \.json, "):
        by_suffix(path)


def test_an_unknown_name() -> None:
    """A name that is no format's is refused with those that are."""
    with pytest.raises(DecodeError, match="no format 'xml'; expected one of json, "):
        by_name("xml")


def test_without_pyarrow() -> None:
    """Where pyarrow is missing, JSON works, and the other formats say what to install."""
    code = """
import sys
sys.modules["pyarrow"] = None
from fourfold.codecs import by_media_type, by_name
from fourfold.errors import MissingLibrary
from fourfold.signature import Field
fields = [Field("a", "float64")]
for name in ("json", "json-columns", "json-lines"):
    codec = by_name(name)
    assert codec.decode(codec.encode([{"a": 1.5}], fields)) == [{"a": 1.5}]
for name in ("csv", "arrow", "parquet"):
    try:
        by_name(name)
    except MissingLibrary as error:
        assert "the extra 'arrow' brings it: " in str(error) and name in str(error), error
    else:
        raise AssertionError(name)
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
