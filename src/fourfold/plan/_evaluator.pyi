# The evaluator in Python; its code is module.c, which has the docstrings.

from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias, final

VERSION: int

# Of each field of the signature: its name, its type (`TYPES`, or 255 where a plan has none), whether it is nullable,
# the only values that it takes if it is closed, and the input of the plan that it feeds, or -1.
_Field: TypeAlias = tuple[str, int, bool, AbstractSet[Any] | None, int]

@final
class Evaluator:
    def __new__(
        cls, plan: bytes, fields: tuple[_Field, ...], ignore_extra: bool = False, budget: int = 67108864
    ) -> Evaluator: ...
    def one(self, row: Any, /, canonical: bool = False) -> dict[str, Any] | None: ...
    def many(self, rows: list[Any], /, canonical: bool = False) -> list[dict[str, Any]] | dict[int, str] | None: ...
    def columns(self, schema: Any, array: Any, /) -> list[tuple[bytes, ...]] | dict[int, str]: ...
    def facts(self) -> dict[str, int]: ...

def elementary(function: int, x: bytes, y: bytes, /) -> bytes: ...
