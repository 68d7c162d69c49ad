from __future__ import annotations

import sys
import uuid

import pytest

from fourfold import buckets
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
    """Clients of one memory URL are one, those of another URL are others."""
    url = f"memory://{uuid.uuid4().hex}"
    client = buckets.open_client("memory", url, purpose="a test")
    assert buckets.open_client("memory", url, purpose="a test") is client
    assert buckets.open_client("memory", url + "/deeper", purpose="a test") is not client


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
    monkeypatch.setenv(variable, value)
    client = buckets.open_client("s3", "s3://bucket/prefix", purpose="a test")
    assert client.client_options["allow_http"] == str(is_allowed).lower()
    assert client.prefix == "prefix"


def test_wrong_settings_are_an_error_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the credentials is a ValueError that shows no secret."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ValueError, match="AccessKeyId") as caught:
        buckets.open_client("s3", "s3://bucket", purpose="a test")
    assert SECRET not in str(caught.value)


def test_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without obstore the error names the purpose and the extra."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingLibrary, match=r"a test needs obstore.*fourfold\[cloud\]"):
        buckets.open_client("s3", "s3://bucket", purpose="a test")


def test_causes_are_short_and_hold_no_secret() -> None:
    """A cause is one line with the bucket's error code, without query, credentials and secret variables."""
    report = (
        f"Generic S3 error: http://someone:word@host/key?X-Amz-Signature=abc refused {SECRET}: "
        f"<?xml version='1.0'?><Error><Code>SlowDown</Code><Key>{SECRET}</Key></Error>\n\nDebug source: …"
    )
    assert buckets.safe_cause(report) == "Generic S3 error: http://***@host/key?… refused ***: SlowDown"
    assert len(buckets.safe_cause("x" * 1000)) == buckets.MAX_CAUSE_CHARACTERS
