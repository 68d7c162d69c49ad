from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourfold.batch import Job, Report, run
from fourfold.codecs import by_suffix
from fourfold.errors import EngineError, OutputExists, SinkError, SourceError
from fourfold.predictor import Predictor
from fourfold.signature.bits import first_difference
from tests.batch.support import ColumnEngine, column_predictor, damage, files_below, read, table, write
from tests.support import SIGNATURE, double, make_package, make_predictor

SUFFIXES = [".parquet", ".csv", ".arrow", ".jsonl"]


def go(source: Path, output: Path, predictor: Predictor | None = None, **arguments: Any) -> Report:
    given: dict[str, Any] = {"source": str(source), "output": str(output), "keep": ("id",), "chunk_rows": 100}
    return run(predictor or column_predictor(), Job(**given | arguments))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of an output, with the kept id as an integer."""
    found = by_suffix(path).decode(path.read_bytes(), SIGNATURE.outputs)
    rows = found if isinstance(found, list) else found.to_pylist()
    return [{**row, "id": int(row["id"])} for row in rows]


def quarantined(path: Path | str | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def expected(rows: int) -> list[dict[str, Any]]:
    return [{"id": row["id"], **double(row)} for row in table(rows).to_pylist()]


@pytest.mark.parametrize("suffix_in", SUFFIXES)
@pytest.mark.parametrize("suffix_out", SUFFIXES)
def test_every_row_is_answered_in_order(suffix_in: str, suffix_out: str, tmp_path: Path) -> None:
    """From any format to any, the output holds the kept column and the answer of every row, in order, bit for bit."""
    source = write(tmp_path / f"in{suffix_in}", table(250))
    output = tmp_path / f"out{suffix_out}"
    report = go(source, output)
    assert first_difference(expected(250), rows_of(output), ["id", "y", "word"]) is None
    assert (report.rows_in, report.rows_out, report.quarantined, report.chunks) == (250, 250, 0, 3)
    assert files_below(tmp_path) == [f"_fourfold/out{suffix_out}.run.json", f"in{suffix_in}", f"out{suffix_out}"]


@pytest.mark.parametrize("takes", ["rows", "columns"])
def test_an_engine_may_take_rows_or_columns(takes: str, tmp_path: Path) -> None:
    """Engines of rows and engines of columns give the same output, byte for byte."""
    source = write(tmp_path / "in.parquet", table(250))
    predictor = make_predictor() if takes == "rows" else column_predictor()
    go(source, tmp_path / takes / "out.parquet", predictor)
    go(source, tmp_path / "out.parquet")
    assert (tmp_path / takes / "out.parquet").read_bytes() == (tmp_path / "out.parquet").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_run_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    """A run that is repeated writes the same output and the same quarantine, byte for byte."""
    source = write(tmp_path / "in.csv", table(250))
    with source.open("a") as file:
        file.write("250,far,,\n")
    found = []
    for _ in range(2):
        go(source, tmp_path / f"out{suffix}", replace=True)
        found.append(
            [(tmp_path / name).read_bytes() for name in files_below(tmp_path) if not name.endswith(".run.json")]
        )
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_parquet_says_who_answered(tmp_path: Path) -> None:
    """The output's schema carries the package's name and digest, and its pages carry checksums."""
    predictor = column_predictor()
    go(write(tmp_path / "in.parquet", table(9000)), tmp_path / "out.parquet", predictor)
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"fourfold.model"] == b"tiny"
    assert metadata[b"fourfold.digest"] == predictor.digest.encode()
    damage(tmp_path / "out.parquet")
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(tmp_path / "out.parquet", page_checksum_verification=True)


def test_a_row_at_fault_does_not_fail_its_neighbours(tmp_path: Path) -> None:
    """Rows at fault are in the quarantine, unchanged and with their row numbers, and all others are answered."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text('id,x,n,word,more\n0,1,,a,z\n1,"far, far",1.5,,z\n2,2,3,b,z\n')
    (tmp_path / "in" / "b.csv").write_text("more,word,n,x,id\nz,c,,4,007\nz,d,7,,4\n")
    report = go(tmp_path / "in", tmp_path / "out.csv", chunk_rows=2)
    assert (tmp_path / "out.csv").read_text() == "id,y,word\n0,2.0,a\n2,7.0,b\n007,8.0,c\n"
    assert (report.rows_in, report.rows_out, report.quarantined) == (5, 3, 2)
    assert report.quarantine == str(tmp_path / "_fourfold" / "out.csv.quarantine.jsonl")
    first, second = quarantined(report.quarantine)
    assert first["file"] == str(tmp_path / "in" / "a.csv")
    assert first["row"] == 1
    assert first["columns"] == {"x": "far, far", "n": "1.5", "word": None, "id": "1"}
    assert [(error["field"], error["code"]) for error in first["errors"]] == [("x", "type"), ("n", "precision")]
    assert first["errors"][0] == {"field": "x", "code": "type", "expected": "float64", "got": "'far, far'"}
    assert (second["file"], second["row"]) == (str(tmp_path / "in" / "b.csv"), 1)
    assert [(error["field"], error["code"]) for error in second["errors"]] == [("x", "missing")]
    assert {"field": "x", "code": "type", "count": 1} in report.reasons


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_typed_rows_at_fault_are_quarantined_too(suffix: str, tmp_path: Path) -> None:
    """A null where none may be, and an integer that float64 cannot hold, are found in typed columns as in text."""
    data = table(300).set_column(1, "x", pa.array([2**53 + 1, None] + [7] * 298, pa.int64()))
    if suffix == ".parquet":
        source = write(tmp_path / "in.parquet", data)
    else:
        source = tmp_path / "in.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in data.to_pylist()) + '"no object"\n')
    report = go(source, tmp_path / "out.parquet")
    rows = quarantined(report.quarantine)
    found = [(row["row"], row["errors"][0]["code"]) for row in rows]
    assert found == [(0, "precision"), (1, "missing"), *([(300, "type")] if suffix == ".jsonl" else [])]
    assert rows[0]["columns"] == {"id": 0, "x": 2**53 + 1, "n": None, "word": None}
    assert read(tmp_path / "out.parquet").column("id").to_pylist() == list(range(2, 300))


def test_a_row_that_the_engine_refuses_is_quarantined(tmp_path: Path) -> None:
    """A row on which the engine fails is found among its neighbours, which are answered."""

    def refuses(row: dict[str, Any]) -> dict[str, Any]:
        if row["n"] == 7:
            raise ValueError("seven")
        return double(row)

    report = go(write(tmp_path / "in.csv", table(250)), tmp_path / "out.csv", make_predictor(refuses))
    assert [row["id"] for row in rows_of(tmp_path / "out.csv")] == [row for row in range(250) if row != 7]
    (row,) = quarantined(report.quarantine)
    assert (row["row"], row["errors"][0]["code"], row["columns"]["n"]) == (7, "engine", "7")


def test_a_broken_engine_fails_the_run(tmp_path: Path) -> None:
    """An engine that answers no row is broken: nothing is published and nothing left."""
    broken: list[bool] = []

    def breaks(row: dict[str, Any]) -> dict[str, Any]:
        if broken:
            raise RuntimeError("out of order")
        return double(row)

    source = write(tmp_path / "in.csv", table(250))
    predictor = make_predictor(breaks)
    broken.append(True)
    with pytest.raises(EngineError, match="out of order"):
        go(source, tmp_path / "out.csv", predictor)
    assert files_below(tmp_path) == ["in.csv"]


def bad_rows(tmp_path: Path, bad: int, rows: int = 400) -> Path:
    """A source whose first rows are at fault."""
    path = tmp_path / "in.csv"
    path.write_text("id,x,n,word\n" + "".join(f"{row},{'far' if row < bad else 1},,\n" for row in range(rows)))
    return path


@pytest.mark.parametrize(
    ("bad", "limit", "fails"),
    [
        (0, 0, False),
        (1, 0, True),
        (40, 40, False),
        (41, 40, True),
        (40, 0.1, False),
        (41, 0.1, True),
        (399, None, False),
        (400, None, True),
        (400, 1.0, False),
        (400, 400, False),
        (0, 0.0, False),
    ],
)
def test_too_many_rows_at_fault_fail_the_run(bad: int, limit: Any, fails: bool, tmp_path: Path) -> None:
    """Beyond the count or share that is allowed nothing is published; without one, where no row fits."""
    source = bad_rows(tmp_path, bad)
    if fails:
        with pytest.raises(
            SourceError, match=r"rows read from .* do not fit.*The first errors:\n.*row 0, field 'x'"
        ) as caught:
            run(column_predictor(), Job(str(source), str(tmp_path / "out.csv"), max_quarantined=limit, chunk_rows=50))
        assert str(caught.value).count("\n") == min(bad, 5)
        assert files_below(tmp_path) == ["in.csv"]
    else:
        report = go(source, tmp_path / "out.csv", max_quarantined=limit)
        assert report.quarantined == bad


def test_too_many_rows_stop_the_run_early(tmp_path: Path) -> None:
    """A count that is exceeded ends the run at once, and so does a share where all rows are known beforehand."""
    seen: list[int] = []
    for suffix, limit in ((".csv", 10), (".parquet", 0.1)):
        data = table(400).set_column(1, "x", pa.array([None] * 100 + [1.0] * 300))
        job = Job(
            str(write(tmp_path / f"in{suffix}", data)), str(tmp_path / "out.csv"), max_quarantined=limit, chunk_rows=50
        )
        seen.clear()
        with pytest.raises(SourceError, match="50 of 50 rows"):
            run(column_predictor(), job, lambda done, total: seen.append(done))
        assert seen == [0]


def test_progress_is_told(tmp_path: Path) -> None:
    """At the start and after each chunk: the rows done, and the number of all rows where the files state it."""
    told: list[tuple[int, int | None]] = []
    for suffix in (".parquet", ".csv"):
        job = Job(str(write(tmp_path / f"in{suffix}", table(250))), str(tmp_path / f"out{suffix}"), chunk_rows=100)
        run(column_predictor(), job, lambda done, total: told.append((done, total)))
    assert told == [(done, total) for total in (250, None) for done in (0, 100, 200, 250)]


def test_the_report_lies_beside_the_output(tmp_path: Path) -> None:
    """The file of the report says what the call returned: counts, package, source, reasons."""
    source = write(tmp_path / "in.parquet", table(3).drop_columns(["n"]))
    report = go(source, tmp_path / "out.parquet", absent=["n"])
    assert report.report == str(tmp_path / "_fourfold" / "out.parquet.run.json")
    assert json.loads(Path(report.report).read_text()) == report.to_json()
    assert report.model == "tiny"
    assert report.digest == column_predictor().digest
    assert report.absent == ["n"]
    assert report.sources[0]["path"] == str(source)
    assert report.sources[0]["size"] == source.stat().st_size


def test_an_output_that_exists_stays(tmp_path: Path) -> None:
    """An output is not replaced unless that is allowed, and then whole, with all that belonged to it."""
    source = bad_rows(tmp_path, 1)
    first = go(source, tmp_path / "out.csv")
    assert first.quarantine is not None
    old = (tmp_path / "out.csv").read_bytes()
    with pytest.raises(OutputExists):
        go(source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == old
    second = go(bad_rows(tmp_path, 0), tmp_path / "out.csv", replace=True)
    assert second.quarantine is None
    assert files_below(tmp_path) == ["_fourfold/out.csv.run.json", "in.csv", "out.csv"]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 401


def test_an_output_that_comes_meanwhile_stays(tmp_path: Path) -> None:
    """A file that somebody puts in the output's place during the run stays, and nothing of the run does."""
    source = bad_rows(tmp_path, 1)

    def intrude(done: int, total: int | None) -> None:
        (tmp_path / "out.csv").write_text("theirs")

    for quarantine in (None, str(tmp_path / "bad.jsonl")):
        with pytest.raises(OutputExists, match="came into being"):
            run(column_predictor(), Job(str(source), str(tmp_path / "out.csv"), quarantine=quarantine), intrude)
        assert files_below(tmp_path) == ["in.csv", "out.csv"]
        assert (tmp_path / "out.csv").read_text() == "theirs"
        (tmp_path / "out.csv").unlink()


def test_the_quarantine_can_go_elsewhere(tmp_path: Path) -> None:
    """A quarantine with a path of its own is there, and only if there are rows for it; another run's is never lost."""
    path = tmp_path / "bad" / "rows.jsonl"
    report = go(bad_rows(tmp_path, 0), tmp_path / "none.csv", quarantine=str(path))
    assert report.quarantine is None
    assert not path.exists()
    report = go(bad_rows(tmp_path, 2), tmp_path / "two.csv", quarantine=str(path))
    assert report.quarantine == str(path)
    assert len(quarantined(path)) == 2
    with pytest.raises(OutputExists, match=r"rows\.jsonl exists"):
        go(bad_rows(tmp_path, 3), tmp_path / "three.csv", quarantine=str(path))
    assert len(quarantined(path)) == 2
    assert not (tmp_path / "three.csv").exists()
    go(bad_rows(tmp_path, 3), tmp_path / "two.csv", quarantine=str(path), replace=True)
    assert len(quarantined(path)) == 3
    assert not (tmp_path / "bad" / "_fourfold").exists()


@pytest.mark.parametrize("suffix_in", [".parquet", ".csv", ".jsonl"])
def test_no_rows_make_an_output_without_rows(suffix_in: str, tmp_path: Path) -> None:
    """A source without rows gives an output without rows and with its columns, in a folder that is made for it."""
    source = write(tmp_path / f"in{suffix_in}", table(0))
    keep = () if suffix_in == ".jsonl" else ("id",)
    report = go(source, tmp_path / "new" / "folder" / "out.parquet", keep=keep)
    assert (report.rows_in, report.rows_out) == (0, 0)
    assert read(tmp_path / "new" / "folder" / "out.parquet").schema.names == [*keep, "y", "word"]


def test_damage_in_the_middle_publishes_nothing(tmp_path: Path) -> None:
    """Damage that is found after many rows were answered leaves the old output as it was, and nothing new."""
    source = write(tmp_path / "in" / "a.parquet", table(4000), row_group_size=1000)
    damage(source, row_group=3)
    (tmp_path / "out.parquet").write_text("old")
    done: list[int] = []
    job = Job(str(tmp_path / "in"), str(tmp_path / "out.parquet"), chunk_rows=500, replace=True)
    with pytest.raises(SourceError, match=r"a\.parquet: malformed or truncated Parquet"):
        run(column_predictor(), job, lambda rows, total: done.append(rows))
    assert done
    assert files_below(tmp_path) == ["in/a.parquet", "out.parquet"]
    assert (tmp_path / "out.parquet").read_text() == "old"


def test_a_source_that_changes_publishes_nothing(tmp_path: Path) -> None:
    """A source file that is written to after it was read fails the run at its end."""
    source = write(tmp_path / "in.csv", table(50))

    def touch(done: int, total: int | None) -> None:
        with source.open("a") as file:
            file.write("9,9,9,9\n")

    with pytest.raises(SourceError, match=r"in\.csv has changed since the run began"):
        run(column_predictor(), Job(str(source), str(tmp_path / "out.csv")), touch)
    assert files_below(tmp_path) == ["in.csv"]


def test_drift_in_the_second_file_scores_nothing(tmp_path: Path) -> None:
    """A second file that lacks a column fails the run before the engine has seen a row."""
    seen: list[int] = []
    write(tmp_path / "in" / "a.parquet", table(5))
    write(tmp_path / "in" / "b.parquet", table(5).drop_columns(["x"]))
    predictor = make_predictor(called=lambda rows: seen.append(len(rows)))
    seen.clear()
    with pytest.raises(SourceError, match=r"b\.parquet: column 'x': expected float64, got no such column"):
        go(tmp_path / "in", tmp_path / "out.parquet", predictor)
    assert seen == []
    assert not (tmp_path / "_fourfold").exists()


@pytest.mark.parametrize("first_stop", [0, 1])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(error: type[BaseException], first_stop: int, tmp_path: Path) -> None:
    """Ctrl-C, or an error in the progress callback, ends the run and leaves nothing half-written."""
    source = bad_rows(tmp_path, 20)

    def stop(done: int, total: int | None) -> None:
        if done >= first_stop:
            raise error

    job = Job(str(source), str(tmp_path / "out.parquet"), quarantine=str(tmp_path / "bad.jsonl"), chunk_rows=50)
    with pytest.raises(error):
        run(column_predictor(), job, stop)
    assert files_below(tmp_path) == ["in.csv"]


def test_an_output_that_no_format_has_is_refused(tmp_path: Path) -> None:
    """An output whose suffix says no format is refused before a row is read."""
    source = write(tmp_path / "in.csv", table(3))
    with pytest.raises(SinkError, match=r"the output .*out\.xlsx: its name does not say its format"):
        go(source, tmp_path / "out.xlsx")
    assert files_below(tmp_path) == ["in.csv"]


def test_renamed_and_nullable_columns(tmp_path: Path) -> None:
    """A renamed column feeds its field, and a field that is called absent is missing in every row."""
    data = table(10).rename_columns(["id", "Distanz", "n", "word"]).drop_columns(["n"])
    report = go(write(tmp_path / "in.parquet", data), tmp_path / "out.parquet", rename={"Distanz": "x"}, absent=["n"])
    assert report.absent == ["n"]
    ys = [row["x"] * 2 for row in table(10).to_pylist()]
    assert read(tmp_path / "out.parquet").column("y").to_pylist() == ys


def test_blocks_and_chunks_change_no_bit(tmp_path: Path) -> None:
    """A package that fixes the rows of an engine call gives the same bits in chunks of any size."""
    source = write(tmp_path / "in.parquet", table(250))
    predictor = Predictor(make_package(block=32), ColumnEngine())
    found = []
    for chunk_rows in (1, 33, 250):
        go(source, tmp_path / f"{chunk_rows}.csv", predictor, chunk_rows=chunk_rows)
        found.append((tmp_path / f"{chunk_rows}.csv").read_bytes())
    assert found[0] == found[1] == found[2]


def test_importing_batch_is_light() -> None:
    """Importing this room, as the command line does for its help, imports no third-party library."""
    program = "import sys, fourfold.batch; print(*[m for m in sys.modules if m in ('pyarrow', 'numpy', 'msgspec')])"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == ""


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    """Where pyarrow is not installed the error says which extra brings it."""
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from fourfold.batch import Job, run\n"
        "from tests.support import make_predictor\n"
        "from fourfold.errors import MissingLibrary\n"
        "try: run(make_predictor(), Job('in.csv', 'out.csv'))\n"
        "except MissingLibrary as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.startswith("a batch run needs pyarrow, which is not installed; the extra 'arrow' brings it: ")


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ('[{"x": 1.0}, {"x": 2.0}]', "an array, .*; write its objects a line each on the first"),
        ("[1.0, 2.0]\n[3.0, 4.0]\n", "an array, "),
        ("1\n2\n", "1 on the first"),
        ('[\n  {"x": 1.0},\n  {"x": 2.0}\n]\n', "an array that goes on over many lines"),
        ('{\n  "x": 1.0\n}\n', "an object that goes on over many lines"),
    ],
)
def test_json_lines_that_hold_no_object(text: str, got: str, tmp_path: Path) -> None:
    """A file of one array, of lists or of scalars says that objects were expected, a line each."""
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(SourceError, match=rf"rows\.jsonl: .*expected a JSON object on each line, got {got}"):
        go(tmp_path / "rows.jsonl", tmp_path / "out.parquet")


def test_a_line_that_is_no_object_beside_others_is_quarantined(tmp_path: Path) -> None:
    """One line at fault does not fail its neighbours."""
    (tmp_path / "rows.jsonl").write_text('[1]\n{"x": 1.0}\n')
    report = go(tmp_path / "rows.jsonl", tmp_path / "out.parquet", keep=(), absent=("n", "word"))
    assert (report.rows_out, report.quarantined) == (1, 1)


def test_files_by_their_urls(tmp_path: Path) -> None:
    """Source, output and quarantine may be `file://` URLs, also in a job file; other schemes are refused."""
    write(tmp_path / "in 1.parquet", table(3))
    job = tmp_path / "job.toml"
    url = f"file://{tmp_path}"
    job.write_text(f'source = "{url}/in%201.parquet"\noutput = "{url}/out.parquet"\nquarantine = "{url}/bad.jsonl"\n')
    report = run(column_predictor(), Job.from_toml(job))
    assert (report.rows_out, report.output) == (3, str(tmp_path / "out.parquet"))
    with pytest.raises(SourceError, match="the job's source to be a path or a file:// URL; got 's3://"):
        Job("s3://bucket/in.parquet", "out.parquet")
    with pytest.raises(SinkError, match="the job's output to be a path or a file:// URL; got 'gs://"):
        Job("in.parquet", "gs://bucket/out.parquet")


def test_a_kept_column_of_several_widths(tmp_path: Path) -> None:
    """A column that grew from file to file is kept in the type that holds it everywhere, and refused if none does."""
    folder = tmp_path / "days"
    folder.mkdir()
    for day, ids in (("1", pa.array([1, 2], pa.int32())), ("2", pa.array([3, 2**40], pa.int64()))):
        write(folder / f"{day}.parquet", table(2).set_column(0, "id", ids))
    go(folder, tmp_path / "out.parquet", keep=["id"])
    ids = read(tmp_path / "out.parquet").column("id")
    assert (ids.type, ids.to_pylist()) == (pa.int64(), [1, 2, 3, 2**40])
    moments = pa.array(["2024-01-01", "9999-12-31"]).cast(pa.timestamp("us"))
    write(folder / "1.parquet", table(2).set_column(0, "id", moments))
    write(folder / "2.parquet", table(2).set_column(0, "id", pa.array([0, 1], pa.timestamp("ns"))))
    with pytest.raises(SourceError, match=r"column 'id', which is kept: expected values that timestamp\[ns\]"):
        go(folder, tmp_path / "late.parquet", keep=["id"])


def test_a_kept_key_of_integers_that_float64_holds(tmp_path: Path) -> None:
    """An integer beyond 2^53 stands among floats where float64 holds it, and is refused where it does not."""
    source = tmp_path / "rows.jsonl"
    source.write_text('{"x": 1.0, "id": 10000000000000000}\n{"x": 2.0, "id": 0.5}\n{"x": 3.0}\n')
    go(source, tmp_path / "out.parquet", absent=("n", "word"))
    assert read(tmp_path / "out.parquet").column("id").to_pylist() == [1e16, 0.5, None]
    source.write_text('{"x": 1.0, "id": 9007199254740993}\n{"x": 2.0, "id": 0.5}\n')
    with pytest.raises(SourceError, match="holds 9007199254740993, which a float64 column cannot hold exactly"):
        go(source, tmp_path / "other.parquet", absent=("n", "word"))
