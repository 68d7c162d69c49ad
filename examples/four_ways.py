"""Run one package in all four architectures, in one Python process, and compare the answers bit for bit."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fourfold
from fourfold import batch, service, stream

ROWS = pd.DataFrame({"age": [23.0, 47.5, 31.0, 64.0] * 10, "visits": [0, 12, 3, 40] * 10})


def four_answers() -> dict[str, list[float]]:
    """Return each architecture's probability of the second class for each of `ROWS`."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, ROWS["visits"] > 5)
    predictor = fourfold.load(fourfold.pack(model, name="returns", rows=ROWS))
    records = [{str(name): value for name, value in row.items()} for row in ROWS.to_dict("records")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        stream.run(predictor, stream.Job(folder / "in.jsonl", folder / "streamed.jsonl"))
        batch.run(predictor, batch.Job(str(folder / "in.jsonl"), str(folder / "batched.jsonl")))
        streamed, batched = (
            [json.loads(line)["probability"][1] for line in (folder / file).read_text().splitlines()]
            for file in ("streamed.jsonl", "batched.jsonl")
        )
    with service.running(predictor) as url:
        body = json.dumps(records).encode()
        request = urllib.request.Request(f"{url}/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            served = [row["probability"][1] for row in json.loads(reply.read())]
    embedded = [predictor.predict_one(record)["probability"][1] for record in records]
    return {"service": served, "stream": streamed, "batch": batched, "embed": embedded}


if __name__ == "__main__":
    answers = four_answers()
    for architecture, values in answers.items():
        print(f"{architecture:<8} {values[0].hex()}")
    print("the same bits" if len({tuple(values) for values in answers.values()}) == 1 else "they differ")
