"""Golden rows: stored exactly, compared by bits."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourfold.errors import CorruptPackage
from fourfold.package import Package
from fourfold.package.golden import MAX_PARTS, GoldenRows, compare, decode_golden, encode_golden, read_golden
from fourfold.signature import Field, Signature
from fourfold.signature.bits import same_bits
from tests.package.sample import FILES, manifest

SIGNATURE = Signature(
    (Field("f", "float64", nullable=True), Field("s", "string"), Field("b", "binary"), Field("d", "date")),
    (Field("y", "float32"), Field("p", "float64", shape=(2,)), Field("t", "timestamp", zone="Europe/Berlin")),
)
_TENSORS = st.lists(st.floats(), min_size=2, max_size=2)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "f": st.none() | st.floats(),
                "s": st.text(st.characters(exclude_categories=["Cs"])),
                "b": st.binary(),
                "d": st.dates(),
            }
        )
    ),
    st.data(),
)
def test_golden_rows_survive_their_file_bit_for_bit(inputs: list[dict[str, Any]], data: st.DataObject) -> None:
    """NaN, infinities, zeros of both signs, nulls, text and bytes come back as they went."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Berlin")
    moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(
        lambda moment: moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone)
    )
    row = st.fixed_dictionaries({"y": st.floats(width=32), "p": _TENSORS, "t": moments})
    outputs = data.draw(st.lists(row, min_size=len(inputs), max_size=len(inputs)))
    back = decode_golden(encode_golden(GoldenRows(inputs, outputs), SIGNATURE), SIGNATURE)
    for sides in ((inputs, back.inputs), (outputs, back.outputs)):
        for left, right in zip(*sides, strict=True):
            assert all(same_bits(left[name], right[name]) for name in left)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"inputs":[]}',
        b'{"inputs":[{}],"outputs":[]}',
        b'{"inputs":[5],"outputs":[5]}',
        b'{"inputs":' + b"[" * 100_000,
        json.dumps({"inputs": [{"f": "x", "s": 1}], "outputs": [{}]}).encode(),
    ],
)
def test_a_golden_file_is_read_strictly(data: bytes) -> None:
    """Rows that are no rows of the signature make the package corrupt."""
    with pytest.raises(CorruptPackage, match=r"golden\.json"):
        decode_golden(data, SIGNATURE)


@pytest.mark.parametrize("rows", [0, 2])
def test_a_package_carries_the_golden_rows_that_it_says(rows: int) -> None:
    """Fewer than the manifest says, or none at all, would let an engine answer that nothing was held against."""
    data = b'{"inputs":[],"outputs":[]}' if rows == 0 else FILES["golden.json"]
    package = Package.build(
        manifest(golden={"file": "golden.json", "rows": rows, "tolerance": 0}), {"golden.json": data}
    )
    with pytest.raises(CorruptPackage, match="golden rows, got"):
        read_golden(package)


def test_a_replay_says_how_far_and_where() -> None:
    """The first difference is named, and the largest gap is over all rows."""
    golden = GoldenRows([{}, {}, {}], [{"y": 1.0}, {"y": 2.0}, {"y": 4.0}])
    replay = compare(golden, [{"y": 1.0}, {"y": 2.0000000000000004}, {"y": 5.0}], ["y"])
    assert not replay.exact
    assert replay.first == (1, "y", 2.0, 2.0000000000000004)
    assert replay.largest_gap == pytest.approx(0.2)
    assert compare(golden, golden.outputs, ["y"]).exact
    assert compare(golden, [{"y": 1.0}, {"y": 2.0}, {"y": math.nan}], ["y"]).largest_gap == math.inf


@pytest.mark.parametrize("part", [b"[],", b"{},"])
def test_many_small_objects_are_refused_before_they_are_parsed(part: bytes) -> None:
    """Three bytes of JSON are a list of sixty in memory: a file of 60 MB would take 1.5 GB."""
    with pytest.raises(CorruptPackage, match=r"golden\.json has 2,000,\d{3} lists and objects; expected at most"):
        decode_golden(b'{"inputs":[' + part * MAX_PARTS + b'[]],"outputs":[]}', SIGNATURE)
