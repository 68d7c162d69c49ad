from __future__ import annotations

from typing import Any

import pytest

from fourfold.errors import ServiceError
from fourfold.service import Job


@pytest.mark.parametrize(
    "settings",
    [
        {"port": -1},
        {"port": 65_536},
        {"port": "8000"},
        {"workers": 0},
        {"workers": True},
        {"max_body_bytes": 0},
        {"micro_batch_rows": 0},
        {"queue_rows": 0},
        {"drain_seconds": -1},
        {"notice_seconds": -1},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """A setting that makes no sense is an error that names it, before anything starts."""
    with pytest.raises(ServiceError, match=next(iter(settings))):
        Job(**settings)


def test_defaults_are_for_one_machine() -> None:
    """Without settings, the service is only there for its own machine, on port 8000."""
    assert (Job().host, Job().port, Job().workers, Job().access_log) == ("127.0.0.1", 8000, 1, False)
