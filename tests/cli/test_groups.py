"""Mistyped verbs, words of other tools, and words in the wrong place: the answer names what was meant."""

from __future__ import annotations

import pytest

import fourfold
from fourfold.cli import _OTHER_WORDS, command
from tests.cli.commands import call


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("promte eta:1 production", "'promote'"),
        ("PUSH eta.fourfold", "'push'"),
        ("cert eta", "'certify'"),
        ("deploy eta", "'serve'"),
        ("run nightly.toml", "'fourfold batch run'"),
        ("eta@production", "'fourfold show eta@production'"),
        ("models/eta.fourfold", "'fourfold show models/eta.fourfold'"),
        ("batch rnu eta", "'run'"),
        ("batch eta --from a.csv --to b.csv", "'fourfold batch run eta'"),
        ("batch nightly.toml", "'fourfold batch run nightly.toml'"),
        ("help pul", "'pull'"),
        ("help batch rum", "'run'"),
        ("push --repositry models eta.fourfold", "'--repository'"),
        ("certify eta --architecture servise --rows pyproject.toml", "'service'"),
        ("serve eta --trust cod", "'code'"),
    ],
)
def test_what_was_meant_is_named(words: str, meant: str) -> None:
    """Status 2 and one guess."""
    assert f"Did you mean {meant}?" in call(*words.split(), ok=2).stderr


def test_a_word_like_no_other_is_answered_with_all_verbs() -> None:
    """No guess is better than a wild one."""
    text = call("xyzzy", ok=2).stderr
    assert "Did you mean" not in text
    assert "There are demo, pack, show, " in text


def test_words_of_other_tools_are_no_verbs_and_lead_to_some() -> None:
    """A guess that leads nowhere would be a second dead end."""
    for word, meant in _OTHER_WORDS.items():
        assert call("help", *meant.removeprefix("fourfold ").split()).stdout.startswith("Usage: fourfold ")
        assert word not in command.list_commands(None)  # type: ignore[arg-type]  # it needs no context


def test_help_and_version_are_words_too() -> None:
    """What other tools call `help VERB` and `version` works; `ls` is `list`."""
    assert call("help", "promote").stdout == call("promote", "--help").stdout
    assert call("help", "batch", "run").stdout == call("batch", "run", "--help").stdout
    assert call("help").stdout == call("--help").stdout
    assert call("version").stdout == call("--version").stdout
    assert fourfold.__version__ in call("version").stdout
    assert call("ls", "--help").stdout == call("list", "--help").stdout.replace("fourfold list [", "fourfold ls [")
