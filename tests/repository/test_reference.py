from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import RepositoryError
from fourfold.repository import Reference, check_alias

DIGEST = "sha256:" + "0123456789abcdef" * 4

names = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True)
aliases = st.from_regex(r"[g-z]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda alias: alias != "latest")


@given(names, st.integers(1, 999_999_999), aliases, st.text("0123456789abcdef", min_size=12, max_size=64))
def test_round_trip(name: str, version: int, alias: str, digits: str) -> None:
    """Each of the four forms is parsed, and written as it was read."""
    for text, meant in (
        (name, Reference(name)),
        (f"{name}:{version}", Reference(name, version=version)),
        (f"{name}@{alias}", Reference(name, alias=alias)),
        (f"{name}@sha256:{digits}", Reference(name, digest=f"sha256:{digits}")),
    ):
        assert Reference.parse(text) == meant
        assert str(meant) == text


@given(st.text(string.ascii_letters + string.digits + ":@./\\ \n-_%~\0é", max_size=30))
def test_no_path_leaves_the_repository(text: str) -> None:
    """Whatever is not refused holds nothing that a file system or a bucket reads as more than a name."""
    try:
        reference = Reference.parse(text)
    except RepositoryError:
        return
    for part in (reference.name, reference.alias or "a"):
        assert part not in {".", ".."}
        assert set(part) <= set(string.ascii_lowercase + string.digits + "._-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " eta",
        "eta\n",
        "Eta",
        "../eta",
        "team/eta",
        ".eta",
        "eta.",
        "e\u0442a",
        "a" * 129,
        "eta:",
        "eta:0",
        "eta:03",
        "eta:-1",
        "eta:1.0",
        "eta:\u0663",
        "eta:1234567890",
        "eta@",
        "eta@3",
        "eta@Production",
        "eta@a/b",
        "eta@..",
        "eta@production\n",
        "eta@latest",
        "eta@sha256",
        "eta@deadbeefdeadbeef",
        "eta:1@production",
        "eta@production:1",
        "eta@production@staging",
        "eta@sha256:",
        "eta@sha256:0123456789a",
        f"eta@{DIGEST}0",
        f"eta@{DIGEST.upper()}",
        f"eta@md5:{'0' * 32}",
        None,
        7,
    ],
)
def test_refused(text: object) -> None:
    """What is none of the four forms is an error."""
    with pytest.raises(RepositoryError):
        Reference.parse(text)


def test_hint() -> None:
    """An alias after a colon is told how to be one."""
    with pytest.raises(RepositoryError, match="for the alias, write 'eta@production'"):
        Reference.parse("eta:production")


@pytest.mark.parametrize("alias", ["a", "production", "v3", "blue-green_2.1", "deadbeef", "x" * 64])
def test_aliases(alias: str) -> None:
    """An alias is a word that is neither a number nor a digest."""
    assert check_alias(alias) == alias


@pytest.mark.parametrize(
    "alias", ["", "1", "3a", "-a", "a-", "a" * 65, "deadbeefdead", "latest", "sha256", "a b", None]
)
def test_no_aliases(alias: object) -> None:
    """What could be read as a version, a digest or a path cannot be an alias."""
    with pytest.raises(RepositoryError):
        check_alias(alias)
