from __future__ import annotations

import catboost
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
