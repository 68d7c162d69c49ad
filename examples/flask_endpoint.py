"""Add an endpoint that predicts to an existing Flask application: the integrated approach.

Run it, then send a request:

    python examples/flask_endpoint.py
    curl -s localhost:5000/eta -H 'content-type: application/json' -d '{"distance": 1400, "delay": null}'
"""

from __future__ import annotations

import flask
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

import fourfold
from fourfold import embed


def packed() -> fourfold.Package:
    """Return a package, packed here so that the example needs no repository; else `fourfold.load("eta@production")`."""
    flights = pd.DataFrame({"distance": [1400, 229, 1089, 2475] * 50, "delay": [2.0, None, -3.0, 11.5] * 50})
    model = HistGradientBoostingRegressor(random_state=0).fit(flights, flights["distance"] / 7)
    return fourfold.pack(model, name="eta", rows=flights)


def application() -> flask.Flask:
    """Return the application, with an endpoint of its own and the model's."""
    app = flask.Flask("dispatch")

    @app.get("/")
    def home() -> str:
        return "dispatch"

    embed.mount(app, fourfold.load(packed()), path="/eta")
    return app


if __name__ == "__main__":
    application().run()
