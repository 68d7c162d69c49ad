"""Files that stand for far more than their bytes, as sources of a batch run."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold import batch
from fourfold.errors import SourceError
from fourfold.predictor import Predictor
from tests.hostile_rows import BODIES, parquet_of, stream_of
from tests.support import make_predictor

LIMIT = 16 * 2**20


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("arrow compressed", ".arrows"),
        ("arrow views", ".arrows"),
        ("parquet page", ".parquet"),
        ("parquet lists", ".parquet"),
    ],
)
def test_a_part_over_the_limit_fails_the_run_with_its_name(
    name: str, suffix: str, predictor: Predictor, tmp_path: Path
) -> None:
    """The error names the file, the limit and the setting; nothing is written."""
    source = tmp_path / f"rows{suffix}"
    source.write_bytes(BODIES[name][1]())
    job = batch.Job(str(source), str(tmp_path / "out.parquet"), max_decoded_bytes=LIMIT)
    with pytest.raises(SourceError, match=r"rows\..*16777216 bytes of memory \(max_decoded_bytes\)"):
        batch.run(predictor, job)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(("name", "suffix"), [("arrow dictionary", ".arrows"), ("parquet dictionary", ".parquet")])
def test_rows_that_name_one_long_text_are_answered_in_parts(
    name: str, suffix: str, predictor: Predictor, tmp_path: Path
) -> None:
    """Two thousand rows of 64 KiB each, stored once, are answered within the limit, a part at a time."""
    source = tmp_path / f"rows{suffix}"
    source.write_bytes(BODIES[name][1]())
    job = batch.Job(str(source), str(tmp_path / "out.parquet"), max_decoded_bytes=LIMIT, absent=("n",))
    report = batch.run(predictor, job)
    assert (report.rows_in, report.rows_out, report.quarantined) == (2000, 2000, 0)
    assert report.chunks >= 8
    assert set(pq.read_table(tmp_path / "out.parquet").column("word").to_pylist()) == {"x" * (1 << 16)}


def test_a_long_line_is_quarantined_and_its_neighbours_are_answered(predictor: Predictor, tmp_path: Path) -> None:
    """A line that is too long, and one that unfolds to too much, are rows at fault like any other."""
    source = tmp_path / "rows.jsonl"
    long, wide = b'{"x": 1, "word": "' + b"y" * LIMIT + b'"}', b'{"x": [' + b",".join([b"{}"] * 200_000) + b"]}"
    source.write_bytes(b"\n".join([b'{"x": 1}', long, b'{"x": 2}', wide, b'{"x": 3}', b""]))
    job = batch.Job(str(source), str(tmp_path / "out.jsonl"), max_decoded_bytes=LIMIT, absent=("n", "word"))
    report = batch.run(predictor, job)
    assert (report.rows_in, report.rows_out, report.quarantined) == (5, 3, 2)
    assert report.quarantine is not None
    lines = [json.loads(line) for line in Path(report.quarantine).read_text().splitlines()]
    assert [line["row"] for line in lines] == [1, 3]
    assert [line["errors"][0]["got"] for line in lines] == [
        f"{len(long) + 1} bytes, over max_decoded_bytes = {LIMIT}",
        f"{len(wide) + 1} bytes, over max_decoded_bytes = {LIMIT}",
    ]


def test_a_damaged_footer_does_not_end_the_process(predictor: Predictor, tmp_path: Path) -> None:
    """Whatever bytes a footer has, the run fails with an error: pyarrow's own view of some ends the process."""
    whole = parquet_of(pa.table({"x": [1.0, 2.0], "n": [1, 2], "word": ["a", "b"]}))
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for at in range(start, len(whole) - 8):
        source = tmp_path / f"rows{at}.parquet"
        source.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        try:
            batch.run(predictor, batch.Job(str(source), str(tmp_path / f"out{at}.jsonl")))
        except SourceError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrows"])
def test_a_file_of_very_many_columns_is_refused_by_the_job_s_own_bound(
    suffix: str, predictor: Predictor, tmp_path: Path
) -> None:
    """The names alone are read within the bound that the job sets, too, and with a higher bound the run is answered."""
    names = ["x", *(f"column {number}" for number in range(20_000))]
    source = tmp_path / f"rows{suffix}"
    if suffix == ".csv":
        source.write_text(",".join(names) + "\n" + "1" + "," * 20_000 + "\n")
    else:
        table = pa.table({name: pa.array([1.0]) for name in names})
        source.write_bytes(parquet_of(table) if suffix == ".parquet" else stream_of(table))
    with pytest.raises(SourceError, match=r"rows\..*bytes of memory \(max_decoded_bytes\)"):
        batch.run(predictor, batch.Job(str(source), str(tmp_path / "out.jsonl"), max_decoded_bytes=LIMIT))
    absent = ("n", "word")
    job = batch.Job(str(source), str(tmp_path / "out.jsonl"), max_decoded_bytes=32 * LIMIT, absent=absent)
    assert batch.run(predictor, job).rows_out == 1
