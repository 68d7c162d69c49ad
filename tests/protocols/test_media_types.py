from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.codecs.formats import ARROW, CSV, JSON
from fourfold.protocols.media_types import MEDIA_TYPES, choose_media_type, parse_media_type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("application/json", ("application/json", {})),
        ("Application/JSON ; charset=UTF-8", ("application/json", {"charset": "UTF-8"})),
        ('text/csv; header="present"; charset="utf-8"', ("text/csv", {"header": "present", "charset": "utf-8"})),
        ('text/csv; note="a; b"', ("text/csv", {"note": "a; b"})),
        ("*/*;q=0.5", ("*/*", {"q": "0.5"})),
    ],
)
def test_parse_reads_media_types(text: str, expected: tuple[str, dict[str, str]]) -> None:
    """A media type comes out in lower case with its parameters."""
    assert parse_media_type(text) == expected


@pytest.mark.parametrize("text", ["", "json", "application/", "/json", "application json", ";", "a/b/c"])
def test_parse_refuses_what_is_none(text: str) -> None:
    """A text that is no media type gives none."""
    assert parse_media_type(text) is None


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, CSV),
        ("", CSV),
        ("*/*", CSV),
        ("application/json", JSON),
        ("text/csv;q=0.1, application/json;q=0.2", JSON),
        ("application/*", JSON),
        ("application/*;q=0.9, text/*", CSV),
        ("text/csv;q=0, */*", JSON),
        (f"application/json;q=0.5, {ARROW}", ARROW),
        ("text/html, application/xhtml+xml, */*;q=0.8", CSV),
        ("application/json;q=0.999, text/csv;q=1.000", CSV),
        ("APPLICATION/JSON", JSON),
        ("application/json;charset=utf-8", JSON),
        ('application/json;note="text/csv, x";q=1', JSON),
        ("application/json;q=2, text/csv;q=0.1", CSV),
        ("nonsense, application/json", JSON),
    ],
)
def test_choose_takes_what_the_client_likes_best(accept: str | None, expected: str) -> None:
    """Quality decides, then how specific a range is, then the order in which the server offers."""
    assert choose_media_type(accept, (CSV, JSON, ARROW)) == expected


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "*/*;q=0", "nonsense", "image/*;q=1", ";;,"])
def test_choose_takes_nothing_that_the_client_refuses(accept: str) -> None:
    """Where no media type that is offered is taken, there is none."""
    assert choose_media_type(accept, (CSV, JSON, ARROW)) is None


@pytest.mark.parametrize("text", ['"' + '\\"' * 200_000, '"a\\' * 200_000, '"' * 200_001, "," * 200_000])
def test_a_long_header_takes_no_longer_than_its_length_says(text: str) -> None:
    """Quotes that never close are read once: read again from each quote, these headers would take hours."""
    assert parse_media_type(f"a/b;{text}") is not None
    assert choose_media_type(f"application/json, {text}", MEDIA_TYPES) == JSON


@given(st.text(max_size=60))
def test_choose_survives_any_header(accept: str) -> None:
    """Whatever a client sends gives one of the media types, or none."""
    assert choose_media_type(accept, MEDIA_TYPES) in {None, *MEDIA_TYPES}
