"""Change CatBoost's models: words of its FlatBuffers, chosen by what leads to them, and the JSON that `pack` opens."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import catboost

from tests.fuzz.boosters import (
    HOSTILE_INTEGERS,
    HOSTILE_NUMBERS,
    Base,
    answer,
    base,
    changed_bytes,
    file_base,
    frame,
    other_integer,
)
from tests.fuzz.harness import Target

__all__ = ["TARGET"]

#: How often the float32 and float64 values stand among what a word becomes.
FLOATS = tuple(struct.pack("<f", value) for value in (float("nan"), float("inf"), -1.0, 0.0, 1e38, 1e-45))
DOUBLES = tuple(struct.pack("<d", value) for value in (float("nan"), float("inf"), -1.0, 1e308, 5e-324))


def _bases() -> dict[str, Any]:
    data, numbers, classes = frame()
    plain, words = data[["a", "b"]], data.assign(c=data["c"].astype(str), d=data["c"].astype(str).str[::-1] + "x")
    quiet: dict[str, Any] = {
        "iterations": 4,
        "depth": 3,
        "verbose": 0,
        "allow_writing_files": False,
        "thread_count": 1,
        "cat_features": ["c", "d"],
    }
    alone = {key: value for key, value in quiet.items() if key != "cat_features"}
    counted = catboost.CatBoostClassifier(max_ctr_complexity=2, one_hot_max_size=2, **quiet).fit(words, classes)
    return {
        "regressor": base(catboost.CatBoostRegressor(**quiet).fit(words, numbers), words),
        "classifier": base(counted, words),
        "one hot": base(catboost.CatBoostRegressor(one_hot_max_size=20, **quiet).fit(words, numbers), words),
        "lossguide": base(catboost.CatBoostRegressor(grow_policy="Lossguide", **alone).fit(plain, numbers), plain),
        "depthwise": base(catboost.CatBoostClassifier(grow_policy="Depthwise", **quiet).fit(words, classes), words),
        "targets": base(
            catboost.CatBoostRegressor(loss_function="MultiRMSE", **alone).fit(plain, plain.to_numpy()), plain
        ),
        "file": file_base("catboost", bytes(counted._serialize_model()), ".cbm", words),
        "file json": file_base("catboost", _json(counted), ".json", words),
    }


def _json(model: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="fourfold-fuzz-") as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return path.read_bytes()


def _parts(data: bytes) -> list[tuple[int, int]]:
    """Return where the core and the tables of statistics begin and end: the core is one of many."""
    (size,) = struct.unpack_from("<I", data, 4)
    parts = [(8, min(len(data), 8 + size))]
    at = 8 + size
    if at + 4 <= len(data):
        at += 4
        while at + 4 <= len(data):
            (size,) = struct.unpack_from("<I", data, at)
            parts.append((at + 4, min(len(data), at + 4 + size)))
            at += 4 + size
    return [part for part in parts if part[0] < part[1]]


def _word(data: bytes, generator: Random) -> bytes:
    """Change a word: an offset, a length, an index, a number, or a scalar of another size."""
    begin, end = generator.choice(_parts(data))
    changed = bytearray(data)
    size = generator.choice((1, 2, 4, 4, 4, 8))
    at = begin + generator.randrange(max(1, (end - begin) // size)) * size
    kind = generator.randrange(8)
    if kind < 4:
        old = int.from_bytes(changed[at : at + size], "little")
        word = other_integer(generator, old).to_bytes(16, "little", signed=True)[:size]
    elif kind == 4:
        word = generator.choice(FLOATS if size < 8 else DOUBLES)[:size]
    elif kind == 5:
        other = begin + generator.randrange(max(1, (end - begin) // 4)) * 4
        word = bytes(changed[other : other + size])
    elif kind == 6:
        word = generator.choice(HOSTILE_INTEGERS).to_bytes(16, "little", signed=True)[:size]
    else:
        # Small numbers are lengths and counts: change one of them.
        places = [place for place in range(begin, end - 3, 4) if 0 < struct.unpack_from("<I", data, place)[0] < 4096]
        at = generator.choice(places or [at])
        old = struct.unpack_from("<I", data.ljust(at + 4, b"\0"), at)[0]
        word = (other_integer(generator, old) % 2**32).to_bytes(4, "little")
    changed[at : at + len(word)] = word
    return bytes(changed)


def _json_change(document: Any, generator: Random) -> None:
    """Change a value, leave it out, or make a list longer or shorter; by the keys, so that each is as likely."""
    members: list[tuple[Any, Any, Any]] = []
    stack: list[tuple[Any, Any]] = [(document, "")]
    while stack:
        value, name = stack.pop()
        items = value.items() if isinstance(value, dict) else enumerate(value[:60])
        for key, item in items:
            label = key if isinstance(value, dict) else name
            members.append((value, key, label))
            if isinstance(item, (dict, list)):
                stack.append((item, label))
    name = generator.choice(sorted({str(label) for _, _, label in members}))
    container, key, _ = generator.choice([member for member in members if str(member[2]) == name])
    old = container[key]
    kind = generator.randrange(6)
    if kind == 0:
        del container[key]
    elif isinstance(old, list):
        container[key] = generator.choice((old[: len(old) // 2], (old + old)[:5000], [], old[::-1], None, {}))
    elif isinstance(old, bool) or old is None:
        container[key] = generator.choice((True, False, None, 1, ""))
    elif isinstance(old, int):
        container[key] = other_integer(generator, old)
    elif isinstance(old, float):
        container[key] = generator.choice((0, -1.0, 1e300, 1e30, float("nan"), "x", None))
    elif isinstance(old, str):
        container[key] = generator.choice((*HOSTILE_NUMBERS, old + "x", "Counter", "Borders", "FloatFeature"))
    else:
        container[key] = generator.choice(({}, [], None, 0, "x"))


def _mutate(good: Base, generator: Random) -> Base:
    data = good.data
    if good.suffix == ".json" and generator.random() < 0.9:
        document = json.loads(data)
        for _ in range(generator.choice((1, 1, 2, 3))):
            _json_change(document, generator)
        return good._replace(data=json.dumps(document).encode())
    for _ in range(generator.choice((1, 1, 2, 3))):
        is_noise = good.suffix == ".json" or generator.random() < 0.15 or len(data) < 16
        data = changed_bytes(data, generator) if is_noise else _word(data, generator)
    return good._replace(data=data)


TARGET = Target("catboost", _bases, _mutate, answer, lambda changed: bytes(changed.data))
