from __future__ import annotations

import pytest

from fourfold.errors import InputError, TableError
from fourfold.signature import Field, RowCoercer, rows
from fourfold.signature.similar_names import did_you_mean, similar_name
from fourfold.signature.table_columns import check_columns

FIELDS = ["Cylinders", "HP", "dep_delay", "größe"]


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("cylinders", "Cylinders"),
        ("Cylnders", "Cylinders"),
        ("dep delay", "dep_delay"),
        ("DepDelay", "dep_delay"),
        ("dep_dely", "dep_delay"),
        ("GRÖSSE", "größe"),
        ("weight", None),
        ("", None),
        ("_", None),
    ],
)
def test_a_misspelt_name_has_a_similar_one(name: str, similar: str | None) -> None:
    """Case, spaces and punctuation do not count, and a letter or two may be wrong."""
    assert similar_name(name, FIELDS) == similar
    assert did_you_mean(name, FIELDS) == ("" if similar is None else f", did you mean {similar!r}?")


def test_an_unknown_key_or_column_says_what_it_may_stand_for() -> None:
    """The error for a key, and the one for a column, name the field that is meant."""
    fields = [Field(name, "float64", nullable=True) for name in FIELDS]
    _, errors = RowCoercer(fields)([{"cylinders": 4.0}])
    assert "did you mean 'Cylinders'?" in str(InputError(errors))
    with pytest.raises(TableError, match=r"column 'hp': .* a column that is no field, did you mean 'HP'\?"):
        check_columns(fields, ["Cylinders", "hp", "dep_delay", "größe"], "forbid", ["HP"])


def test_names_made_to_take_long_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of unknown keys a few are searched for, so that rows of them take no longer than others."""
    searched: list[str] = []

    def search(name: str, candidates: object) -> str:
        searched.append(name)
        return ""

    monkeypatch.setattr(rows, "did_you_mean", search)
    fields = [Field(f"field_{index}", "float64", nullable=True) for index in range(30)]
    _, errors = RowCoercer(fields)([{f"x{row}_{index}": 1.0 for index in range(100)} for row in range(100)])
    assert len(errors) == 10_000
    assert 0 < len(searched) < 10
    assert similar_name("x" * 1_000, ["x" * 1_001]) is None


def test_a_very_long_name_is_not_compared() -> None:
    """A key of very many characters has no similar name, even one that differs from a field in its spaces only."""
    name = "x" * 4000
    assert similar_name(f"{name} ", [name]) == name
    assert similar_name(f"{name}{' ' * 100}", [name]) is None
