from __future__ import annotations

import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fourfold.batch import Job
from fourfold.batch.extract.source import SourceFiles, find_source_files
from fourfold.batch.transform.columns import map_columns
from fourfold.errors import SourceError
from tests.batch.support import damage, table, write
from tests.support import SIGNATURE

SUFFIXES = [".parquet", ".csv", ".arrow", ".jsonl"]
TYPED = [".parquet", ".arrow"]


def source(path: Path | str, **arguments: Any) -> SourceFiles:
    job = Job(str(path), "out.csv", **arguments)
    return SourceFiles(find_source_files(job.source), map_columns(SIGNATURE, job))


def names(path: Path | str) -> list[str]:
    return [file.name for file in find_source_files(str(path))]


def test_files_are_found_in_order(tmp_path: Path) -> None:
    """A file, a folder and a glob give their files sorted by path, without hidden files or work folders."""
    for name in ("b.csv", "a.csv", "_notes.csv", ".hidden.csv", "_fourfold/out.csv", "c/d.csv", "c/_fourfold/x.csv"):
        write(tmp_path / name, table(1))
    assert names(tmp_path / "b.csv") == ["b.csv"]
    assert names(tmp_path / "*.csv") == ["_notes.csv", "a.csv", "b.csv"]
    assert names(tmp_path / "[ab].csv") == ["a.csv", "b.csv"]
    assert names(tmp_path / "**" / "*.csv") == ["_notes.csv", "a.csv", "b.csv", "d.csv"]
    (tmp_path / "c").rename(tmp_path / "_c")
    assert names(tmp_path) == ["a.csv", "b.csv"]


def test_a_name_that_is_there_is_no_glob(tmp_path: Path) -> None:
    """A path with the characters of a glob is the file of that name, if there is one."""
    write(tmp_path / "[1].csv", table(1))
    assert names(tmp_path / "[1].csv") == ["[1].csv"]


@pytest.mark.parametrize(
    ("files", "asked", "message"),
    [
        ([], "", "has no file in it"),
        ([], "*.csv", "matches no file"),
        ([], "june/a.csv", r"there is no file and no folder .*: the folder .*june is not there"),
        (["june.csv"], "Jun.csv", r"there is no file and no folder .*; did you mean .*june\.csv\?"),
        (["a.csv", "b.parquet"], "", r"must have one format; .* holds csv \(.*a\.csv\), parquet \(.*b\.parquet\)"),
        (["a.csv", "README.md"], "", r"README\.md: its name does not say its format"),
        (["a.csv", "june/b.csv"], "", r"holds the folder june; name the files that are meant with a glob"),
    ],
)
def test_what_is_no_source_is_refused(files: list[str], asked: str, message: str, tmp_path: Path) -> None:
    """A source without files, of several formats, or with something else among them is refused."""
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(SourceError, match=message):
        find_source_files(str(tmp_path / asked))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A file that does not exist is named."""
    with pytest.raises(SourceError, match=r"there is no file and no folder .*gone\.csv$"):
        source(tmp_path / "gone.csv")


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    """A pipe can be read only once: it is refused at once."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match=r"pipe\.csv is no regular file"):
        source(tmp_path / "pipe.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_in_order_and_in_chunks(suffix: str, tmp_path: Path) -> None:
    """Every row of every file comes once, in order, in chunks of limited size that know their first row."""
    whole = table(250)
    write(tmp_path / f"a{suffix}", whole.slice(0, 130))
    write(tmp_path / f"b{suffix}", whole.slice(130))
    taken = source(tmp_path, keep=("id",))
    places, ids, xs = [], [], []
    for chunk in taken.chunks(100, 2**30):
        places.append((Path(chunk.file).stem, chunk.start, len(chunk.table)))
        ids += [int(value) for value in taken.passthrough(chunk)[0].to_pylist()]
        (part,) = taken.inputs(chunk)
        xs += [row["x"] for row in (part.table if isinstance(part.table, list) else part.table.to_pylist())]
    assert places == [("a", 0, 100), ("a", 100, 30), ("b", 0, 100), ("b", 100, 20)]
    assert ids == list(range(250))
    assert xs == whole.column("x").to_pylist()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_wide_rows_make_small_chunks(suffix: str, tmp_path: Path) -> None:
    """A chunk holds no more bytes than it may, however few rows those are, and one row at least."""
    data = table(300).set_column(3, "word", pa.array(["w" * 10_000] * 300))
    taken = source(write(tmp_path / f"a{suffix}", data))
    sizes = [len(chunk.table) for chunk in taken.chunks(1000, 200_000)]
    assert sum(sizes) == 300
    assert 5 <= max(sizes) <= 20
    assert {len(chunk.table) for chunk in taken.chunks(1000, 1)} == {1}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_what_is_needed_is_read(suffix: str, tmp_path: Path) -> None:
    """Columns that are neither inputs nor kept are not read."""
    taken = source(write(tmp_path / f"a{suffix}", table(3)))
    chunk = next(taken.chunks(10, 2**20))
    columns = chunk.table[1] if isinstance(chunk.table, list) else chunk.table.schema.names
    assert list(columns) == ["x", "n", "word"]


def drop(name: str) -> Any:
    return lambda data: data.drop_columns([name])


def retype(name: str, kind: Any) -> Any:
    def change(data: Any) -> Any:
        place = data.schema.get_field_index(name)
        return data.set_column(place, name, data.column(name).cast(kind))

    return change


def rename(old: str, new: str) -> Any:
    return lambda data: data.rename_columns([new if name == old else name for name in data.schema.names])


@pytest.mark.parametrize("suffix", TYPED)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("x"), "column 'x': expected float64, got no such column; the table has 'id', 'n', 'word'"),
        (rename("x", "X"), "column 'x': expected float64, got no such column, but 'X': `rename` can say"),
        (retype("x", pa.string()), "column 'x': expected float64, got string"),
        (retype("n", pa.timestamp("us")), r"column 'n': expected int64 or null, got timestamp\[us\]"),
        (drop("n"), "column 'n': expected int64 or null, got no such column.*or --absent n"),
        (drop("id"), "column 'id', which is to be kept: got no such column"),
        (retype("id", pa.string()), r"column 'id', which is kept: expected int64 as in .*a\.\w+, got string"),
    ],
)
def test_a_file_that_differs_is_found_before_the_first_row(
    suffix: str, change: Any, message: str, tmp_path: Path
) -> None:
    """A second file with other columns or types is refused, named with its column, what was expected and what came."""
    write(tmp_path / f"a{suffix}", table(3))
    write(tmp_path / f"b{suffix}", change(table(3)))
    with pytest.raises(SourceError, match=rf"b{suffix}: {message}"):
        source(tmp_path, keep=("id",))


def test_every_problem_is_listed(tmp_path: Path) -> None:
    """One message lists the problems of all files, up to a limit."""
    for number in range(4):
        write(tmp_path / f"{number}.parquet", retype("x", pa.string())(drop("n")(table(1))))
    write(tmp_path / "4.parquet", table(1))
    with pytest.raises(SourceError) as caught:
        source(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert lines[0].endswith("0.parquet: column 'x': expected float64, got string")
    assert "0.parquet: column 'n': expected int64 or null" in lines[1]
    assert lines[-1] == "… and 3 more"


def test_types_that_hold_the_same_may_differ(tmp_path: Path) -> None:
    """An input's column may have another type in another file as long as it can hold the field's values."""
    write(tmp_path / "a.parquet", table(3))
    write(tmp_path / "b.parquet", retype("n", pa.int16())(retype("word", pa.large_string())(table(3))))
    taken = source(tmp_path)
    assert [len(chunk.table) for chunk in taken.chunks(10, 2**20)] == [3, 3]


def test_a_kept_column_without_a_value_has_the_type_of_the_others(tmp_path: Path) -> None:
    """Where all of a kept column is null in one file, so that it has no type there, it has that of the other files."""
    write(tmp_path / "a.parquet", table(2).set_column(0, "id", pa.nulls(2)))
    write(tmp_path / "b.parquet", table(2))
    taken = source(tmp_path, keep=("id",))
    assert taken.passthrough_schema.field("id").type == pa.int64()
    found = [taken.passthrough(chunk)[0].to_pylist() for chunk in taken.chunks(10, 2**20)]
    assert found == [[None, None], [0, 1]]


def test_json_lines_may_differ_in_what_may_be_missing(tmp_path: Path) -> None:
    """Each row of JSON lines says which keys it has; a required one that a whole file lacks is refused all the same."""
    (tmp_path / "a.jsonl").write_text('{"x": 1, "n": 1, "id": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"x": 2}\n')
    (tmp_path / "c.jsonl").write_text("")
    with pytest.raises(SourceError, match=r"a\.jsonl: none of its first 2 rows has 'word'. No other key is there"):
        source(tmp_path, keep=("id",))
    taken = source(tmp_path, keep=("id",), absent=("word",))
    assert taken.absent == ("word",)
    assert [taken.passthrough(chunk)[0].to_pylist() for chunk in taken.chunks(10, 2**20)] == [[1], [None]]
    (tmp_path / "b.jsonl").write_text('{"n": 2}\n')
    with pytest.raises(SourceError, match=r"b\.jsonl: column 'x': expected float64, got no such column"):
        source(tmp_path)


def test_integers_widen_where_nothing_is_lost(tmp_path: Path) -> None:
    """A kept key that is whole in one file of JSON lines and not in another is float64, if that holds it exactly."""
    (tmp_path / "a.jsonl").write_text('{"x": 1, "id": 7}\n')
    (tmp_path / "b.jsonl").write_text('{"x": 1, "id": 7.5}\n')
    taken = source(tmp_path, keep=("id",), absent=("n", "word"))
    assert [taken.passthrough(chunk)[0].to_pylist() for chunk in taken.chunks(10, 2**20)] == [[7.0], [7.5]]
    (tmp_path / "a.jsonl").write_text('{"x": 1, "id": 9007199254740993}\n')
    with pytest.raises(SourceError, match="which is kept: expected int64"):
        source(tmp_path, keep=("id",), absent=("n", "word"))


def test_the_first_rows_of_json_lines_are_judged(tmp_path: Path) -> None:
    """A field that none of the first thousand rows has, over all files, is a mistake, and their keys are named."""
    row = '{"x": 1, "n": 1, "Word": "a"}\n'
    (tmp_path / "a.jsonl").write_text(row * 600)
    (tmp_path / "b.jsonl").write_text(row * 400 + '{"x": 1, "word": "b"}\n')
    message = r"none of its first 1,000 rows has 'word'. They have the keys 'Word', .*'Word' may be meant for 'word'"
    with pytest.raises(SourceError, match=message):
        source(tmp_path)
    assert source(tmp_path, absent=("word",)).rows == 1001
    (tmp_path / "b.jsonl").write_text(row * 300 + '{"x": 1, "word": "b"}\n')
    assert source(tmp_path).rows == 901


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_that_are_no_fields_may_be_forbidden(suffix: str, tmp_path: Path) -> None:
    """They are left out, unless the job forbids them: then a file is refused for one, and JSON lines for its row."""
    file = write(tmp_path / f"in{suffix}", table(3))
    assert source(file).absent == ()
    if suffix == ".jsonl":
        (chunk,) = source(file, extra="forbid").chunks(10, 2**20)
        assert "id" in chunk.table[0]
    else:
        with pytest.raises(SourceError, match=r"column 'id': it is no field and not kept"):
            source(file, extra="forbid")
    assert source(file, keep=("id",), extra="forbid").absent == ()


def test_a_field_that_no_file_has_is_told(tmp_path: Path) -> None:
    """A field that the job calls absent, and has a column in no file, is missing everywhere and listed as absent."""
    file = write(tmp_path / "a.parquet", drop("n")(table(3)))
    taken = source(file, absent=("n",))
    assert taken.absent == ("n",)
    with pytest.raises(SourceError, match=r"a.parquet: column 'n': .*no such column; the table has 'id', 'x', 'word'"):
        source(file)
    with pytest.raises(SourceError, match="got no such column, but 'N'"):
        source(write(tmp_path / "b.parquet", rename("n", "N")(table(3))))


@pytest.mark.parametrize("suffix", TYPED)
def test_a_column_that_is_there_twice_is_refused(suffix: str, tmp_path: Path) -> None:
    """A file with two columns of one name is refused."""
    twice = pa.Table.from_arrays([*table(2).columns, pa.array([1.0, 2.0])], names=["id", "x", "n", "word", "x"])
    with pytest.raises(SourceError, match="has the column 'x' twice"):
        source(write(tmp_path / f"a{suffix}", twice))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_rows_are_rows_too(suffix: str, tmp_path: Path) -> None:
    """A file without rows gives none, whatever the types of its columns are."""
    data = table(0)
    if suffix == ".parquet":
        data = data.set_column(1, "x", pa.nulls(0))
    taken = source(write(tmp_path / f"a{suffix}", data))
    assert list(taken.chunks(10, 2**20)) == []


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_an_empty_file_is_no_table(suffix: str, tmp_path: Path) -> None:
    """A file of zero bytes is damaged, not empty: it has no columns."""
    (tmp_path / f"a{suffix}").write_bytes(b"")
    with pytest.raises(SourceError, match=rf"a{suffix}: "):
        source(tmp_path / f"a{suffix}")


def test_damage_is_found_when_its_rows_are_reached(tmp_path: Path) -> None:
    """A byte that changed in a page of a Parquet file with checksums is an error that names the file."""
    path = write(tmp_path / "a.parquet", table(4000), row_group_size=1000)
    damage(path, row_group=2)
    taken = source(path)
    chunks = taken.chunks(1000, 2**30)
    assert len(next(chunks).table) == 1000
    with pytest.raises(SourceError, match=r"a\.parquet: malformed or truncated Parquet"):
        list(chunks)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_cut_off_is_refused(suffix: str, tmp_path: Path) -> None:
    """A truncated file is refused; CSV and JSON lines only where half a row is left."""
    path = write(tmp_path / f"a{suffix}", table(500))
    data = path.read_bytes()
    half = data[: len(data) // 2].rsplit(b",", 1)[0]
    path.write_bytes(half)
    with pytest.raises(SourceError, match=rf"a{suffix}: "):
        list(source(path).chunks(100, 2**20))


def _touch(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def _replace(path: Path) -> None:
    found = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
    copy.rename(path)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"9,9,9,\n")


@pytest.mark.parametrize("change", [_touch, _replace, _append, Path.unlink])
def test_a_file_that_changes_is_found_out(change: Any, tmp_path: Path) -> None:
    """A file that is written to, replaced, appended to or removed is noticed, when it is read and at the end."""
    write(tmp_path / "a.csv", table(3))
    write(tmp_path / "b.csv", table(3))
    taken = source(tmp_path)
    taken.check_unchanged()
    chunks = taken.chunks(10, 2**20)
    next(chunks)
    change(tmp_path / "b.csv")
    for check in (lambda: next(chunks), taken.check_unchanged):
        with pytest.raises(SourceError, match=r"b\.csv (has changed since the run began|cannot be read: No such file)"):
            check()


def test_rows_are_shown_as_they_came(tmp_path: Path) -> None:
    """A row goes into the quarantine with the values of the file, as text where Python has no such value."""
    rows = {
        "x": pa.array([1, 2], pa.timestamp("ns", "UTC")),
        "n": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
        "word": pa.array([10**12, 0], pa.timestamp("s")),
        "id": pa.array([date(2020, 1, 2), None], pa.date64()),
        "code": pa.array([datetime(2020, 1, 1), None]).dictionary_encode(),
        "list": pa.array([[1, None], None], pa.list_(pa.int64())),
        "text": pa.array(["é", None]).dictionary_encode(),
    }
    write(tmp_path / "a.parquet", table(1))
    taken = source(tmp_path / "a.parquet")
    chunk = type(next(taken.chunks(1, 1)))("a", 0, pa.record_batch(rows))
    assert taken.original_rows(chunk, [0]) == [
        {
            "x": "1970-01-01 00:00:00.000000001Z",
            "n": "1.50",
            "word": "<value out of range: 1000000000000>",
            "id": "2020-01-02",
            "code": "2020-01-01 00:00:00.000000",
            "list": [1, None],
            "text": "é",
        }
    ]
    assert set(taken.original_rows(chunk, [1])[0].values()) == {
        "1970-01-01 00:00:00.000000002Z",
        "1970-01-01 00:00:00",
        None,
    }
