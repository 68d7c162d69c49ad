"""What holds for every test: settings and a home of its own, whoever runs it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from tests.architectures import ARCHITECTURES, Architecture

# A deadline is a timed assertion: it fails on a busy machine and says nothing about the code.
settings.register_profile("fourfold", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fourfold")

#: The markers of components, each with a target `make test-NAME`; and those of them that start one thing for all tests.
COMPONENTS = ("places",)
STARTED_ONCE: tuple[str, ...] = ()


def pytest_configure(config: pytest.Config) -> None:
    """No test sees the settings of whoever runs it, nor leaves anything in their home."""
    home = tempfile.mkdtemp(prefix="fourfold-home-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in [name for name in os.environ if name.startswith(("FOURFOLD_", "XDG_", "AWS_"))]:
        if name != "AWS_CA_BUNDLE":  # the machine's, not the user's
            del os.environ[name]
    os.environ["HOME"] = home
    # Threads of two workers share two cores: one that waits must not spin (training on flights: 8 s instead of 49 s).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def named_markers(config: pytest.Config) -> set[str]:
    """Return the words of `-m`."""
    return set(re.findall(r"\w+", config.option.markexpr))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests that are marked `seeds` their seeds: a few, or in a sweep all of them."""
    marker = metafunc.definition.get_closest_marker("seeds")
    if marker is None:
        return
    (few,), all_of_them = marker.args, marker.kwargs["sweep"]
    if "sweep" in named_markers(metafunc.config):
        metafunc.parametrize("seed", [pytest.param(seed, marks=pytest.mark.sweep) for seed in range(all_of_them)])
    else:
        metafunc.parametrize("seed", range(few))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out sweeps and the tests of components, unless `-m` names them; keep the tests of a component together."""
    named = named_markers(config)
    left_out = []
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        for name in marks.intersection(STARTED_ONCE):
            item.add_marker(pytest.mark.xdist_group(name))
        needed = marks.intersection({"sweep"} if "sweep" in marks else COMPONENTS)
        if needed - named:
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(params=ARCHITECTURES, ids=lambda each: each.name)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    """Each of the four architectures in turn."""
    found: Architecture = request.param
    return found
