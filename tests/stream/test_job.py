from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fourfold.errors import FourfoldError, SignatureError, SinkError, SourceError
from fourfold.stream import Job


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"source": None}, SourceError, "expected source to be a path, a file:// URL, - or a ready source; got None"),
        ({"sink": 7}, SinkError, "expected sink to be"),
        ({"dead_letters": True}, SinkError, "expected dead_letters to be"),
        ({"keep": "id"}, SignatureError, "expected keep to be a list of names; got the text 'id'"),
        ({"keep": [1]}, SignatureError, "expected keep to be a list of names"),
        ({"max_dead": -1}, SinkError, "expected max_dead to be a number of events or a share from 0.0 to 1.0; got -1"),
        ({"max_dead": 1.5}, SinkError, "expected max_dead to be"),
        ({"max_dead": float("nan")}, SinkError, "expected max_dead to be"),
        ({"max_dead": True}, SinkError, "expected max_dead to be"),
        ({"max_dead": "many"}, SinkError, "expected max_dead to be"),
        ({"replace": "yes"}, SinkError, "expected replace to be true or false"),
        ({"limits": {}}, SourceError, "expected limits to be Limits"),
    ],
)
def test_refuses_what_cannot_be_run(arguments: dict[str, Any], error: type[FourfoldError], message: str) -> None:
    """A value of another type, or out of its range, is refused and named before anything is opened."""
    with pytest.raises(error, match=message):
        Job(**({"source": "in.jsonl", "sink": "out.jsonl"} | arguments))


def test_cannot_be_changed_from_outside() -> None:
    """A job keeps what it was given, even where the caller goes on to change a list of its own."""
    keep = ["id"]
    job = Job(Path("in.jsonl"), "-", keep=keep)
    keep.append("b")
    assert job.keep == ("id",)
