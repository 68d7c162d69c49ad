"""What holds for every test: settings and a home of its own, whoever runs it."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from tests.architectures import ARCHITECTURES, Architecture

# A deadline is a timed assertion: it fails on a busy machine and says nothing about the code.
settings.register_profile("fourfold", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fourfold")


def pytest_configure(config: pytest.Config) -> None:
    """No test sees the settings of whoever runs it, nor leaves anything in their home."""
    home = tempfile.mkdtemp(prefix="fourfold-home-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in [name for name in os.environ if name.startswith(("FOURFOLD_", "XDG_", "AWS_"))]:
        if name != "AWS_CA_BUNDLE":  # the machine's, not the user's
            del os.environ[name]
    os.environ["HOME"] = home


@pytest.fixture(params=ARCHITECTURES, ids=lambda each: each.name)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    """Each of the four architectures in turn."""
    found: Architecture = request.param
    return found
