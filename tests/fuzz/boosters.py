"""Make good files of the libraries for boosters, and let changed ones answer as a package's engine does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fourfold import runtimes, tables
from fourfold.runtimes.open_model import open_model
from fourfold.signature import Signature
from fourfold.signature.columns import rows_to_columns
from fourfold.signature.field import Field

__all__ = [
    "HOSTILE_INTEGERS",
    "HOSTILE_NUMBERS",
    "Base",
    "answer",
    "base",
    "changed_bytes",
    "file_base",
    "frame",
    "mutation",
    "other_integer",
]

#: Nothing, limits of every kind, and numbers that overflow when they are added or multiplied.
HOSTILE_INTEGERS = (
    *(0, 1, 2, 3, -1, -2, -3, 7, 100, 1000, 65535, 65536, 2**24, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1),
    *(2**32 - 1, 2**32, 2**32 + 1, 2**40, 2**62, 2**63 - 1, -(2**63)),
)
#: Texts that some readers take for numbers, or for other ones than other readers do.
HOSTILE_NUMBERS = (
    *(
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e308",
        "1e999",
        "-0",
        "0x10",
        "1_0",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "1e0",
        "",
        "-",
        ".",
    ),
    *("٣", "1\u2003", "1\t", "None", "true", "9" * 30, "1,2", "[1,2]", "[]"),
)


class Base(NamedTuple):
    """Represent a good input.

    Attributes:
        runtime: the runtime's name.
        data: the bytes of the model's file.
        settings: the runtime's settings; `None` for a file that `pack` opens.
        suffix: the end of the file's name.
        inputs: the fields of its rows.
        outputs: the fields of its answers.
        rows: some rows.
        options: the options of `open_model`.
    """

    runtime: str
    data: bytes
    settings: dict[str, Any] | None
    suffix: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    rows: Any
    options: dict[str, Any]


def frame(rows: int = 200) -> tuple[pd.DataFrame, Any, Any]:
    """Return a frame of two columns of numbers and one of categories, a target of numbers and one of three classes."""
    generator = np.random.default_rng(0)
    data = pd.DataFrame({name: generator.normal(size=rows) for name in ("a", "b")})
    data["c"] = pd.Categorical(generator.integers(0, 6, rows).astype(str))
    return data, (data["a"] * 2 + generator.normal(size=rows)).to_numpy(), generator.integers(0, 3, rows)


def base(model: Any, rows: Any) -> Base:
    """Return what a package holds of a model."""
    ready = runtimes.by_model(model).prepare(model, rows)
    ((name, data),) = ready.files.items()
    return Base(ready.runtime, data, ready.settings, Path(name).suffix, ready.inputs, ready.outputs, rows[:3], {})


def file_base(runtime: str, data: bytes, suffix: str, rows: Any, **options: Any) -> Base:
    """Return a file that `pack` opens."""
    return Base(runtime, data, None, suffix, (), (), rows[:20], options)


def answer(changed: Base) -> None:
    """Load a package's model and let it answer its rows; or open a file, and do with its model what `pack` does."""
    if changed.settings is None:
        with tempfile.TemporaryDirectory(prefix="fourfold-fuzz-") as folder:
            path = Path(folder) / f"model{changed.suffix}"
            path.write_bytes(changed.data)
            opened = open_model(changed.runtime, path, **changed.options)
            runtimes.by_model(opened.model).prepare(opened.model, changed.rows)
        return
    signature = Signature(changed.inputs, changed.outputs)
    engine = runtimes.load(changed.runtime, changed.settings, lambda _: changed.data, signature, trust="foreign")
    batch, errors = tables.read(changed.rows, changed.inputs, "ignore")
    if errors:
        raise AssertionError(errors[0])
    engine.predict(rows_to_columns(changed.inputs, batch) if isinstance(batch, list) else batch)


def other_integer(generator: Random, value: int) -> int:
    """Return a number near another one, or a hostile one."""
    near = (value + 1, value - 1, -value, ~value, value * 2)
    return generator.choice(near if generator.random() < 0.4 else HOSTILE_INTEGERS)


def mutation(changes: dict[Callable[[Any, Random], Any], int]) -> Callable[[Any, Random], Any]:
    """Return a function that makes one to three changes, each chosen by its weight."""

    def mutate(data: Any, generator: Random) -> Any:
        for change in generator.choices(list(changes), list(changes.values()), k=generator.choice((1, 1, 2, 3))):
            data = change(data, generator)
        return data

    return mutate


def changed_bytes(data: bytes, generator: Random) -> bytes:
    """Return bytes with a byte, a word or a part changed, moved or left out."""
    changed = bytearray(data)
    if not changed:
        return b"\0"
    position, size = generator.randrange(len(changed)), generator.choice((1, 1, 2, 4, 8))
    kind = generator.randrange(6)
    if kind == 0:
        changed[position] ^= 1 << generator.randrange(8)
    elif kind == 1:
        changed[position] = generator.randrange(256)
    elif kind == 2:
        word = generator.choice(HOSTILE_INTEGERS) % (1 << 8 * size)
        changed[position : position + size] = word.to_bytes(size, generator.choice(("little", "big")))
    elif kind == 3:
        other = generator.randrange(len(changed))
        length = generator.randrange(1, 24)
        changed[position : position + length] = changed[other : other + length]
    elif kind == 4:
        del changed[position : position + generator.randrange(1, 12)]
    else:
        del changed[position:]
    return bytes(changed)
