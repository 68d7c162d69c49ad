"""The numbers of the format are the same in Python, in C and in the specification."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

import pytest

from fourfold.plan import format as plan_format
from fourfold.plan.format import SECTIONS, TYPES, VERSION, Kind, MathFunction, Operation
from tests.project.tree import ROOT

SOURCE = (ROOT / "src" / "fourfold" / "plan" / "evaluator" / "evaluator.c").read_text("utf-8")
HEADER = (ROOT / "src" / "fourfold" / "plan" / "evaluator" / "evaluator.h").read_text("utf-8")
PAGE = Path(ROOT / "docs" / "spec" / "plan.md").read_text("utf-8")


def enumerated(name: str, text: str = SOURCE) -> dict[str, int]:
    """The members of an enumeration of C, without their prefix."""
    found = re.search(rf"enum {name} \{{(.*?)\}};", text, re.DOTALL)
    assert found is not None
    body = re.sub(r"/\*.*?\*/", "", found[1], flags=re.DOTALL)
    out, value = {}, 0
    for member in filter(None, (each.strip() for each in body.split(","))):
        label, _, given = (each.strip() for each in member.partition("="))
        value = int(given) if given else value
        out[label.removeprefix("FF_")] = value
        value += 1
    return out


@pytest.mark.parametrize(
    ("kind", "name", "bounds"),
    [
        (Operation, "ff_operation", {"OPERATIONS"}),
        (MathFunction, "ff_function", {"ONES", "TWOS", "MANY"}),
        (Kind, "ff_kind", {"KINDS"}),
    ],
)
def test_the_numbers_are_those_of_the_evaluator(kind: type[IntEnum], name: str, bounds: set[str]) -> None:
    """Each operation, function and kind has the same number on both sides, and none is missing on one."""
    theirs = {key.replace("A_NAN", "NAN"): value for key, value in enumerated(name).items() if key not in bounds}
    assert {member.name: member.value for member in kind} == theirs


def test_the_types_are_those_of_the_header() -> None:
    """The dtypes of inputs and outputs too."""
    assert {name.upper(): number for name, number in TYPES.items()} == enumerated("ff_type", HEADER)
    assert f"#define FF_VERSION {VERSION}u" in HEADER


def test_every_operation_has_its_operands() -> None:
    """The table of operands has one entry for each operation, and the specification a line with as many names."""
    counts = re.search(r"ff_operands\[FF_OPERATIONS\] = \{(.*?)\}", SOURCE, re.DOTALL)
    assert counts is not None
    numbers = [int(each) for each in counts[1].split(",")]
    assert len(numbers) == len(Operation) + 1
    for operation in Operation:
        line = re.search(rf"^\| {operation.value} {operation.name} \| (.*?) \|", PAGE, re.MULTILINE)
        assert line is not None, operation
        assert len(line[1].split()) == numbers[operation.value], operation


def test_the_specification_lists_sections_and_functions() -> None:
    """What the specification says of sections and functions is what there is."""
    assert [name for name in SECTIONS if name not in PAGE] == []
    for member in MathFunction:
        assert re.search(rf"\b{member.value}\b", PAGE), member
    assert plan_format.MAGIC.decode() in PAGE
