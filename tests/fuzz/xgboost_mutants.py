"""Change XGBoost's models, as UBJSON and as the JSON that `pack` opens."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import xgboost

from tests.fuzz.boosters import HOSTILE_NUMBERS, Base, answer, base, changed_bytes, file_base, frame, other_integer
from tests.fuzz.harness import Target
from tests.fuzz.ubjson import decode, encode

__all__ = ["TARGET"]

OBJECTIVES = (
    *("reg:squarederror", "reg:squaredlogerror", "reg:logistic", "reg:pseudohubererror", "reg:absoluteerror"),
    *("reg:quantileerror", "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson", "survival:cox"),
    *("survival:aft", "multi:softmax", "multi:softprob", "rank:ndcg", "rank:map", "rank:pairwise", "reg:gamma"),
    *("reg:tweedie", "reg:linear", "none", ""),
)
TEXTS = (*("gbtree", "dart", "gblinear", "gbtree ", "", "\0", "[5E-1,5E-1]", "[]", "{}", "é" * 40), *HOSTILE_NUMBERS)
#: The most items of an array that a change makes.
LARGEST = 10_000


def _bases() -> dict[str, Any]:
    data, numbers, classes = frame()
    plain, pairs = data[["a", "b"]], np.stack([numbers, -numbers], axis=1)
    quiet: dict[str, Any] = {"n_estimators": 3, "max_depth": 3, "n_jobs": 1}
    vector: dict[str, Any] = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
    regressor = xgboost.XGBRegressor(**quiet).fit(plain, numbers)
    categories = xgboost.XGBRegressor(enable_categorical=True, max_cat_to_onehot=1, **quiet).fit(data, numbers)
    return {
        "regressor": base(regressor, plain),
        "categories": base(categories, data),
        "classifier": base(xgboost.XGBClassifier(**quiet).fit(plain, classes), plain),
        "booster": base(xgboost.XGBClassifier(**quiet).fit(plain, classes).get_booster(), plain),
        "dart": base(xgboost.XGBRegressor(booster="dart", rate_drop=0.5, **quiet).fit(plain, numbers), plain),
        "linear": base(xgboost.XGBRegressor(n_estimators=3, booster="gblinear", n_jobs=1).fit(plain, numbers), plain),
        "vector": base(xgboost.XGBRegressor(**vector, **quiet).fit(plain, pairs), plain),
        "vector booster": base(xgboost.XGBClassifier(**vector, **quiet).fit(plain, classes).get_booster(), plain),
        "quantiles": base(
            xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9], **quiet).fit(plain, numbers),
            plain,
        ),
        "survival": base(
            xgboost.XGBRegressor(objective="survival:cox", **quiet).fit(plain, np.abs(numbers) + 1), plain
        ),
        "file": file_base("xgboost", bytes(categories.get_booster().save_raw("json")), ".json", data),
        "file vector": file_base(
            "xgboost",
            bytes(xgboost.XGBRegressor(**vector, **quiet).fit(plain, pairs).get_booster().save_raw("json")),
            ".json",
            plain,
        ),
    }


def _members(value: Any, parents: tuple[Any, ...] = ()) -> Any:
    """Yield each container with a key or index of it, and the key's own name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield value, key, key
            yield from _members(item, (*parents, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:50]):
            yield value, index, parents[-1] if parents else ""
            yield from _members(item, parents)


def _changed(value: Any, generator: Random) -> Any:
    if isinstance(value, bool) or value is None:
        return generator.choice((True, False, None, 0, "1"))
    if isinstance(value, (int, np.integer)):
        return other_integer(generator, int(value))
    if isinstance(value, (float, np.floating)):
        return generator.choice((0.0, -1.0, 1e30, -1e30, 1e300, float(other_integer(generator, 1))))
    if isinstance(value, str):
        if value in OBJECTIVES:
            return generator.choice(OBJECTIVES)
        if value.lstrip("-").isdigit() and generator.random() < 0.7:
            return str(other_integer(generator, int(value)))
        return generator.choice(TEXTS)
    if isinstance(value, np.ndarray):
        return _changed_array(value, generator)
    if isinstance(value, list):
        items = list(value)
        return generator.choice((items[: len(items) // 2], (items + items)[:LARGEST], [], items[::-1], items[:1], {}))
    return generator.choice(({}, [], None, 0, ""))


def _changed_array(values: np.ndarray[Any, Any], generator: Random) -> Any:
    kind = generator.randrange(8)
    if kind == 0 or not len(values):
        return np.concatenate([values, values, np.zeros(1, values.dtype)])[:LARGEST]
    if kind == 1:
        return values[: len(values) // 2]
    if kind == 2:
        return values.astype(generator.choice(("int8", "uint8", "int16", "int32", "int64", "float32", "float64")))
    if kind == 3:
        return generator.choice(([], {}, values.tolist()[:50], None, 0))
    if kind == 4:
        return values[::-1].copy()
    changed = values.copy()
    place = slice(None) if kind == 5 else generator.randrange(len(changed))
    if changed.dtype.kind == "f":
        changed[place] = generator.choice((np.nan, np.inf, -np.inf, 1e30, -1.0, 0.0, 0.5, 7.0))
    else:
        limits = np.iinfo(changed.dtype)
        wanted = other_integer(generator, int(values[0 if kind == 5 else place]))
        changed[place] = max(limits.min, min(limits.max, wanted))
    return changed


def _change(document: Any, generator: Random) -> None:
    members = list(_members(document))
    if not members:
        return
    # A key that stands once is as likely as one in every tree.
    name = generator.choice(sorted({name for _, _, name in members}))
    container, key, _ = generator.choice([member for member in members if member[2] == name])
    kind = generator.randrange(10)
    if kind == 0:
        del container[key]
    elif kind == 1:
        other, other_key, _ = generator.choice(members)
        if other_key in other if isinstance(other, dict) else other_key < len(other):
            container[key] = other[other_key] if not isinstance(other[other_key], (dict, list)) else container[key]
    elif kind == 2 and isinstance(container, dict):
        container[generator.choice(("objective", "name", "cats", "model", "extra", "size_leaf_vector"))] = container[
            key
        ]
    else:
        container[key] = _changed(container[key], generator)


def _arrays(value: Any) -> Any:
    """Return what JSON holds with lists of numbers as arrays."""
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, (int, float)) for item in value):
        return np.array(value)
    return [_arrays(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)


def _mutate(good: Base, generator: Random) -> Base:
    if generator.random() < 0.15:
        data = good.data
        for _ in range(generator.choice((1, 1, 2, 4))):
            data = changed_bytes(data, generator)
        return good._replace(data=data)
    is_json = good.suffix == ".json"
    document = _arrays(json.loads(good.data)) if is_json else decode(good.data)
    for _ in range(generator.choice((1, 1, 2, 3))):
        _change(document, generator)
    if not is_json:
        return good._replace(data=encode(document))
    data = json.dumps(document, default=_plain).encode()
    # What `pack` opens may be either: XGBoost looks at the first bytes, not at the name.
    return good._replace(data=encode(document) if generator.random() < 0.1 else data)


TARGET = Target("xgboost", _bases, _mutate, answer, lambda changed: bytes(changed.data))
