"""Run plans, models as flat arrays, with the evaluator in C. Answering rows needs no library but Python's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

from fourfold.errors import CorruptPackage, EngineError, shorten
from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import TYPES, Port, read_ports
from fourfold.runtimes.engine import Prepared
from fourfold.signature.field import Field, Signature
from fourfold.signature.hashing import are_colliding

__all__ = ["FILE", "NAME", "PlanEngine", "load", "prepare_plan"]

NAME = "plan"
FILE = "model.plan"
#: The type number of fields that a plan does not read.
_UNREAD = 255


def prepare_plan(plan: bytes, original: Prepared) -> Prepared:
    """Return what a package keeps of a plan, given what it would keep of the model from which the plan was compiled."""
    return Prepared(NAME, {}, {FILE: plan}, original.inputs, original.outputs, "", {})


def load(settings: dict[str, Any], read: Callable[[str], bytes], signature: Signature) -> PlanEngine:
    """Return the engine of a package.

    Raises:
        CorruptPackage: its file is no plan, or one whose inputs or outputs are not those of the signature.
    """
    return PlanEngine(read(FILE), signature)


class PlanEngine:
    """Answer with a plan, from any number of threads at once.

    Args:
        plan: the bytes of the plan; they are checked before they are used.
        signature: the package's signature.

    Raises:
        CorruptPackage: see `load`.
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
        #: Return the answer to a row as a caller has it, `None` where it must be coerced first or has no answer.
        self.one: Callable[[Any], dict[str, Any] | None] = self._evaluator.one

    def many(self, rows: list[Any]) -> list[dict[str, Any]] | None:
        """Return the answers to rows as a caller has them, `None` where one must be coerced first or has no answer."""
        answers = self._evaluator.many(rows)
        return answers if isinstance(answers, list) else None

    def stop(self) -> None:
        """End the calls that are running; all later ones fail."""
        self._evaluator.stop()

    def predict(self, table: Any) -> Any:
        """Return the answers to a canonical table: a list of rows, or a `pyarrow.RecordBatch`.

        Raises:
            EngineError: the model has no answer to a row, such as one with an infinity that it does not take.
        """
        if isinstance(table, list):
            answers = self._evaluator.many(table, True)
            if answers is None:
                raise EngineError("the plan cannot read these rows: they are not canonical")
            return answers if isinstance(answers, list) else _raise_refusal(answers)
        buffers = self._evaluator.columns(*table.__arrow_c_array__())
        if isinstance(buffers, dict):
            _raise_refusal(buffers)
        from fourfold.runtimes.plan_columns import buffers_to_batch  # needs pyarrow, which made the batch

        return buffers_to_batch(self._outputs, buffers, table.num_rows)


def _raise_refusal(reasons: dict[int, str]) -> NoReturn:
    """Raise `EngineError` for rows without an answer, given the reasons by the rows' indices."""
    row, reason = next(iter(reasons.items()))
    more = f", and {len(reasons) - 1} more rows" if len(reasons) > 1 else ""
    raise EngineError(f"row {row}: {reason}{more}")


def _fields(fields: tuple[Field, ...], inputs: tuple[Port, ...]) -> tuple[Any, ...]:
    """Return for each field its name, type, nullability, closed categories, and index among the inputs or -1.

    Raises:
        ValueError: an input of the plan is no field.
    """
    indices = {port.name: index for index, port in enumerate(inputs)}
    names = {field.name for field in fields}
    for port in inputs:
        if port.name not in names:
            raise ValueError(f"it takes {shorten(port.name)}, which is no field of the signature")
    descriptions = []
    for field in fields:
        type_number = TYPES.get(field.dtype, _UNREAD) if not field.shape else _UNREAD
        categories = None if field.categories is None or field.open else frozenset(field.categories)
        descriptions.append((field.name, type_number, field.nullable, categories, indices.get(field.name, -1)))
    return tuple(descriptions)


def _check_outputs(fields: tuple[Field, ...], outputs: tuple[Port, ...]) -> None:
    """Check that a plan's outputs are those of the signature, so that no answer needs a check.

    Raises:
        CorruptPackage: they are not.
    """
    actual = [(port.name, port.dtype, port.tensor) for port in outputs]
    expected = [(field.name, field.dtype, bool(field.shape)) for field in fields]
    if len(actual) != len(expected):
        raise CorruptPackage(f"the package's plan gives {len(actual)} outputs; its signature says {len(expected)}")
    for has, wants in zip(actual, expected, strict=True):
        if has != wants:
            raise CorruptPackage(
                f"the package's plan gives {shorten(has, 200)}; its signature says {shorten(wants, 200)}"
            )
    if any(are_colliding(port.labels) for port in {id(port.labels): port for port in outputs}.values()):
        raise CorruptPackage("the package's plan has labels that are made to collide")
    labels = {id(port.labels): frozenset(port.labels) for port in outputs}  # outputs may share theirs
    for field, port in zip(fields, outputs, strict=True):
        size = 1
        for dimension in field.shape:
            size *= dimension
        # The evaluator's outputs have one dimension, so no plan gives a tensor of more.
        if len(field.shape) > 1 or (port.width and port.width != size):
            raise CorruptPackage(f"the package's plan gives {port.width} numbers for {field.name}, {field.expected}")
        known = frozenset(field.categories) if field.categories is not None else labels[id(port.labels)]
        unknown = labels[id(port.labels)] - known
        if unknown:
            raise CorruptPackage(
                f"the package's plan can give {shorten(min(map(str, unknown)))} for {shorten(field.name)}"
            )
