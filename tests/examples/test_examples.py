"""The examples run, and do what they say."""

from __future__ import annotations

from examples.flask_endpoint import application
from examples.four_ways import ROWS, four_answers


def test_the_flask_endpoint_answers_beside_the_applications_own() -> None:
    """Both endpoints answer."""
    client = application().test_client()
    assert client.get("/").text == "dispatch"
    reply = client.post("/eta", json={"distance": 1400, "delay": None})
    assert reply.status_code == 200
    assert 100 < reply.get_json()["prediction"] < 300


def test_four_ways_give_the_same_bits() -> None:
    """Every architecture answers every row, and all of them alike."""
    answers = four_answers()
    assert set(answers) == {"service", "stream", "batch", "embed"}
    assert {len(values) for values in answers.values()} == {len(ROWS)}
    assert len({tuple(value.hex() for value in values) for values in answers.values()}) == 1
