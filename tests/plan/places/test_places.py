"""The same plans in every place: each answers with the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import read_ports
from tests.plan.evaluators import fields_of
from tests.plan.places.building import ASKED, PLACES, Place, compiled, results_of
from tests.plan.places.plans import Golden, plans
from tests.plan.places.rows import answer_bytes, read_results, rows_bytes
from tests.plan.places.trained import trained_goldens

pytestmark = pytest.mark.places


class Laid(NamedTuple):
    """A plan and its rows in files, and the results that every place must give."""

    golden: Golden
    plan: Path
    rows: Path
    expected: bytes


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> list[Laid]:
    """Every plan with its results by the first place."""
    return lay(plans(), tmp_path_factory.mktemp("plans"))


@pytest.fixture(scope="module")
def laid_trained(tmp_path_factory: pytest.TempPathFactory) -> list[Laid]:
    """The plans of trained models with their results by the first place."""
    return lay(trained_goldens(), tmp_path_factory.mktemp("trained"))


def lay(goldens: list[Golden], folder: Path) -> list[Laid]:
    """Write plans and their rows to files, and ask the first place."""
    first = PLACES[0]
    program = compiled(first, folder)
    files = []
    for number, golden in enumerate(goldens):
        plan, rows = folder / f"{number}.plan", folder / f"{number}.rows"
        plan.write_bytes(golden.plan)
        rows.write_bytes(rows_bytes(golden.plan, golden.rows))
        files.append(Laid(golden, plan, rows, results_of(first, program, plan, rows)))
    return files


def first_difference(golden: Golden, one: bytes, other: bytes) -> str:
    """Where two results part, in words."""
    refused, values = read_results(golden.plan, one)
    others, more = read_results(golden.plan, other)
    for row in np.nonzero(refused != others)[0]:
        return f"{golden.name}, row {row}: refused {refused[row]} and {others[row]}"
    for name, each in values.items():
        for row in np.nonzero((each != more[name]).any(axis=1))[0]:
            at = int(np.nonzero(each[row] != more[name][row])[0][0]) // 8 * 8
            seen = [side[row].tobytes()[at : at + 8].hex() for side in (each, more[name])]
            return f"{golden.name}, row {row} {golden.rows[row]}, output {name}, byte {at}: {seen[0]} and {seen[1]}"
    return f"{golden.name}: the files differ"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_place_gives_the_same_bits(place: Place, laid: list[Laid], tmp_path: Path) -> None:
    """A place compiles the evaluator without a warning, and answers every plan with the bits of every other place."""
    assert differences(place, laid, tmp_path) == []


@pytest.mark.sweep
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_place_gives_the_same_bits_for_trained_models(
    place: Place, laid_trained: list[Laid], tmp_path: Path
) -> None:
    """A place answers the plan of every estimator and of random pipelines with the bits of every other place."""
    assert len(laid_trained) > 200
    assert differences(place, laid_trained, tmp_path) == []


def differences(place: Place, files: list[Laid], folder: Path) -> list[str]:
    """Return where a place's answers differ from the first place's, in words."""
    program = compiled(place, folder)
    return [
        first_difference(laid.golden, laid.expected, results)
        for laid in files
        for budget in ASKED
        if (results := results_of(place, program, laid.plan, laid.rows, budget)) != laid.expected
    ]


def test_python_gives_the_same_bits(laid: list[Laid]) -> None:
    """The extension in this process answers every row, one by one and all at once, with the bits of a C program."""
    for each in laid:
        inputs, outputs = read_ports(each.golden.plan)
        found = Evaluator(each.golden.plan, fields_of([(port.name, port.dtype) for port in inputs]))
        refused, values = read_results(each.golden.plan, each.expected)
        answers = [found.one(row) for row in each.golden.rows]
        assert [answer is None for answer in answers] == (refused != 0).tolist(), each.golden.name
        given = [answer for answer in answers if answer is not None]
        many = found.many([row for row, answer in zip(each.golden.rows, answers, strict=True) if answer is not None])
        assert isinstance(many, list)
        for port in outputs:
            wanted = values[port.name][refused == 0]
            assert np.array_equal(answer_bytes(port, given), wanted), (each.golden.name, port.name)
            assert np.array_equal(answer_bytes(port, many), wanted), (each.golden.name, port.name)


def test_plans_have_what_can_differ(laid: list[Laid]) -> None:
    """The plans refuse some rows and not others, and give NaN, infinities, zeros of both signs and subnormals."""
    seen: set[str] = set()
    for each in laid:
        refused, values = read_results(each.golden.plan, each.expected)
        seen |= {"refused"} if refused.any() else set()
        for port in read_ports(each.golden.plan)[1]:
            if port.dtype != "float64":
                continue
            numbers = values[port.name][refused == 0].reshape(-1).view("<f8")
            for name, has in (
                ("NaN", np.isnan(numbers)),
                ("infinity", np.isinf(numbers)),
                ("-0.0", (numbers == 0) & np.signbit(numbers)),
                ("0.0", (numbers == 0) & ~np.signbit(numbers)),
                ("subnormal", (numbers != 0) & (np.abs(numbers) < 2.0**-1022)),
            ):
                seen |= {name} if has.any() else set()
            assert set(numbers[np.isnan(numbers)].view("<u8").tolist()) <= {0x7FF8000000000000}, each.golden.name
    assert seen == {"refused", "NaN", "infinity", "-0.0", "0.0", "subnormal"}
