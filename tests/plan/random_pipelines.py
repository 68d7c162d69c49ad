"""Put pipelines together at random, over columns of all kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

ROWS = 40


class RandomPipeline:
    """Draw frames and pipelines from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.library = self.one("default", "default", "pandas")

    def one(self, *choices: Any) -> Any:
        return choices[self.random.integers(len(choices))]

    def flag(self) -> bool:
        return bool(self.random.integers(2))

    def column(self) -> Any:
        random = self.random
        numbers = np.round(random.normal(size=ROWS) * 3, int(random.integers(0, 3)))
        whole, gone = random.integers(0, 5, ROWS), random.random(ROWS) < 0.15
        texts: Any = [str(each) for each in random.choice(list("abcd"), ROWS)]
        holed = [None if lost else text for lost, text in zip(gone, texts, strict=True)]
        masked: Any = [None if lost else int(each) for lost, each in zip(gone, whole, strict=True)]
        return self.one(
            numbers,
            np.where(gone, np.nan, numbers),
            numbers.astype(np.float32),
            whole - 2,
            whole.astype(np.int8),
            gone,
            pd.array(masked, dtype="Int64"),
            pd.array(masked, dtype="Float32"),
            np.array(texts, dtype=object),
            pd.array(holed, dtype="str"),
            pd.Series(holed, dtype=object),
            pd.Categorical(holed, categories=list("abcde")),
        )

    def of_numbers(self) -> Any:
        filled = self.one(
            Binarizer(),
            KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
            PolynomialFeatures(2),
            Normalizer("max"),
            SplineTransformer(3, degree=2, extrapolation=self.one("linear", "constant", "continue", "periodic")),
            QuantileTransformer(n_quantiles=10),
        )
        return self.one(
            StandardScaler(with_mean=self.flag()),
            MinMaxScaler(clip=self.flag()),
            MaxAbsScaler(),
            RobustScaler(),
            SimpleImputer(strategy=self.one("mean", "most_frequent", "constant"), add_indicator=self.flag()),
            make_pipeline(SimpleImputer(), filled),
            FunctionTransformer(self.one(None, np.sqrt, np.nan_to_num)),
            MissingIndicator(features="all"),
            VarianceThreshold(),
        )

    def of_texts(self) -> Any:
        unknown = self.one("ignore", "infrequent_if_exist", "error")
        sparse = self.library == "default" and self.flag()
        common = self.one(None, 5)
        return self.one(
            OneHotEncoder(
                handle_unknown=unknown, min_frequency=common, drop=self.one(None, "first"), sparse_output=sparse
            ),
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            SimpleImputer(strategy="constant", add_indicator=self.flag()),
            make_pipeline(
                SimpleImputer(strategy="constant"), OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
            ),
            "passthrough",
        )

    def columns(self, frame: pd.DataFrame) -> ColumnTransformer:
        numbers = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
        texts = [name for name in frame if name not in numbers]
        parts: list[Any] = []
        for kind, names in ((self.of_numbers, numbers), (self.of_texts, texts), (self.of_texts, numbers[:1])):
            if names and (self.flag() or not parts):
                parts.append((f"part{len(parts)}", kind(), names[: self.random.integers(len(names)) + 1]))
        return ColumnTransformer(parts, remainder=self.one("drop", "passthrough"), sparse_threshold=self.one(0.3, 1.0))

    def fitted(self) -> tuple[Pipeline, pd.DataFrame]:
        """Return a pipeline that is fitted to the columns; or raise `ValueError` or `TypeError`."""
        frame = pd.DataFrame({f"c{place}": self.column() for place in range(self.random.integers(2, 6))})
        columns = self.columns(frame)
        first = make_pipeline(columns).set_output(transform=self.library)
        made = first.fit_transform(frame)
        values = made.toarray() if hasattr(made, "toarray") else np.asarray(made)
        last: Any = self.of_numbers()
        if values.dtype == object:
            texts = [any(isinstance(each, str) for each in column) for column in values.T]
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            parts = [("texts", encoder, np.flatnonzero(texts)), ("rest", last, np.flatnonzero(np.invert(texts)))]
            last = ColumnTransformer([part for part in parts if len(part[2])])
        return make_pipeline(columns, last, MaxAbsScaler()).set_output(transform=self.library).fit(frame), frame
