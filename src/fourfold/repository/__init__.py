"""Store packages by digest, with versions and aliases, in a folder or on any bucket (docs/repository.md)."""

from fourfold.repository.index import Model
from fourfold.repository.location import REPOSITORY_VARIABLE, default_url
from fourfold.repository.records import Version
from fourfold.repository.reference import Reference, check_alias
from fourfold.repository.repository import Repository, Resolved
from fourfold.repository.shortcuts import list, promote, pull, push  # noqa: A004 - fourfold.list

__all__ = [
    "REPOSITORY_VARIABLE",
    "Model",
    "Reference",
    "Repository",
    "Resolved",
    "Version",
    "check_alias",
    "default_url",
    "list",
    "promote",
    "pull",
    "push",
]
