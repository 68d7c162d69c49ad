"""Check what packages may do on this host, and whether one loads here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from fourfold.checks import Check, Readers
from fourfold.errors import FourfoldError, TrustError, counted
from fourfold.loading.loader import find, load
from fourfold.loading.trust import TRUST_VARIABLE, policy_path, read_policy
from fourfold.package.levels import Level, parse_level
from fourfold.predictor import REPLAY_VARIABLE, changed_libraries, replay_limit

__all__ = ["READERS", "check_package", "check_trust"]

READERS: Readers = {
    TRUST_VARIABLE: lambda: parse_level(os.environ[TRUST_VARIABLE], TRUST_VARIABLE),
    REPLAY_VARIABLE: replay_limit,
}


def check_trust() -> Iterator[Check]:
    """Yield what says how far packages are trusted here: the policy file, if there is one that can be used."""
    try:
        path = policy_path()
        rules = None if path is None else read_policy(path)
    except TrustError as error:
        yield Check("trust", "problem", str(error))
        return
    level = os.environ.get(TRUST_VARIABLE)
    if rules is not None:
        yield Check("trust", "ok", f"{path}: {counted(len(rules), 'rule')}")
    elif level == "code":
        yield Check(
            "trust", "note", f"{TRUST_VARIABLE}=code: every package may run code here", f"unset {TRUST_VARIABLE}"
        )
    else:
        yield Check("trust", "ok", f"packages may be '{level or 'data'}' where no --trust allows more; no policy file")


def check_package(package: str, repository: str | None, trust: Level | None) -> Iterator[Check]:
    """Yield whether a package would load here: its place, its libraries, its trust, and its golden rows.

    Args:
        package: a reference or a path.
        repository: where a reference is looked up.
        trust: the level that is granted to it; `None` for what the host grants.
    """
    try:
        located = find(package, repository=repository)
    except FourfoldError as error:
        yield Check(package, "problem", str(error))
        return
    yield Check(package, "ok", f"is {located.package.digest}, in {located.location}")
    changed = changed_libraries(located.package)
    if changed:
        yield Check(package, "note", changed)
    start_s = time.monotonic()
    try:
        predictor = load(located, trust=trust)
    except FourfoldError as error:
        yield Check(package, "problem", str(error))
        return
    answered = counted(predictor.replay.rows, "golden row")
    yield Check(package, "ok", f"loads in {time.monotonic() - start_s:.2f} s; {answered} answered as recorded")
