from __future__ import annotations

import pytest

from fourfold.errors import SourceError
from fourfold.stream import Limits


@pytest.mark.parametrize("limits", [{"events": 0}, {"bytes": 0}, {"line": 0}])
def test_limits_are_positive(limits: dict[str, int]) -> None:
    """A limit under which nothing could ever be read is refused."""
    with pytest.raises(SourceError, match="at least 1"):
        Limits(**limits)
