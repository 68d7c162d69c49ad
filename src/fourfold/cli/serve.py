"""Define `fourfold serve`: run the service."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import click

from fourfold.cli import options

if TYPE_CHECKING:
    from fourfold.package.levels import Level


@click.command("serve")
@click.argument("package")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for every one.")
@click.option("--port", default=8000, show_default=True, help="The port; 0 takes a free one.")
@click.option("--workers", default=1, show_default=True, help="Processes that share the port.")
@click.option("--max-body", default=32, show_default=True, help="The longest request body, in MiB.")
@click.option(
    "--max-decoded",
    type=click.IntRange(min=1),
    help="The most memory that a request's rows may take, in MiB.  [default: 16 times --max-body, at least 512]",
)
@click.option(
    "--notice",
    default=1,
    show_default=True,
    help="Seconds after SIGTERM in which only /health/ready changes, to 503: for load balancers to notice.",
)
@click.option("--drain", default=30, show_default=True, help="Seconds after SIGTERM for requests to finish.")
@click.option("--access-log", is_flag=True, help="A line on standard output for every request.")
@options.repository
@options.trust
@options.as_json
def command(
    package: str,
    host: str,
    port: int,
    workers: int,
    max_body: int,
    notice: int,
    drain: int,
    max_decoded: int | None,
    repository: str | None,
    *,
    access_log: bool,
    trust: Level | None,
    as_json: bool,
) -> None:
    """Serve a PACKAGE (a reference or a path) over HTTP: POST /predict, GET /health/ready, GET /openapi.json.

    It is ready once its golden rows have given their answers. SIGTERM finishes the requests that have been taken.
    With --json the only line on standard output says when, as JSON: its url, name, version and digest.

    \b
    fourfold serve eta@production --port 8000
    curl localhost:8000/predict -H 'content-type: application/json' -d '[{"distance": 1400, …}]'
    """
    from fourfold.loading import find, load
    from fourfold.service import Job, serve

    located = find(package, repository=repository)
    resolved, version = located.package, located.version
    # Load the version, not the alias: workers that start later must load the same package.
    reference = package if version is None else f"{resolved.name}:{version}"
    url: list[str] = []

    def ready() -> None:
        identity = {"name": resolved.name, "version": version, "digest": resolved.digest}
        if as_json:
            click.echo(json.dumps({"url": url[0], **identity}))
        else:
            label = resolved.name if version is None else f"{resolved.name}:{version}"
            click.echo(f"serving {label} {resolved.digest[:19]}… at {url[0]} (POST /predict, GET /openapi.json)")

    job = Job(
        host=host,
        port=port,
        workers=workers,
        max_body_bytes=max_body * 2**20,
        max_decoded_bytes=None if max_decoded is None else max_decoded * 2**20,
        notice_seconds=notice,
        drain_seconds=drain,
        access_log=access_log,
    )
    loader = functools.partial(load, reference, repository=repository, trust=trust)
    serve(loader, job, opened=url.append, ready=ready)
