"""Decide what packages may do on this host: the only place of the policy.

The grant of one load is, in this order: everything for a package that was packed in this process; the level of the
policy file, which the call and the environment may only narrow; the level that the call names; the level of the
environment variable; `data`. A package has no say in it. docs/security.md tells users.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourfold.durable.reading import open_handle, read_handle
from fourfold.errors import TrustError, shorten
from fourfold.package.levels import Level, allows, parse_level

__all__ = [
    "POLICY_VARIABLE",
    "TRUST_VARIABLE",
    "Grant",
    "find_grant",
    "packed_digests",
    "policy_path",
    "read_policy",
    "remember_packed",
]

#: The environment variable that names a level for every load without one of its own.
TRUST_VARIABLE = "FOURFOLD_TRUST"
#: The environment variable that names the policy file.
POLICY_VARIABLE = "FOURFOLD_POLICY"
MAX_POLICY_BYTES = 2**20
_RULE_KEYS = {"repository", "model", "trust"}

#: The digests of the packages that this process packed: it had their models, so loading them adds no risk.
_packed_here: set[str] = set()


@dataclass(frozen=True)
class Grant:
    """Hold what a package may do, and why.

    Attributes:
        level: the level of trust.
        advice: how a host grants more, for the end of an error; `{level}` stands for the level that is needed.
    """

    level: Level
    advice: str


@dataclass(frozen=True)
class _Rule:
    """Hold one rule of a policy file.

    Attributes:
        repository: a folder (an absolute path without links), or the URL of a bucket; it stands for all that is below
            it. Empty for every location.
        model: the model's name; empty for every model.
        level: what the rule grants.
    """

    repository: str
    model: str
    level: Level

    def matches(self, location: str, model: str) -> bool:
        """Return whether the rule is for a model at a location."""
        if self.model not in ("", model):
            return False
        below = self.repository if self.repository.endswith("/") else f"{self.repository}/"
        return not self.repository or location == self.repository or location.startswith(below)

    @property
    def specificity(self) -> tuple[int, bool]:
        """Return the rank among rules that match: first the longer location, then the named model."""
        return len(self.repository), bool(self.model)


def remember_packed(*digests: str) -> None:
    """Remember that this process, or the one that started it to work for it, packed these packages."""
    _packed_here.update(digests)


def packed_digests() -> tuple[str, ...]:
    """Return the digests that `remember_packed` was told, for the processes that this one starts to work for it."""
    return tuple(sorted(_packed_here))


def find_grant(
    asked: object, location: str | os.PathLike[str] | None, model: str, digest: str, *, is_call: bool = True
) -> Grant:
    """Return what a package may do here.

    Args:
        asked: the level that the call names; `None` if it names none.
        location: the URL of the repository, or the path of the package; `None` for a package in memory.
        model: the model's name.
        digest: the package's digest.
        is_call: whether a call can name a level, for the advice: nothing names one where a predictor is unpickled.

    Raises:
        ValueError: the call names no level.
        TrustError: the environment variable names no level, or the policy file cannot be used.
    """
    named = None if asked is None else parse_level(asked, "trust")
    if digest in _packed_here:
        return Grant(named or "code", "with trust='{level}'")
    if named is None and os.environ.get(TRUST_VARIABLE):
        try:
            named = parse_level(os.environ[TRUST_VARIABLE], TRUST_VARIABLE)
        except ValueError as error:
            raise TrustError(str(error)) from None
    path = policy_path()
    if path is None:
        in_a_call = "with trust='{level}' in Python, --trust {level} on the command line, " if is_call else "with "
        advice = in_a_call + TRUST_VARIABLE + "={level}, or a policy file (docs/security.md)"
        return Grant(named or "data", advice)
    level = _policy_level(read_policy(path), "" if location is None else _normalize(os.fspath(location)), model)
    if named is not None and allows(level, named):
        level = named
    where = "a package in memory" if location is None else shorten(os.fspath(location), 200)
    advice = (
        f"with a rule for {model} from {where} in the policy file {path} (trust=, --trust and {TRUST_VARIABLE} can "
        "only narrow what it grants)"
    )
    return Grant(level, advice)


def _policy_level(rules: Sequence[_Rule], location: str, model: str) -> Level:
    """Return the level of the most specific rule that matches; `data` if none does."""
    matching = [rule for rule in rules if rule.matches(location, model)]
    return max(matching, key=lambda rule: rule.specificity).level if matching else "data"


def policy_path() -> Path | None:
    """Return the path of the policy file, if there is one.

    Raises:
        TrustError: the environment variable names a file that is not there.
    """
    named = os.environ.get(POLICY_VARIABLE)
    if named:
        path = Path(named).absolute()
        if not path.exists():
            raise TrustError(f"{POLICY_VARIABLE} names the policy file {path}, which is not there")
        return path
    if os.name == "nt":
        folder = os.environ.get("APPDATA")
    else:
        folder = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - "~" may stay
    path = Path(folder or "") / "fourfold" / "policy.toml"
    if not path.is_absolute():
        return None
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a policy that cannot be looked at may be there: without it more would be granted
        raise TrustError(f"cannot read the policy file {path}: {error.strerror or error}") from None
    return path


def read_policy(path: Path) -> list[_Rule]:
    """Read a policy file.

    Raises:
        TrustError: it is no file, others than its owner may write it or its folder, or it is no policy.
    """
    try:
        handle = open_handle(path)
        try:
            # The checks are made on the open file, which nobody can exchange any more.
            _check_owned(path, os.fstat(handle), path.parent.stat(), path.resolve().parent.stat())
            data = read_handle(handle, MAX_POLICY_BYTES)
        finally:
            os.close(handle)
    except OSError as error:
        raise TrustError(f"cannot read the policy file {path}: {error.strerror or error}") from None
    import tomllib  # only where there is a policy: it would slow every start down

    try:
        return _parse_policy(tomllib.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise TrustError(f"the policy file {path} cannot be used: {shorten(str(error), 300)}") from None


def _check_owned(path: Path, file: os.stat_result, *folders: os.stat_result) -> None:
    """Check that only the user and the superuser may change a policy file, or put another in its place.

    Args:
        path: the policy file, which may be a link.
        file: the status of the open file.
        folders: the status of the folder of the path, and of that of the file itself.

    Raises:
        TrustError: others may.
    """
    if os.name == "nt":
        return
    for what, status in (("it", file), *(("its folder", folder) for folder in folders)):
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TrustError(
                f"the policy file {path} is refused: others may write {what} (mode "
                f"{stat.S_IMODE(status.st_mode):04o}); take that away with chmod go-w"
            )
        if status.st_uid not in (0, os.getuid()):
            raise TrustError(f"the policy file {path} is refused: {what} belongs to another user ({status.st_uid})")


def _parse_policy(document: dict[str, Any]) -> list[_Rule]:
    """Return the rules of a policy file.

    Raises:
        ValueError: it has anything but rules, a rule has anything but its keys, or two rules speak of the same.
    """
    if unknown := sorted(document.keys() - {"allow"}):
        raise ValueError(f"expected [[allow]] tables only; got {shorten(unknown[0])}")
    tables = document.get("allow", [])
    if not isinstance(tables, list):
        raise ValueError("expected allow to be a list of tables: write [[allow]]")  # noqa: TRY004 - of a file
    rules: dict[tuple[str, str], _Rule] = {}
    for number, table in enumerate(tables, 1):
        rule = _parse_rule(table, f"rule {number}")
        key = rule.repository, rule.model
        if key in rules:
            raise ValueError(f"rule {number} is for the same repository and model as a rule above it")
        rules[key] = rule
    return list(rules.values())


def _parse_rule(table: object, source: str) -> _Rule:
    if not isinstance(table, dict):
        text = f"{source}: expected a table with trust, and repository or model; got {shorten(table)}"
        raise ValueError(text)  # noqa: TRY004 - of a file
    if unknown := sorted(table.keys() - _RULE_KEYS):
        raise ValueError(f"{source}: expected the keys repository, model and trust; got {shorten(unknown[0])}")
    for key in ("repository", "model"):
        if key in table and not (isinstance(table[key], str) and table[key]):
            raise ValueError(f"{source}: expected {key} to be a text that is not empty; got {shorten(table[key])}")
    if "trust" not in table:
        raise ValueError(f"{source}: expected a level, such as trust = 'foreign'")
    level = parse_level(table["trust"], f"{source}, trust")
    repository = _normalize(table["repository"]) if "repository" in table else ""
    return _Rule(repository, table.get("model", ""), level)


def _normalize(location: str) -> str:
    """Return a location in the form in which two of them are compared: a URL, or an absolute path without links."""
    scheme, separator, rest = location.partition("://")
    if separator and scheme.lower() != "file":
        return f"{scheme.lower()}://{rest.rstrip('/')}"
    from urllib.parse import unquote  # only where there is a policy

    # As a repository opens it: the path of a URL has escapes.
    path = unquote(rest.removeprefix("localhost")) if separator else location
    return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - realpath of what may not exist
