from __future__ import annotations

import catboost
import numpy as np
import pytest

from fourfold.modelfiles import MalformedModel, catboost_cbm
from tests.runtimes.round_trip import TARGET, prepared
from tests.runtimes.test_catboost import CATEGORIES, SAMPLE


@pytest.mark.parametrize("grown", ["SymmetricTree", "Lossguide"])
def test_hostile_files_are_refused(grown: str) -> None:
    """Whatever number of a file is changed, it is refused, or it still holds together and is the model of somebody."""
    model = catboost.CatBoostClassifier(**{**CATEGORIES, "iterations": 2}, grow_policy=grown).fit(SAMPLE, TARGET > 0)
    data = prepared(model, SAMPLE).files["model.cbm"]
    catboost_cbm.check(data)
    refused = 0
    for place in range(0, len(data), 7):
        for value in (0, 255):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                catboost_cbm.check(changed)
            except MalformedModel:
                refused += 1
        with pytest.raises(MalformedModel):
            catboost_cbm.check(data[:place])
    assert refused > 100
    with pytest.raises(MalformedModel, match="after its end"):
        catboost_cbm.check(data + b"\0")


def test_classes_without_end_are_refused() -> None:
    """CatBoost makes an answer for every class that the file counts: 2^24 of them take gigabytes."""
    model = catboost.CatBoostClassifier(**{**CATEGORIES, "iterations": 2}).fit(SAMPLE, np.arange(len(SAMPLE)) % 3)
    data = prepared(model, SAMPLE).files["model.cbm"]
    counted = b'"classes_count":0,"class_names"'
    assert data.count(counted) == 1
    catboost_cbm.check(data.replace(counted, b'"classes_count":9,"class_names"'))
    # The file's own lengths stand before the text: a number of as many digits keeps them right.
    for count in (b"x", b"-"):
        with pytest.raises(MalformedModel, match="class_params that are no JSON"):
            catboost_cbm.check(data.replace(counted, b'"classes_count":%s,"class_names"' % count))


@pytest.mark.parametrize("count", ["-1", "65537", "16777216", "1e30", '"9"', "true", "null"])
def test_a_number_of_classes(count: str) -> None:
    """It is a number, and one of at most 65,536."""
    catboost_cbm._check_classes('{"classes_count":65536,"class_to_label":[0,1]}')
    with pytest.raises(MalformedModel, match="more classes than 65,536"):
        catboost_cbm._check_classes(f'{{"classes_count":{count}}}')
