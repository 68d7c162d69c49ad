"""Every word of ours that users meet stands in docs/glossary.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold import errors
from fourfold.cli import certify, command, list_, show
from fourfold.cli.output import print_facts, print_table
from fourfold.package.levels import LEVELS
from fourfold.runtimes import NAMES
from tests.cli.commands import call
from tests.project.tree import ROOT

GLOSSARY = ROOT / "docs" / "glossary.md"
#: What the options of commands, their arguments, and the headings of what they print say in everybody's sense.
ORDINARY = frozenset(
    re.findall(
        r"\S+",
        """
        access-log all arrays category code container debug directory expect expect-rtol follow for function from help
        host inputs interval json limit methods output port quiet rename replace rows text to version workers url
        accept expected measure no-measure onnx lightgbm xgboost estimator service
        a b c n mib file path toml kind key value directory integer float range share row seconds name
        model one row rows sent differing memory size rest bytes many both arrow csv jsonl parquet pandas polars numpy
        read-only modules
        """,
    )
)
#: The words of the glossary that stand for an option or a heading that is spelled otherwise.
SAME = {
    "keep": "pass-through",
    "required": "nullable",
    "nullable": "nullable",
    "labels": "label",
    "open": "category",
    "max-dead": "dead letter",
    "max-quarantined": "quarantine",
    "max-body": "service",
    "max-decoded": "chunk",
    "chunk-rows": "chunk",
    "against": "original",
    "aliases": "alias",
    "takes": "signature",
    "gives": "signature",
    "other keys": "extra",
    "decided": "decision",
    "missing": "nullable",
    "needs": "distribution",
    "tested": "invariance",
}


def terms() -> set[str]:
    """The terms of the glossary: what is bold at the beginning of an item, one by one, and what its texts quote."""
    text = GLOSSARY.read_text(encoding="utf-8")
    bold = re.findall(r"^- \*\*(.+?)\*\*:", text, re.MULTILINE)
    named = {term.strip().lower() for group in bold for term in group.split(",")}
    return named | {re.sub(r"^--", "", quoted).lower() for quoted in re.findall(r"`([^`]+)`", text)}


def known(word: str) -> bool:
    """Whether a word stands in the glossary, in the singular or the plural, or is nobody's own."""
    word = SAME.get(word.lower(), word.lower()).replace("-", " ")
    forms = {word, word.replace(" ", "-"), word.removesuffix("s"), word + "s", word.removesuffix("s").replace(" ", "-")}
    return bool(forms & (terms() | ORDINARY)) or all(part in ORDINARY for part in word.split())


def commands(group: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group, with its name."""
    if isinstance(group, click.Group):
        context = click.Context(group)
        for each in group.list_commands(context):
            below = group.get_command(context, each)
            assert below is not None
            yield from commands(below, f"{name} {each}".strip())
    else:
        yield name, group


def words_of_help(given: click.Command) -> Iterator[str]:
    """Yield the names of a command's options, their choices, and its arguments."""
    for parameter in given.params:
        if isinstance(parameter, click.Option):
            yield from (text[2:] for text in (*parameter.opts, *parameter.secondary_opts) if text.startswith("--"))
            if isinstance(parameter.type, click.Choice):
                yield from (str(choice) for choice in parameter.type.choices)
        else:
            yield from re.findall(r"[A-Z]{2,}", parameter.make_metavar(click.Context(given)))


@pytest.mark.parametrize(("name", "given"), [pytest.param(*pair, id=pair[0]) for pair in commands(command)])
def test_help(name: str, given: click.Command) -> None:
    """What a command calls its options, their choices and its arguments is explained, or is an ordinary word."""
    assert sorted({word for word in words_of_help(given) if not known(word) and len(word) > 1}) == [], name


def test_errors() -> None:
    """Every class of error is explained, and no other."""
    kinds = {
        name
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and issubclass(kind, errors.FourfoldError)
    }
    listed = set(re.findall(r"^- \*\*([A-Z]\w+)\*\*:", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed - {"BLAS", "ETML"} == kinds


def test_engines_architectures_and_levels() -> None:
    """Runtimes, verdicts, architectures and levels of trust are explained."""
    verdicts = {"original", "exact", "equal", "bound", "rejected", "absent"}
    assert {*NAMES, *LEVELS, *verdicts, "service", "stream", "batch", "embed"} - terms() == set()


def test_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headings and the names of what `show`, `list` and `certify` print are explained, or are ordinary words."""
    printed: list[str] = []

    def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        printed.extend(name.rstrip("#") for name in columns)
        print_table(columns, rows)

    def facts(given: Sequence[tuple[object, object]], *, indent: int = 0) -> None:
        printed.extend(str(name) for name, _ in given if not indent)
        print_facts(given, indent=indent)

    for module in (show, list_, certify):
        for name, recorder in (("print_table", table), ("print_facts", facts)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, recorder)
    frame = pd.DataFrame({"area": [50.0, 70.5, 90.0, 120.0], "site": [2, 3, 3, 5]})
    package = fourfold.pack(LinearRegression().fit(frame, [2.0, 2.5, 3.1, 4.5]), name="rent", rows=frame, measure=True)
    fourfold.push(package, tmp_path / "models", alias="production")
    frame.to_parquet(tmp_path / "rows.parquet")
    place = ("--repository", tmp_path / "models")
    call("show", "rent", *place, "--all")
    call("list", *place)
    call("certify", "rent", "--rows", tmp_path / "rows.parquet", "--architecture", "embed", *place)
    assert len(printed) > 20
    names = {*frame.columns, "prediction", ""}
    unknown = sorted({word for word in printed if word not in names and not known(word)})
    assert not unknown, ", ".join(unknown)
