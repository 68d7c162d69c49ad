from __future__ import annotations

import sys
import uuid

import pytest

from fourfold.buckets import settings
from fourfold.buckets.causes import MAX_CAUSE_CHARACTERS, safe_cause
from fourfold.buckets.contract import BucketError
from fourfold.buckets.opening import open_bucket
from fourfold.errors import MissingLibrary

SECRET = "wJalrXUtnFEMI-K7MDENG"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of this test only."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ALLOW_HTTP", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def test_one_memory_per_url() -> None:
    """Buckets of one memory URL are one, those of another URL are others."""
    url = f"memory://{uuid.uuid4().hex}"
    bucket = open_bucket("memory", url, purpose="a test")
    assert open_bucket("memory", url, purpose="a test") is bucket
    assert open_bucket("memory", url + "/deeper", purpose="a test") is not bucket


@pytest.mark.parametrize(
    ("variable", "value", "is_allowed"),
    [
        ("AWS_ENDPOINT_URL_S3", "http://localhost:1", True),
        ("AWS_ENDPOINT_URL", "HTTP://localhost:1", True),
        ("AWS_ENDPOINT", "http://localhost:1", True),
        ("AWS_ENDPOINT", "https://localhost:1", False),
        ("AWS_ALLOW_HTTP", "TRUE", True),
        ("AWS_ALLOW_HTTP", "0", False),
    ],
)
def test_plain_http(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, is_allowed: bool) -> None:
    """Plain HTTP is used only where an endpoint or the variable for it says so."""
    from fourfold.buckets.client import open_url

    monkeypatch.setenv(variable, value)
    client = open_url("s3://bucket/prefix", settings.read_settings("s3")).client
    assert client.client_options["allow_http"] == str(is_allowed).lower()
    assert client.prefix == "prefix"


def test_wrong_settings_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the credentials is an error of its own kind at the first operation, and shows no secret."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    bucket = open_bucket("s3", "s3://bucket", purpose="a test")
    with pytest.raises(BucketError, match="AccessKeyId") as caught:
        bucket.get("key", 10)
    assert caught.value.kind == "settings"
    assert SECRET not in caught.value.report


def test_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without obstore the error names the purpose and the extra."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingLibrary, match=r"a test needs obstore.*\[cloud\]"):
        open_bucket("s3", "s3://bucket", purpose="a test")


def test_causes_are_short_and_hold_no_secret() -> None:
    """A cause is one line with the bucket's error code, without query, credentials and secret variables."""
    report = (
        f"Generic S3 error: http://someone:word@host/key?X-Amz-Signature=abc refused {SECRET}: "
        f"<?xml version='1.0'?><Error><Code>SlowDown</Code><Key>{SECRET}</Key></Error>\n\nDebug source: …"
    )
    assert safe_cause(report) == "Generic S3 error: http://***@host/key?… refused ***: SlowDown"
    assert len(safe_cause("x" * 1000)) == MAX_CAUSE_CHARACTERS
