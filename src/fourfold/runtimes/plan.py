"""Plans: a model as flat arrays, computed by the evaluator. Nothing but Python itself is needed to answer rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

from fourfold.errors import CorruptPackage, EngineError
from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import TYPES, Port, read_ports
from fourfold.runtimes.engine import Prepared
from fourfold.signature.field import Field, Signature

__all__ = ["FILE", "NAME", "PlanEngine", "load", "prepared"]

NAME = "plan"
FILE = "model.plan"
#: A type that no plan has: of a field that a plan does not read.
_UNREAD = 255


def prepared(plan: bytes, original: Prepared) -> Prepared:
    """A plan made ready for a package, in the place of the original that it was made from."""
    return Prepared(NAME, {}, {FILE: plan}, original.inputs, original.outputs, "", {})


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature, trust: bool) -> PlanEngine:
    """The plan of a package.

    Raises:
        CorruptPackage: its file is no plan, or one that takes or gives something else than the signature says.
    """
    return PlanEngine(read(FILE), signature)


class PlanEngine:
    """A plan that answers. Safe to call from any number of threads.

    Args:
        plan: its bytes; they are checked before anything of them is used.
        signature: the package's.

    Raises:
        CorruptPackage: as `load`.
    """

    takes: Literal["rows", "columns", "either"] = "either"

    def __init__(self, plan: bytes, signature: Signature) -> None:
        try:
            inputs, outputs = read_ports(plan)
            fields = _fields(signature.inputs, inputs)
            self._evaluator = Evaluator(plan, fields, signature.extra == "ignore")
        except ValueError as error:
            raise CorruptPackage(f"the package's plan cannot be used: {error}") from error
        _check_outputs(signature.outputs, outputs)
        self._outputs = signature.outputs
        #: The answer for one row as a caller has it; `None` where it must be coerced first, or has no answer.
        self.one: Callable[[Any], dict[str, Any] | None] = self._evaluator.one

    def many(self, rows: list[Any]) -> list[dict[str, Any]] | None:
        """The answers for rows as a caller has them; `None` where one must be coerced first, or has no answer."""
        found = self._evaluator.many(rows)
        return found if isinstance(found, list) else None

    def predict(self, table: Any) -> Any:
        """Answer every row of a canonical table: a list of rows, or a `pyarrow.RecordBatch`.

        Raises:
            EngineError: the model has no answer for a row, such as one with an infinity where none is taken.
        """
        if isinstance(table, list):
            found = self._evaluator.many(table, True)
            if found is None:
                raise EngineError("the plan cannot read these rows: they are not canonical")
            return found if isinstance(found, list) else _refuse(found)
        buffers = self._evaluator.columns(*table.__arrow_c_array__())
        if isinstance(buffers, dict):
            _refuse(buffers)
        from fourfold.runtimes.plan_columns import batch_of  # pyarrow: whoever brings a batch has it

        return batch_of(self._outputs, buffers, table.num_rows)


def _refuse(refused: dict[int, str]) -> NoReturn:
    row, why = next(iter(refused.items()))
    more = f", and {len(refused) - 1} more rows" if len(refused) > 1 else ""
    raise EngineError(f"row {row}: {why}{more}")


def _fields(fields: tuple[Field, ...], inputs: tuple[Port, ...]) -> tuple[Any, ...]:
    """What the evaluator must know of each field: name, type, nullable, closed categories, and its input or -1."""
    places = {port.name: place for place, port in enumerate(inputs)}
    names = {field.name for field in fields}
    for port in inputs:
        if port.name not in names:
            raise ValueError(f"it takes {port.name!r}, which is no field of the signature")
    out = []
    for field in fields:
        kind = TYPES.get(field.dtype, _UNREAD) if not field.shape else _UNREAD
        closed = None if field.categories is None or field.open else frozenset(field.categories)
        out.append((field.name, kind, field.nullable, closed, places.get(field.name, -1)))
    return tuple(out)


def _check_outputs(fields: tuple[Field, ...], outputs: tuple[Port, ...]) -> None:
    """Check that a plan gives what the signature says, so that no answer needs to be looked at again.

    Raises:
        CorruptPackage: it does not.
    """
    given = [(port.name, port.dtype, port.tensor) for port in outputs]
    wanted = [(field.name, field.dtype, bool(field.shape)) for field in fields]
    if given != wanted:
        raise CorruptPackage(f"the package's plan gives {given}; its signature says {wanted}")
    for field, port in zip(fields, outputs, strict=True):
        size = 1
        for each in field.shape:
            size *= each
        # An output of the evaluator is flat: a tensor of more dimensions is not what a plan gives.
        if len(field.shape) > 1 or (port.width and port.width != size):
            raise CorruptPackage(f"the package's plan gives {port.width} numbers for {field.name}, {field.expected}")
        strange = set(port.labels) - set(field.categories) if field.categories is not None else set()
        if strange:
            raise CorruptPackage(f"the package's plan can give {min(map(str, strange))!r} for {field.name}")
