"""Run `fourfold demo` on every fiftieth flight: the same stages, in a third of the time."""

from __future__ import annotations

from importlib import import_module

import pandas as pd

from fourfold.cli import main
from fourfold.demo.flights import flights


def few_flights() -> pd.DataFrame:
    """Return every fiftieth flight."""
    return flights().iloc[::50].reset_index(drop=True)


if __name__ == "__main__":
    import_module("fourfold.demo.run").flights = few_flights  # type: ignore[attr-defined]
    main()
