from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fourfold import tables
from fourfold.errors import InputError, MissingLibrary, SignatureError
from fourfold.signature import Field


class Frame(pd.DataFrame):
    """A frame of a class of its own."""


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pd.DataFrame(), "pandas"),
        (Frame(), "pandas"),
        (pl.DataFrame(), "polars"),
        (np.zeros((1, 1)), "numpy"),
        (np.ma.masked_array([[1]]), "numpy"),
        (pa.table({"x": [1]}), "arrow"),
        (pa.record_batch({"x": [1]}), "arrow"),
        ([{"x": 1}], "rows"),
        (({"x": 1},), "rows"),
        ([], "rows"),
        ({"x": 1}, None),
        ("rows", None),
        (pd.Series([1]), None),
        (pl.Series([1]), None),
        (pl.LazyFrame(), None),
        (None, None),
    ],
)
def test_kinds(data: Any, kind: str | None) -> None:
    """A container's kind is told by its type, subclasses included; a series is no table."""
    assert tables.kind_of(data) == kind


@pytest.mark.parametrize("data", [{"x": 1}, None, "rows", pd.Series([1]), pl.LazyFrame({"x": [1]})])
def test_what_is_no_table(data: Any) -> None:
    """Every verb refuses what is no table, and says what would be one."""
    for verb in (tables.infer, tables.form):
        with pytest.raises(SignatureError, match="DataFrame, an Arrow table, a NumPy array"):
            verb(data)
    with pytest.raises(InputError, match="a list of dicts"):
        tables.read(data, (Field("x", "int8"),))
    with pytest.raises(InputError, match="a list of dicts"):
        tables.length(data)
    with pytest.raises(InputError, match="a list of dicts"):
        tables.take(data, [0])
    with pytest.raises(InputError, match="a list of dicts"):
        tables.write(data, [])


def test_an_error_says_what_to_do_with_what_came() -> None:
    """One dict, a lazy frame and a series are near misses: the error says what would make each a table."""
    for data, words in (({}, "list of one dict"), (pl.LazyFrame(), "collect"), (pd.Series([1]), "predict_one")):
        with pytest.raises(InputError, match=words):
            tables.length(data)


@pytest.mark.parametrize("form", [{}, {"container": "dask"}, {"container": None}])
def test_a_form_of_no_container(form: dict[str, Any]) -> None:
    """A form that names no container is refused."""
    with pytest.raises(SignatureError, match="pandas, polars, numpy, arrow, rows"):
        tables.builder(form, (Field("x", "int8"),))


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"x": [1, 2]}),
        pl.DataFrame({"x": [1, 2]}),
        pa.table({"x": [1, 2]}),
        np.array([[1], [2]]),
        [{"x": 1}, {"x": 2}],
    ],
)
def test_any_container_feeds_any_other(data: Any) -> None:
    """What one container brings can be built as each other: between them stand only canonical columns."""
    fields = (Field("x", "int64"),)
    table, errors = tables.read(data, fields)
    assert errors == []
    if isinstance(table, list):
        table = pa.RecordBatch.from_pylist(table)
    built = tables.build(tables.form(pd.DataFrame({"x": [0]})), fields, table)
    assert built["x"].tolist() == [1, 2]


@pytest.mark.parametrize("data", [pd.DataFrame, pl.DataFrame, pa.table, list])
def test_an_empty_table_is_read(data: Any) -> None:
    """No rows in are no rows and no errors, of the canonical types."""
    fields = (Field("x", "int8"), Field("y", "string"), Field("z", "float32", shape=(2,)))
    empty = [] if data is list else data({"x": [], "y": [], "z": []})
    table, errors = tables.read(empty, fields)
    assert (len(table), errors) == (0, [])
    assert data is list or table.schema.types == [pa.int8(), pa.string(), pa.list_(pa.float32(), 2)]
    assert tables.length(tables.write(empty, table)) == 0


def test_an_empty_array_is_read() -> None:
    """An array of no rows still has its columns."""
    batch, errors = tables.read(np.zeros((0, 2)), (Field("x", "int8"), Field("y", "float32")))
    assert (batch.schema.types, batch.num_rows, errors) == ([pa.int8(), pa.float32()], 0, [])


def run(program: str) -> str:
    """What a program prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


HEAVY = "print(*sorted({'numpy', 'pandas', 'polars', 'pyarrow'} & set(sys.modules)))"


def test_rows_need_no_library() -> None:
    """Reading, inferring and writing rows imports neither pyarrow nor any other library."""
    program = f"""
import sys
from fourfold import tables
rows = [{{"x": 1, "y": "a"}}, {{"x": 2.5, "y": None}}]
fields = tables.infer(rows)
read, errors = tables.read(rows, fields)
tables.write(rows, tables.builder(tables.form(rows), fields)(tables.take(read, [1])))
{HEAVY}
"""
    assert run(program).strip() == ""


@pytest.mark.parametrize(
    ("make", "unwanted"),
    [
        ("import pyarrow; data = pyarrow.Table.from_arrays([pyarrow.nulls(1, 'int8')], ['x'])", {"pandas", "polars"}),
        ("import numpy; data = numpy.ones((1, 1))", {"polars"}),  # pyarrow's own `array` looks for pandas
        ("import polars; data = polars.DataFrame({'x': [1]})", {"pandas"}),
        ("import pandas; data = pandas.DataFrame({'x': [1]})", {"polars"}),
    ],
)
def test_a_container_imports_no_other(make: str, unwanted: set[str]) -> None:
    """A container needs its own library and pyarrow; those of the others are not imported for it."""
    program = f"""
import sys
from fourfold import tables
{make}
fields = tables.infer(data)
batch, errors = tables.read(data, fields)
tables.build(tables.form(data), fields, batch)
tables.write(data, batch)
{HEAVY}
"""
    assert not unwanted & set(run(program).split())


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """A form whose library is not installed says which extra brings all of them."""
    form = tables.form(pd.DataFrame({"x": [1]}))
    for name in [name for name in sys.modules if name.startswith("fourfold.tables.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibrary, match=library) as caught:
        tables.builder(form, (Field("x", "int64"),))
    assert caught.value.extra == "pandas"
