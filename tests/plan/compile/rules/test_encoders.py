"""Test the rules of encoders."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    LabelBinarizer,
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)

from fourfold.plan.compile.columns import NoPlan
from tests.plan.comparison import assert_exact, compiled

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories")

RNG = np.random.default_rng(11)
ROWS = 60


def texts(missing: Any = ..., categories: str = "aabbbcd") -> list[Any]:
    """Return texts of some categories; every seventh is missing if `missing` is given."""
    made: list[Any] = [str(RNG.choice(list(categories))) for _ in range(ROWS)]
    return [missing if missing is not ... and row % 7 == 3 else text for row, text in enumerate(made)]


def frames() -> dict[str, Any]:
    """Return frames and arrays of all kinds of columns that an encoder may get."""
    numbers: Any = RNG.integers(0, 4, ROWS)
    return {
        "str": pd.DataFrame({"a": texts(None), "b": texts()}),
        "objects with None": pd.DataFrame({"a": texts(None), "b": texts()}, dtype=object),
        "objects with NaN": pd.DataFrame({"a": texts(np.nan), "b": texts()}, dtype=object),
        "category": pd.DataFrame({"a": texts(None), "b": texts()}).astype("category"),
        "integers": pd.DataFrame({"a": numbers, "b": numbers.astype(np.int8), "c": numbers.astype(np.uint16)}),
        "category of integers": pd.DataFrame({"a": numbers, "b": np.where(numbers, numbers, 9)}).astype("category"),
        "booleans": pd.DataFrame({"a": numbers > 1, "b": texts()}),
        "floats": pd.DataFrame({"a": np.where(numbers == 3, np.nan, numbers / 3), "b": numbers.astype(np.float32)}),
        "masked": pd.DataFrame({"a": pd.array([None if each == 3 else each for each in numbers], dtype="Int64")}),
        "arrow": pd.DataFrame({"a": pd.array(numbers, dtype="int32[pyarrow]"), "b": texts()}),
        "numbers of objects": pd.DataFrame(
            {"a": numbers, "b": [None if each == 1 else each for each in numbers]}, dtype=object
        ),
        "array of integers": np.stack([numbers, numbers[::-1]], axis=1),
        "array of float32": np.stack([numbers / 3, numbers], axis=1).astype(np.float32),
        "array of text": np.array([texts(), texts()]).T,
        "array of objects": np.array([texts(None), texts(np.nan), numbers.tolist()], dtype=object).T,
        "polars": pl.DataFrame({"a": texts(None), "b": texts()}),
        "polars, mixed": pl.DataFrame({"a": texts(None), "b": numbers, "c": numbers / 3}),
        "polars, enum": pl.DataFrame({"a": texts(None)}, schema={"a": pl.Enum(list("abcd"))}),
    }


KINDS = sorted(frames())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"handle_unknown": "ignore"},
        {"handle_unknown": "ignore", "drop": "first", "sparse_output": False},
        {"handle_unknown": "infrequent_if_exist", "min_frequency": 12, "sparse_output": False, "dtype": np.float32},
    ],
    ids=str,
)
def test_one_hot_columns_are_exact(kind: str, options: Any) -> None:
    """Every category has its column; an unknown one is refused, has none, or has that of infrequent ones."""
    frame = frames()[kind]
    assert_exact(OneHotEncoder(**options).fit(frame), frame)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -2},
        {"handle_unknown": "use_encoded_value", "unknown_value": np.nan, "max_categories": 3, "dtype": np.float32},
    ],
    ids=str,
)
def test_ordinal_codes_are_exact(kind: str, options: Any) -> None:
    """Every category has its number; so have unknown and missing ones."""
    frame = frames()[kind]
    assert_exact(OrdinalEncoder(**options).fit(frame), frame)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["continuous", "binary", "multiclass"])
def test_target_encodings_are_exact(kind: str, target: str) -> None:
    """A category has the mean of the target, of each class if several; an unknown one has the mean of all rows."""
    frame = frames()[kind]
    drawn = RNG.normal(size=ROWS)
    classes = np.searchsorted([-0.5, 0.5] if target == "multiclass" else [0.0], drawn)
    y = drawn if target == "continuous" else np.array(["no", "yes", "maybe"])[classes]
    encoder = TargetEncoder(smooth=3.0 if target == "binary" else "auto").fit(frame, y)
    assert encoder.target_type_ == target
    assert_exact(encoder, frame)


def test_random_options_of_one_hot_encoders_are_exact() -> None:
    """Encoders are exact for random options and kinds of columns, also in unusual combinations."""
    rng = np.random.default_rng(5)
    known = frames()
    tried = 0
    for _ in range(40):
        frame = known[str(rng.choice(KINDS))]
        options: dict[str, Any] = {
            "handle_unknown": str(rng.choice(["error", "ignore", "infrequent_if_exist", "warn"])),
            "drop": [None, "first", "if_binary"][rng.integers(3)],
            "min_frequency": [None, 2, 9, 0.2][rng.integers(4)],
            "max_categories": [None, 1, 2, 3][rng.integers(4)],
            "sparse_output": bool(rng.integers(2)),
            "dtype": [np.float64, np.float32][rng.integers(2)],
        }
        encoder = OneHotEncoder(**options).fit(frame)
        if len(encoder.get_feature_names_out()):  # there must be something that a package can answer with
            assert_exact(encoder, frame)
            tried += 1
    assert tried > 20


def test_categories_can_be_given() -> None:
    """Given categories keep their order, and those that training never saw have a column."""
    frame = pd.DataFrame({"a": texts(), "b": RNG.integers(0, 3, ROWS)})
    listed = [["d", "zz", "a", "b", "c"], [0, 1, 2, 7]]
    assert_exact(OneHotEncoder(categories=listed, drop=["zz", 1], sparse_output=False).fit(frame), frame)
    ordinal = OrdinalEncoder(categories=listed, handle_unknown="use_encoded_value", unknown_value=99)
    assert_exact(ordinal.fit(frame), frame)
    with_none = pd.DataFrame({"a": texts(None)}, dtype=object)
    assert_exact(OneHotEncoder(categories=[["b", "a", None]], handle_unknown="ignore").fit(with_none), with_none)


def test_a_missing_category_can_be_dropped() -> None:
    """The dropped column may be that of NaN, or that of infrequent categories."""
    frame = pd.DataFrame({"a": texts(np.nan), "b": texts(categories="aaaaabbbbbbc")}, dtype=object)
    model = OneHotEncoder(drop=[np.nan, "a"], handle_unknown="ignore", min_frequency=2)
    assert_exact(model.fit(frame), frame)


def test_codes_are_encoded_again() -> None:
    """An encoder behind another one finds its categories in the codes of the first."""
    frame = frames()["objects with NaN"]
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(ordinal, OneHotEncoder(handle_unknown="ignore"), StandardScaler(with_mean=False)).fit(frame)
    assert_exact(model, frame)
    assert len(compiled(model, frame)[0].plan) < 2048


def test_many_categories_stay_one_column() -> None:
    """A hundred thousand categories are one table; ten thousand one-hot columns are not computed one by one."""
    many = pd.DataFrame({"a": [f"category {place}" for place in range(100_000)]})
    encoder = TargetEncoder().fit(many, np.arange(100_000) % 17 / 7)
    plan, _, _ = compiled(encoder, many)
    assert len(plan.plan) < 8_000_000
    some = many.head(10_000)
    columns = make_pipeline(OneHotEncoder(handle_unknown="ignore"), StandardScaler(with_mean=False)).fit(some)
    assert len(compiled(columns, some.head(50))[0].plan) < 4_000_000


def test_strange_texts_are_categories_like_others() -> None:
    """Empty texts, long ones, NUL and multi-byte ones are found; an unpaired surrogate never arrives."""
    strange = ["", " ", "\x00", "a\x00b", "ä", "☃" * 9, "x" * 300, "12345678", "123456789"]
    data = pd.DataFrame({"a": strange * 3}, dtype=object)
    broken = pd.DataFrame({"a": ["\ud800", *strange]}, dtype=object)
    assert_exact(OneHotEncoder(handle_unknown="ignore").fit(broken), data)
    assert_exact(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(broken), data)


def test_numbers_that_a_float_cannot_tell_apart_have_no_plan() -> None:
    """Categories beyond 2^53 have no plan: the original compares integers."""
    frame = pd.DataFrame({"a": np.array([2**53, 2**53 + 1, 3] * 5)})
    with pytest.raises(NoPlan, match=r"beyond 2\^53"):
        compiled(OneHotEncoder().fit(frame), frame)


def test_numbers_whose_last_bits_are_not_defined_are_not_looked_up() -> None:
    """A number that SciPy computed is no category of a plan; one of exact arithmetic is."""
    frame = pd.DataFrame({"a": np.arange(ROWS) % 9})
    normal = QuantileTransformer(n_quantiles=9, output_distribution="normal")
    with pytest.raises(NoPlan, match="decides the last bits"):
        compiled(make_pipeline(normal, OneHotEncoder(handle_unknown="ignore")).fit(frame), frame)
    imputed = make_pipeline(MaxAbsScaler(), SimpleImputer(), OneHotEncoder())
    both = FeatureUnion([("a", normal), ("b", imputed)]).fit(frame)
    assert compiled(both, frame)[0].approximations


def test_what_is_not_covered_has_no_plan() -> None:
    """float16, `None` beside NaN, timestamps, and encoders of targets have no plan."""
    frame = frames()["category"]
    with pytest.raises(NoPlan, match="the OrdinalEncoder gives float16"):
        compiled(OrdinalEncoder(dtype=np.float16).fit(frame), frame)
    both = pd.DataFrame({"a": [1.5, None, 2.5] * 5}, dtype=object)
    with pytest.raises(NoPlan, match="None and NaN, which a plan cannot tell apart"):
        compiled(OneHotEncoder().fit(both), both)
    days = pd.DataFrame({"a": pd.date_range("2020-01-01", periods=3).repeat(5)})
    with pytest.raises(NoPlan, match="which no plan reads"):
        compiled(OneHotEncoder().fit(days), days)
    labels = np.array([[0], [1], [2], [1]])
    with pytest.raises(NoPlan, match=r"plans do not cover sklearn\.LabelBinarizer"):
        compiled(LabelBinarizer().fit(labels.ravel()), labels)
