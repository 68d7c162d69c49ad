"""Check that the categories of a package are those that its model was trained with, whatever rows it is packed with."""

from __future__ import annotations

import io
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

import fourfold
from fourfold import codecs
from fourfold.errors import InputError, PackError
from fourfold.runtimes.levels import known_levels
from fourfold.signature import Field

LEVELS: dict[str, list[Any]] = {
    "text": ["south", "north", "west", "east"],
    "integers": [30, 10, 20, 7],
    "floats": [0.5, -3.0, 2.5, 1.0],
    "booleans": [True, False],
}
ROWS = 240


def model_of(family: str) -> Any:
    """Return a model that takes the category column `site` and the number `load`."""
    match family:
        case "lightgbm":
            return lightgbm.LGBMRegressor(n_estimators=6, verbose=-1, min_child_samples=5)
        case "xgboost":
            return xgboost.XGBRegressor(n_estimators=6, enable_categorical=True)
        case "catboost":
            return catboost.CatBoostRegressor(iterations=6, verbose=0, allow_writing_files=False, cat_features=["site"])
    return HistGradientBoostingRegressor(max_iter=6)


def table_of(kind: str, *, ordered: bool = False) -> pd.DataFrame:
    """Return a frame whose column `site` has categories in an order that is not sorted."""
    random = np.random.default_rng(3)
    dtype = pd.CategoricalDtype(LEVELS[kind], ordered=ordered)
    site = pd.Series(random.choice(np.array(LEVELS[kind], dtype=object), ROWS)).astype(dtype)
    return pd.DataFrame({"site": site, "load": random.normal(size=ROWS)})


def fitted(family: str, table: pd.DataFrame) -> Any:
    return model_of(family).fit(table, table["site"].cat.codes * 4 + table["load"])


def doors(predictor: Any, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the predictions for rows through every kind of table."""
    frame = pd.DataFrame(rows)
    arrow = pa.Table.from_pylist(rows)
    csv = io.BytesIO()
    frame.to_csv(csv, index=False)
    fields = predictor.signature.inputs
    tables = {
        "rows": rows,
        "pandas": frame,
        "pandas category": frame.astype({"site": "category"}),
        "polars": pl.DataFrame(rows),
        "arrow": arrow,
        "csv": codecs.by_name("csv").decode(csv.getvalue(), fields),
        "json": codecs.by_name("json").decode(pd.DataFrame(rows).to_json(orient="records").encode(), fields),
    }
    answers = {"one": [predictor.predict_one(row)["prediction"] for row in rows]}
    for name, table in tables.items():
        outputs = predictor.predict(table)
        if isinstance(outputs, list):
            answers[name] = [row["prediction"] for row in outputs]
        else:
            column = outputs["prediction"]
            answers[name] = column.to_pylist() if hasattr(column, "to_pylist") else column.to_list()
    return answers


FAMILIES = [
    (family, kind)
    for family in ("lightgbm", "xgboost", "histogram", "catboost")
    for kind in LEVELS
    if (family, kind) not in (("xgboost", "floats"), ("xgboost", "booleans"), ("catboost", "floats"))
]


@pytest.mark.parametrize(("family", "kind"), FAMILIES)
def test_the_model_s_categories_are_answered_that_the_rows_lack(family: str, kind: str) -> None:
    """A sample that lacks categories packs to the answers of the model for all of them, at every door."""
    table = table_of(kind)
    model = fitted(family, table)
    levels = LEVELS[kind]
    some = table[table["site"].isin(levels[: len(levels) // 2])]
    sample = some.assign(site=some["site"].cat.remove_unused_categories())
    rows = [{"site": level, "load": 0.25} for level in levels]
    right = model.predict(pd.DataFrame(rows).astype({"site": table["site"].dtype})).astype(float).tolist()
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=sample), trust="foreign")
    for door, got in doors(predictor, rows).items():
        assert [float(value) for value in got] == right, door


@pytest.mark.parametrize(("family", "kind"), FAMILIES)
def test_rows_of_plain_values_are_packed(family: str, kind: str) -> None:
    """Rows as CSV and SQL give them, without a categorical dtype, get the model's own answers."""
    table = table_of(kind, ordered=family == "lightgbm")
    model = fitted(family, table)
    rows = [{"site": level, "load": 0.25} for level in LEVELS[kind]]
    right = model.predict(pd.DataFrame(rows).astype({"site": table["site"].dtype})).astype(float).tolist()
    plain: list[Any] = [object, {"text": "str", "integers": "int64", "floats": "float64", "booleans": "bool"}[kind]]
    for dtype in plain:
        package = fourfold.pack(model, name="m", rows=table.astype({"site": dtype}))
        for door, got in doors(fourfold.load(package, trust="foreign"), rows).items():
            assert [float(value) for value in got] == right, (dtype, door)


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "histogram"])
def test_a_closed_list_refuses_what_the_model_does_not_know(family: str) -> None:
    """The list is the model's, in its order, and any other value is an error."""
    table = table_of("text")
    package = fourfold.pack(fitted(family, table), name="m", rows=table.astype({"site": object}).head(100))
    site = package.signature.inputs[0]
    order = sorted(LEVELS["text"]) if family == "histogram" else LEVELS["text"]
    assert (list(site.categories or ()), site.open) == (order, False)
    with pytest.raises(InputError, match="one of 4 categories"):
        fourfold.load(package).predict_one({"site": "mars", "load": 0.25})


def test_catboost_answers_any_category() -> None:
    """CatBoost has no closed list: a category that nobody saw is answered as CatBoost does."""
    table = table_of("text")
    model = fitted("catboost", table)
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=table))
    right = model.predict(pd.DataFrame([{"site": "mars", "load": 0.25}]))[0]
    assert predictor.predict_one({"site": "mars", "load": 0.25})["prediction"] == right


@pytest.mark.parametrize("family", ["lightgbm", "histogram"])
def test_rows_with_a_category_that_the_model_takes_for_missing(family: str) -> None:
    """The model's answer to its rows stands: the field is open, and says so."""
    table = table_of("text")
    model = fitted(family, table)
    changed = table.assign(site=table["site"].cat.add_categories(["mars"]))
    changed.loc[3, "site"] = "mars"
    package = fourfold.pack(model, name="m", rows=changed)
    got = fourfold.load(package).predict(changed)["prediction"]
    assert package.signature.inputs[0].open
    assert got.tolist() == model.predict(changed).tolist()


def test_rows_with_a_category_that_the_model_refuses() -> None:
    """XGBoost has no answer to a category that it does not know: the error names the column, it and what it knows."""
    table = table_of("text")
    changed = table.astype({"site": object})
    changed.loc[3, "site"] = "mars"
    with pytest.raises(PackError, match=r"column 'site': .*'mars'.*does not know; it knows 'south', 'north'"):
        fourfold.pack(fitted("xgboost", table), name="m", rows=changed)


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "histogram"])
def test_a_declared_list_is_held_against_the_model_s(family: str) -> None:
    """A declared category that the model lacks is an error; a part of the model's list is a narrower field."""
    table = table_of("text")
    model = fitted(family, table)
    number = Field("load", "float64")
    with pytest.raises(PackError, match=r"'mars' is declared, which the model does not know; it knows "):
        fourfold.pack(model, name="m", rows=table, inputs=[Field("site", "string", categories=("mars",)), number])
    narrow = Field("site", "string", categories=("west", "south"))
    package = fourfold.pack(model, name="m", rows=table[table["site"].isin(["west", "south"])], inputs=[narrow, number])
    assert package.signature.inputs[0] == narrow
    right = model.predict(table[table["site"] == "west"].head(1))[0]
    row = {"site": "west", "load": float(table.loc[table["site"] == "west", "load"].iloc[0])}
    assert fourfold.load(package).predict_one(row)["prediction"] == right


def test_text_and_numbers_are_told_apart() -> None:
    """Codes of digits that came as integers are an error that names column, dtypes and the way out."""
    table = table_of("integers")
    with pytest.raises(PackError, match=r"column 'site': the model takes numbers .* and the rows hold text \('"):
        fourfold.pack(fitted("histogram", table), name="m", rows=table.astype({"site": str}))
    text = table.assign(site=table["site"].cat.rename_categories(str))
    with pytest.raises(PackError, match=r"column 'site': the model takes text .* rows hold int64 .*--text site"):
        fourfold.pack(fitted("lightgbm", text), name="m", rows=table.astype({"site": "int64"}))


def test_columns_of_lightgbm_s_categories_that_cannot_be_told() -> None:
    """Where rows have other category columns than the model, the error says how many, and which they can be."""
    table = table_of("text")
    model = fitted("lightgbm", table)
    with pytest.raises(PackError, match=r"trained with 1 category columns .* the rows have 2 .* 'site', 'load'"):
        fourfold.pack(model, name="m", rows=table.assign(load="text", site=table["site"].astype(str)))
    numbers = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(table[["load"]], table["load"])
    with pytest.raises(PackError, match=r"column 'load': .* trained without category columns"):
        fourfold.pack(numbers, name="m", rows=table[["load"]].astype("category"))


def test_an_xgboost_model_that_stores_no_list() -> None:
    """Files before XGBoost 3.1 name the column only: text needs a declared list, in the order of training."""
    table = table_of("text")
    booster = fitted("xgboost", table).get_booster()
    codes = table["site"].cat.codes.astype(float)
    values, types = np.column_stack([codes, table["load"]]), ["c", "q"]
    matrix = xgboost.DMatrix(values, table["load"] + codes, feature_types=types, enable_categorical=True)
    old = xgboost.train({"nthread": 1}, matrix, 6)
    old.feature_names = booster.feature_names
    plain = table.astype({"site": object})
    with pytest.raises(PackError, match=r"column 'site': the model takes categories .* rows hold text; .*inputs="):
        fourfold.pack(old, name="m", rows=plain)
    site = Field("site", "string", categories=tuple(LEVELS["text"]))
    package = fourfold.pack(old, name="m", rows=plain, inputs=[site, Field("load", "float64")])
    right = old.predict(
        xgboost.DMatrix(np.array([[2.0, 0.25]]), feature_names=["site", "load"], feature_types=["c", "q"])
    )
    assert fourfold.load(package).predict_one({"site": "west", "load": 0.25})["prediction"] == right[0]


@pytest.mark.parametrize(
    ("encoder", "is_open"),
    [
        (OneHotEncoder(handle_unknown="ignore"), True),
        (OneHotEncoder(), False),
        (OrdinalEncoder(), False),
        (TargetEncoder(), True),
    ],
    ids=["one-hot, ignores", "one-hot", "ordinal", "target"],
)
@pytest.mark.parametrize("dtype", ["category", object])
def test_an_encoder_s_categories(encoder: Any, is_open: bool, dtype: Any) -> None:
    """A column that goes into an encoder has its categories; an encoder that takes any text leaves it open."""
    table = table_of("text").astype({"site": "str"})
    columns = make_column_transformer((make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), ["site"]),
                                      remainder="passthrough")  # fmt: skip
    target = table["site"].map({level: code for code, level in enumerate(LEVELS["text"])}) + table["load"]
    model = make_pipeline(columns, Ridge()).fit(table, target)
    sample = table[table["site"].isin(["south", "west"])].astype({"site": dtype})
    package = fourfold.pack(model, name="m", rows=sample)
    site = package.signature.inputs[0]
    assert set(site.categories or ()) == set(LEVELS["text"])
    assert site.open is (is_open and dtype is object)
    rows = [{"site": level, "load": 0.25} for level in (*LEVELS["text"], *(["mars"] if site.open else []))]
    got = fourfold.load(package).predict(pd.DataFrame(rows))["prediction"]
    np.testing.assert_allclose(got, model.predict(pd.DataFrame(rows)), rtol=1e-12)
    if not site.open:
        with pytest.raises(InputError, match="one of 4 categories"):
            fourfold.load(package).predict_one({"site": "mars", "load": 0.25})


def test_what_the_parts_of_an_estimator_know() -> None:
    """Columns are followed through transformers by name, mask and slice, up to what changes them."""
    table = table_of("text").astype({"site": "str"}).assign(kind=["a", "b"] * (ROWS // 2))
    for chosen in (["site", "kind"], [0, 2], [True, False, True]):
        columns = make_column_transformer((OneHotEncoder(), chosen), remainder="passthrough").fit(table)
        known = known_levels(columns, ["site", "load", "kind"])
        assert {name: levels.categories for name, levels in known.items()} == {
            "site": tuple(sorted(LEVELS["text"])),
            "kind": ("a", "b"),
        }
    voting = VotingRegressor([("a", HistGradientBoostingRegressor(max_iter=2)), ("b", HistGradientBoostingRegressor())])
    voting.fit(table_of("text"), np.arange(ROWS))
    assert known_levels(voting, ["site", "load"])["site"].categories == tuple(sorted(LEVELS["text"]))
    behind = make_pipeline(SimpleImputer(add_indicator=True, strategy="most_frequent"), OneHotEncoder())
    behind.fit(table[["site"]])
    assert known_levels(behind, ["site"]) == {}


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "histogram"])
def test_integers_with_gaps_are_categories_of_integers(family: str) -> None:
    """CSV makes floats of integers with a gap: the field is the model's, and NaN in it a missing value."""
    table = table_of("integers")
    table.loc[::7, "site"] = None
    model = fitted(family, table)
    rows = table.astype({"site": "float64"})
    package = fourfold.pack(model, name="m", rows=rows)
    # Histogram boosting keeps floats where its training rows had a gap.
    dtype = "float64" if family == "histogram" else "int64"
    assert (package.signature.inputs[0].dtype, package.signature.inputs[0].nullable) == (dtype, True)
    got = fourfold.load(package).predict(rows.head(20))["prediction"].tolist()
    assert got == model.predict(table.head(20)).tolist()


@pytest.mark.parametrize("family", ["xgboost", "histogram"])
@pytest.mark.parametrize("dtype", ["enum", "text"])
def test_frames_of_polars(family: str, dtype: str) -> None:
    """A column of text, or an `Enum` that lacks categories, becomes the Enum of the model's."""
    pandas_table = table_of("text")
    enum = pl.Enum(LEVELS["text"])
    site = pl.Series("site", pandas_table["site"].astype(object).tolist(), dtype=enum)
    table = pl.DataFrame([site, pl.Series("load", pandas_table["load"].to_numpy())])
    model = model_of(family).fit(table, site.to_physical().to_numpy() * 4.0)
    some = table.filter(pl.col("site").is_in(["west", "south"])).with_columns(pl.col("site").cast(pl.String))
    sample = some if dtype == "text" else some.with_columns(pl.col("site").cast(pl.Enum(["west", "south"])))
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=sample))
    rows = [{"site": level, "load": 0.25} for level in LEVELS["text"]]
    right = model.predict(pl.DataFrame(rows, schema={"site": enum, "load": pl.Float64})).tolist()
    for door, got in doors(predictor, rows).items():
        assert got == right, door
    integers = pl.DataFrame({"site": [1, 2] * 30, "load": [0.5, 1.5] * 30})
    numbers = HistGradientBoostingRegressor(max_iter=3).fit(
        integers.to_pandas().astype({"site": "category"}), range(60)
    )
    assert fourfold.pack(numbers, name="m", rows=integers).signature.inputs[0].dtype == "int64"


def test_a_pipeline_that_begins_with_passthrough() -> None:
    """It does not know its columns; the booster behind does."""
    table = table_of("text")
    model = make_pipeline("passthrough", model_of("lightgbm")).fit(table, table["site"].cat.codes)
    package = fourfold.pack(model, name="m", rows=table.astype({"site": object}))
    assert package.signature.inputs[0].categories == tuple(LEVELS["text"])


def test_a_field_that_is_declared_open_where_the_model_refuses() -> None:
    """In a category column other values would be missing, an answer that XGBoost does not give."""
    table = table_of("text")
    model = fitted("xgboost", table)
    site = Field("site", "string", categories=("west",), open=True)
    with pytest.raises(PackError, match="'site': it is declared open, and the model refuses a category"):
        fourfold.pack(model, name="m", rows=table, inputs={"site": site})
    package = fourfold.pack(model, name="m", rows=table, inputs={"site": Field("site", "string")})
    assert package.signature.inputs[0].categories == tuple(LEVELS["text"])


def test_a_field_that_is_declared_open_where_the_model_answers() -> None:
    """An encoder that ignores what it does not know, and CatBoost, get the value itself, not a missing one."""
    table = table_of("text")
    site = Field("site", "string", categories=("west",), open=True)
    levels = [*LEVELS["text"], "mars"]
    asked = pd.DataFrame({"site": levels, "load": 0.25})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=77)
    columns = make_column_transformer((encoder, ["site"]), remainder="passthrough")
    target = table["site"].cat.codes + table["load"]
    for model in (make_pipeline(columns, Ridge()).fit(table, target), fitted("catboost", table)):
        package = fourfold.pack(model, name="m", rows=table, inputs={"site": site})
        assert package.signature.inputs[0] == site
        got = fourfold.load(package, trust="foreign").predict(asked)["prediction"]
        np.testing.assert_allclose(got, model.predict(asked), rtol=1e-12)


#: A value of each kind that no model knows.
UNKNOWN = {"text": "mars", "integers": 11, "floats": 0.25}


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("family", ["lightgbm", "histogram", "encoder", "category encoder"])
def test_a_field_that_is_named_open(family: str, kind: str) -> None:
    """The error of an unknown category names the option, and with it every door has the model's own answer."""
    table = table_of(kind)
    dtype = table["site"].dtype
    target = table["site"].cat.codes * 4 + table["load"]
    if "encoder" in family:
        dtype = dtype if "category" in family else table["site"].cat.categories.dtype
        encoder = OneHotEncoder(handle_unknown="ignore")
        columns = make_column_transformer((encoder, ["site"]), remainder="passthrough")
        model = make_pipeline(columns, Ridge()).fit(table.astype({"site": dtype}), target)
    else:
        model = fitted(family, table)
    sample = table.head(100).astype({"site": dtype})
    rows = [{"site": value, "load": 0.25} for value in (*LEVELS[kind], UNKNOWN[kind])]
    asked = pd.DataFrame(rows)
    if isinstance(dtype, pd.CategoricalDtype):
        asked["site"] = asked["site"].astype(pd.CategoricalDtype([*LEVELS[kind], UNKNOWN[kind]]))
    right = model.predict(asked).tolist()
    if family != "encoder":
        closed = fourfold.load(fourfold.pack(model, name="m", rows=sample), trust="foreign")
        with pytest.raises(InputError, match=r"if the model answers other values, pack it with --open site\)"):
            closed.predict_one(rows[-1])
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=sample, open=["site"]), trust="foreign")
    for door, got in doors(predictor, rows).items():
        np.testing.assert_allclose(got, right, rtol=1e-12, err_msg=door)


@pytest.mark.parametrize("family", ["xgboost", "encoder"])
def test_a_field_that_is_named_open_where_the_model_refuses(family: str) -> None:
    """A model that refuses what it does not know cannot be packed so; the error says what it knows, and where."""
    table = table_of("text")
    columns = make_column_transformer((OneHotEncoder(), ["site"]), remainder="passthrough")
    encoder = make_pipeline(columns, Ridge()).fit(table, table["site"].cat.codes)
    model = encoder if family == "encoder" else fitted("xgboost", table)
    words = r"^open names 'site', and the model refuses a category that it does not know; it knows '.*'west'.* \("
    for site in ("category", "str"):
        with pytest.raises(PackError, match=words):
            fourfold.pack(model, name="m", rows=table.astype({"site": site}), open=["site"])


@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
def test_columns_whose_labels_are_integers(family: str) -> None:
    """The library names them by text; the frame keeps its labels, and the fields are named like the labels."""
    table = table_of("text").set_axis([0, 1], axis=1)
    model = model_of(family).fit(table, table[0].cat.codes)
    predictor = fourfold.load(fourfold.pack(model, name="m", rows=table.astype({0: object})))
    right = model.predict(table.head(3)).tolist()
    assert predictor.predict(table.head(3))["prediction"].tolist() == right
    assert [row["prediction"] for row in predictor.predict(table.head(3).to_dict("records"))] == right
