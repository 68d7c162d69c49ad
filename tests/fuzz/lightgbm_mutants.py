"""Change models in LightGBM's text format: numbers, lines, keys and the parameters behind the trees."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import lightgbm

from tests.fuzz.boosters import (
    HOSTILE_NUMBERS,
    Base,
    answer,
    base,
    changed_bytes,
    file_base,
    frame,
    mutation,
    other_integer,
)
from tests.fuzz.harness import Target

__all__ = ["TARGET"]

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
OBJECTIVES = (
    *("regression", "regression sqrt", "binary sigmoid:1", "binary sigmoid:-1", "multiclass num_class:3"),
    *(
        "multiclass num_class:1000000000",
        "multiclassova num_class:3 sigmoid:1",
        "multiclassova num_class:-3",
        "poisson",
    ),
    *(
        "multiclass num_class:3 num_class:-7",
        "cross_entropy",
        "cross_entropy_lambda",
        "tweedie",
        "quantile",
        "lambdarank",
    ),
    *("rank_xendcg", "gamma", "mape", "huber", "fair", "custom", "none", "multi", "quantile alpha:nan", "xyz:1:2"),
)
#: Lines that mean something to some reader, wherever they stand.
LINES = (
    *(
        "parameters:",
        "end of parameters",
        "end of trees",
        "Tree=0",
        "Tree=99",
        "average_output",
        "pandas_categorical:null",
    ),
    *(
        "[",
        "]",
        "x",
        "[x]",
        "[x:",
        "[x:]",
        "[x: ]",
        "[:]",
        ":",
        "[linear_tree: 1]",
        "[boosting: dart]",
        "[num_class: -1]",
    ),
    *(
        "=",
        "==",
        "a=b=c",
        "num_leaves =1000000",
        " num_leaves=2",
        "num_class=7",
        "is_linear=1",
        "linear_tree=1",
        "tree",
    ),
    *(
        "pandas_categorical:" + "[" * 5000,
        'pandas_categorical:[["a"]]',
        "feature_infos=",
        "[monotone_constraints: 1,2]",
    ),
    *("[a: :]", "[data: x]", "shrinkage=1", "", "tree_sizes=1", "leaf_value=", "\t", "é", "[objective: x"),
)


def _bases() -> dict[str, Any]:
    data, numbers, classes = frame()
    plain = data[["a", "b"]]
    quiet: dict[str, Any] = {"verbose": -1, "num_threads": 1, "n_estimators": 4, "num_leaves": 6}
    booster = lightgbm.train(quiet, lightgbm.Dataset(plain, numbers), 3)
    return {
        "regressor": base(lightgbm.LGBMRegressor(**quiet).fit(data, numbers), data),
        "classifier": base(lightgbm.LGBMClassifier(**quiet).fit(data, classes), data),
        "linear": base(lightgbm.LGBMRegressor(linear_tree=True, **quiet).fit(plain, numbers), plain),
        "forest": base(
            lightgbm.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, **quiet).fit(
                plain, numbers
            ),
            plain,
        ),
        "booster": base(booster, plain),
        "file": file_base("lightgbm", booster.model_to_string().encode(), ".txt", plain),
    }


def _number(text: str, generator: Random) -> str:
    """Change one number; where it stands in a long list, now and then all of them."""
    matches = list(NUMBER.finditer(text))
    if not matches:
        return text
    match = generator.choice(matches)
    old = match.group()
    if generator.random() < 0.6 and old.lstrip("-").isdigit():
        new = str(other_integer(generator, int(old)))
    else:
        new = generator.choice(HOSTILE_NUMBERS)
    return text[: match.start()] + new + text[match.end() :]


def _value(text: str, generator: Random) -> str:
    """Change the value of one line, chosen by its key, so that short ones are as likely as long ones."""
    lines = text.split("\n")
    places = [index for index, line in enumerate(lines) if re.search("[=:]", line)]
    keys = sorted({re.split("[=:]", lines[index])[0] for index in places})
    if not keys:
        return text
    key = generator.choice(keys)
    index = generator.choice([index for index in places if re.split("[=:]", lines[index])[0] == key])
    name, mark, value = re.split("([=:])", lines[index], maxsplit=1)
    items = value.split(" ")
    kind = generator.randrange(7)
    if kind == 0:
        items = items[: len(items) // 2]
    elif kind == 1:
        items += items
    elif kind == 2:
        place = generator.randrange(len(items))
        items[place] = generator.choice(HOSTILE_NUMBERS)
    elif kind == 3:
        place = generator.randrange(len(items))
        old = items[place]
        items[place] = str(other_integer(generator, int(old) if re.fullmatch(r"-?\d{1,18}", old) else 0))
    elif kind == 4:
        generator.shuffle(items)
    elif kind == 5:
        items = [generator.choice(items)] * len(items)
    else:
        items = re.split("([=:])", lines[generator.choice(places)], maxsplit=1)[2].split(" ")
    lines[index] = name + mark + " ".join(items)
    return "\n".join(lines)


def _line(text: str, generator: Random) -> str:
    """Leave a line out, repeat, move or break one, or put a new one somewhere."""
    lines = text.split("\n")
    place, other = generator.randrange(len(lines)), generator.randrange(len(lines))
    kind = generator.randrange(6)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(other, lines[place])
    elif kind == 2:
        lines.insert(place, generator.choice(LINES))
    elif kind == 3:
        marks = [index for index, line in enumerate(lines) if line.endswith(":") or line.startswith(("end", "["))]
        lines.insert(generator.choice(marks or [0]) + generator.randrange(2), generator.choice(LINES))
    elif kind == 4:
        lines[place] = lines[place].strip("[]").replace(generator.choice(("=", ":", " ")), "")
    else:
        lines[place], lines[other] = lines[other], lines[place]
    return "\n".join(lines)


def _objective(text: str, generator: Random) -> str:
    return re.sub(r"(?m)^objective=.*$", lambda _: f"objective={generator.choice(OBJECTIVES)}", text)


def _cut(text: str, generator: Random) -> str:
    return text[: generator.randrange(len(text) + 1)]


def _noise(text: str, generator: Random) -> str:
    return changed_bytes(text.encode(), generator).decode("utf-8", "replace")


_CHANGES = mutation({_number: 5, _value: 6, _line: 4, _objective: 1, _cut: 1, _noise: 1})


def _sized(text: str) -> str:
    """Return the text with the sizes of its trees made right, where they can be."""
    start, end = text.find("\nTree=") + 1, text.find("\nend of trees") + 1
    blocks = [block for block in re.split(r"(?m)(?=^Tree=)", text[start:end]) if block]
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    return re.sub(r"(?m)^tree_sizes=.*$", f"tree_sizes={sizes}", text)


def _mutate(good: Base, generator: Random) -> Base:
    text: str = _CHANGES(good.data.decode(), generator)
    text = _sized(text) if generator.random() < 0.85 else text
    return good._replace(data=text.encode("utf-8", "replace"))


TARGET = Target("lightgbm", _bases, _mutate, answer, lambda changed: bytes(changed.data))
