from __future__ import annotations

import re
from typing import Any

import flask
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

from fourfold import embed
from fourfold.predictor import Predictor
from tests.embed.hosts import APPS, PARTS, served
from tests.support import make_predictor

HOSTS = {**APPS, **PARTS}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(version=3)


def rules(app: Any) -> int:
    """How many routes an app has."""
    if isinstance(app, flask.Flask):
        return len(list(app.url_map.iter_rules()))
    return len(app._blueprints) if isinstance(app, flask.Blueprint) else len(app.routes)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("eta", "expected a slash at its beginning, '/eta'; got 'eta'"),
        ("/eta/", "expected no slash at its end, '/eta'; got '/eta/'"),
        ("/a//eta", "one slash between two parts"),
        ("//", "slash at its end"),
        ("/{tenant}/eta", "without parameters.*prefix of a router or blueprint"),
        ("/eta/{name:path}", "without parameters"),
        ("/<tenant>/eta", "without parameters"),
        ("/<int:tenant>/eta", "without parameters"),
        ("/eta?x=1", "without spaces, escapes, query or fragment"),
        ("/eta#top", "without spaces, escapes, query or fragment"),
        ("/my eta", "without spaces, escapes, query or fragment"),
        ("/%65ta", "without spaces, escapes, query or fragment"),
        ("http://localhost/eta", "without scheme and host"),
    ],
)
def test_a_path_that_is_none_is_told(predictor: Predictor, host: str, path: str, message: str) -> None:
    """In every framework the same paths are refused, with the one that is meant, and the app stays as it was."""
    app = HOSTS[host]()
    before = rules(app)
    with pytest.raises(ValueError, match=f"^path: .*{message}"):
        embed.mount(app, predictor, path)
    assert rules(app) == before


@pytest.mark.parametrize("host", HOSTS)
def test_a_path_that_is_no_text_is_told(predictor: Predictor, host: str) -> None:
    """A path of another type is an error that names it."""
    with pytest.raises(TypeError, match="expected a text such as '/predict'; got None"):
        embed.mount(HOSTS[host](), predictor, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["Flask", "FastAPI", "Starlette", "Starlette router"])
def test_an_empty_path_needs_a_prefix(predictor: Predictor, host: str) -> None:
    """An app has no prefix that could be the whole path."""
    with pytest.raises(ValueError, match="needs a router or blueprint with a prefix"):
        embed.mount(HOSTS[host](), predictor, "")


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_mount_on_one_path_is_told(predictor: Predictor, host: str) -> None:
    """Two mounts on one path are an error that names the path and the first; the first still answers."""
    app = HOSTS[host]()
    embed.mount(app, predictor, "/eta")
    before = rules(app)
    with pytest.raises(
        ValueError, match=r"POST /eta is answered already, by the mount of tiny:3: mount once, where the app"
    ):
        embed.mount(app, make_predictor(name="other"), "/eta")
    assert rules(app) == before
    embed.mount(app, predictor, "/again")
    embed.mount(app, make_predictor(name="other"), "/eta/other")
    if host in APPS:
        with served(app) as client:
            for path in ("/eta", "/again", "/eta/other"):
                assert client.post(path, json={"x": 1}).json()["y"] == 2


def test_routes_of_the_app_itself(predictor: Predictor) -> None:
    """A path that the app answers to POST is taken, and one that it answers to GET is not."""
    flask_app, fast, starlette = flask.Flask("host"), FastAPI(), Starlette()
    flask_app.add_url_rule("/eta", "mine", lambda: "mine", methods=["GET", "POST"])
    flask_app.add_url_rule("/form", "form", lambda: "form", methods=["GET"])
    fast.add_api_route("/eta", lambda: "mine", methods=["POST"], name="mine")
    fast.add_api_route("/form", lambda: "form", methods=["GET"])
    starlette.router.routes.append(Route("/eta", lambda _: PlainTextResponse("mine"), methods=["POST"]))
    starlette.router.routes.append(Route("/form", lambda _: PlainTextResponse("form"), methods=["GET"]))
    for app in (flask_app, fast, starlette):
        with pytest.raises(ValueError, match="POST /eta is answered already, by the app's"):
            embed.mount(app, predictor, "/eta")
        embed.mount(app, predictor, "/form")
        with served(app) as client:
            assert "form" in client.get("/form").text
            assert client.post("/form", json={"x": 1}).json()["y"] == 2


def test_what_comes_before_and_takes_every_path(predictor: Predictor, tmp_path: Any) -> None:
    """Behind a route or a mount that takes its path, a mount could never answer: that is told, with what to do."""
    for catches_all in (FastAPI(), Starlette()):
        catches_all.mount("/", StaticFiles(directory=tmp_path))
        with pytest.raises(ValueError, match="by what is mounted at '/', which takes every path below: mount before"):
            embed.mount(catches_all, predictor, "/eta")
    app = FastAPI()
    app.add_api_route("/{path:path}", lambda: "mine", methods=["GET", "POST"])
    with pytest.raises(ValueError, match=re.escape("at '/{path:path}': mount before it, or at another path")):
        embed.mount(app, predictor, "/eta")
    starlette = Starlette(routes=[Mount("/api", Router())])
    with pytest.raises(ValueError, match="mounted at '/api'"):
        embed.mount(starlette, predictor, "/api/eta")
    embed.mount(starlette, predictor, "/apis")


def test_a_flask_rule_with_parameters_takes_no_path(predictor: Predictor) -> None:
    """Flask prefers a rule without parameters, so a mount beside one that matches every path answers."""
    app = flask.Flask("host")
    app.add_url_rule("/<path:rest>", "rest", lambda rest: rest, methods=["GET", "POST"])
    embed.mount(app, predictor, "/eta")
    with served(app) as client:
        assert client.post("/eta", json={"x": 1}).json()["y"] == 2
        assert client.post("/other", json={"x": 1}).text == "other"


def test_paths_meet_under_their_prefixes(predictor: Predictor) -> None:
    """What a router or a blueprint with a prefix answers already is taken as well."""
    fast, api = FastAPI(), APIRouter(prefix="/api")
    embed.mount(api, predictor, "/eta")
    with pytest.raises(ValueError, match="POST /api/eta is answered already"):
        embed.mount(api, predictor, "/eta")
    fast.include_router(api)
    with pytest.raises(ValueError, match="POST /api/eta is answered already, by"):
        embed.mount(fast, predictor, "/api/eta")
    embed.mount(fast, predictor, "/eta")

    app, part = flask.Flask("host"), flask.Blueprint("part", "part", url_prefix="/api")
    embed.mount(part, predictor, "/eta")
    with pytest.raises(ValueError, match="POST /api/eta is answered already, by the mount of tiny:3"):
        embed.mount(part, predictor, "/eta")
    app.register_blueprint(part)
    with pytest.raises(ValueError, match="POST /api/eta is answered already, by the mount of tiny:3"):
        embed.mount(app, predictor, "/api/eta")
    with pytest.raises(ValueError, match="POST /api/eta is answered already"):
        app.register_blueprint(embed.flask_blueprint(predictor, "/eta"), url_prefix="/api")
    app.register_blueprint(embed.flask_blueprint(predictor, "/eta"), url_prefix="/v2/")
    app.register_blueprint(embed.flask_blueprint(make_predictor(), "/eta"), url_prefix="/v3")
    nested = flask.Blueprint("nested", "nested", url_prefix="/nested")
    embed.mount(nested, predictor, "/eta")
    outer = flask.Blueprint("outer", "outer", url_prefix="/outer")
    outer.register_blueprint(nested)
    app.register_blueprint(outer)
    with served(app) as client:
        for path in ("/api/eta", "/v2/eta", "/v3/eta", "/outer/nested/eta"):
            assert client.post(path, json={"x": 1}).json()["y"] == 2


def test_an_empty_path_under_a_prefix(predictor: Predictor) -> None:
    """The prefix of a router or a blueprint can be the whole path."""
    fast, app = FastAPI(), flask.Flask("host")
    fast.include_router(embed.fastapi_router(predictor, ""), prefix="/eta")
    app.register_blueprint(embed.flask_blueprint(predictor, ""), url_prefix="/eta")
    for host in (fast, app):
        with served(host) as client:
            assert client.post("/eta", json={"x": 1}).json()["y"] == 2


def test_parameters_of_a_prefix_are_the_hosts(predictor: Predictor) -> None:
    """The parameters of a prefix reach the host's dependencies and functions, and the mount answers under all."""

    def check(tenant: str) -> None:
        if tenant != "acme":
            raise HTTPException(404, "no such tenant")

    fast, app = FastAPI(), flask.Flask("host")
    fast.include_router(embed.fastapi_router(predictor, "/eta", dependencies=[Depends(check)]), prefix="/{tenant}")
    part = flask.Blueprint("part", "part", url_prefix="/<tenant>")

    @part.before_request
    def check_tenant() -> None:
        if (flask.request.view_args or {})["tenant"] != "acme":
            flask.abort(404)

    embed.mount(part, predictor, "/eta")
    app.register_blueprint(part)
    for host in (fast, app):
        with served(host) as client:
            assert client.post("/acme/eta", json={"x": 1}).json()["y"] == 2
            assert client.post("/nobody/eta", json={"x": 1}).status_code == 404


@pytest.mark.parametrize("host", ["Flask", "Flask blueprint", "Starlette", "Starlette router"])
@pytest.mark.parametrize("given", [{"dependencies": [Depends(print)]}, {"tags": ["models"]}])
def test_what_is_fastapis_is_told(predictor: Predictor, host: str, given: dict[str, Any]) -> None:
    """Arguments that only FastAPI has a use for are refused elsewhere, and not dropped."""
    with pytest.raises(TypeError, match="are FastAPI's, and this app is of another framework"):
        embed.mount(HOSTS[host](), predictor, **given)
