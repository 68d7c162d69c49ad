"""The service as a process: the port, the loading behind it, the workers, and a stop that finishes what was begun."""

from __future__ import annotations

import errno
import functools
import multiprocessing
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess

from fourfold import errors
from fourfold.errors import FourfoldError, ServiceError, shorten
from fourfold.predictor import Predictor
from fourfold.service.application import Service, Source
from fourfold.service.job import Job
from fourfold.service.protocol import BoundedProtocol

__all__ = ["running", "serve"]

#: How long an idle connection is kept, in seconds: longer than load balancers do (60 is usual), so that none of them
#: sends a request into a connection that is just being closed.
KEEP_ALIVE = 75
#: How long a worker may be deaf, in seconds (an engine that loads, say, and keeps the interpreter to itself), before it
#: is replaced.
DEAF = 60
#: The status with which a worker tells uvicorn's supervisor that another try would fail as well.
HOPELESS = 3

#: Connections that may wait to be accepted.
BACKLOG = 2048

# What a worker tells the process that started it: the class and the text of an error.
_Report = tuple[str, str]
_READY: _Report = ("", "")

_ACCESS_LOG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": '%(asctime)s %(client_addr)s "%(request_line)s" %(status_code)s',
            "use_colors": False,
        }
    },
    "handlers": {"access": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stdout"}},
    "loggers": {"uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False}},
}


def serve(
    source: Source,
    job: Job | None = None,
    *,
    opened: Callable[[str], None] = lambda _: None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, and then finish the requests that have been taken.

    The port opens at once; `/health/live` answers from then on, everything else once the package is loaded.

    Args:
        source: a predictor; or what loads one, such as `functools.partial(fourfold.load, "eta:3")`. More than one
            worker needs the latter, and needs it to be picklable; give it a digest or a version rather than an alias,
            which may move between the start of two workers.
        job: the settings.
        opened: called with the service's URL once the port is open.
        ready: called once every worker answers requests.

    Raises:
        ServiceError: the port cannot be opened, or a worker could not start; nothing has been loaded in the first case.
        FourfoldError: whatever the loading raised.
    """
    job = job or Job()
    if job.workers > 1:
        _check_for_workers(source, job.workers)
    with _listen(job) as listener:
        serve_so = _serve_here if job.workers == 1 else _serve_with_workers
        serve_so(source, job, listener, lambda: opened(_url(job, listener)), ready)


@contextmanager
def running(source: Source, job: Job | None = None) -> Iterator[str]:
    """The service in a thread of this process, for as long as the block runs; for tests, notebooks and `certify`.

    Args:
        source: as for `serve`.
        job: the settings; a free port and one worker, if none are given.

    Yields:
        The service's URL, once it answers requests.

    Raises:
        ServiceError: the port cannot be opened, or more than one worker is asked for.
        FourfoldError: whatever the loading raised.
    """
    job = job or Job(port=0)
    if job.workers > 1:
        raise ServiceError(f"the service in a thread has one worker; got {job.workers}")
    listener = _listen(job)
    settled = threading.Event()
    server, failures = _server(source, job, settled.set)

    def run() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001  # it is raised below, where the service was asked for
            failures.append(error)
        finally:
            settled.set()

    thread = threading.Thread(target=run, name="fourfold-service", daemon=True)
    thread.start()
    try:
        settled.wait()
        if failures:
            raise failures[0]
        yield _url(job, listener)
    finally:
        server.should_exit = True
        thread.join()


def _check_for_workers(source: Source, workers: int) -> None:
    if threading.current_thread() is not threading.main_thread():
        raise ServiceError(f"{workers} workers need the main thread, which takes the signals; use one worker")
    advice = "give serve() what loads the package, such as functools.partial(fourfold.load, 'eta:3')"
    if isinstance(source, Predictor):
        raise ServiceError(f"{workers} workers load the package themselves, so a predictor is of no use: {advice}")
    try:
        pickle.dumps(source)
    except Exception as error:  # whatever a foreign object's pickling raises
        raise ServiceError(
            f"workers are processes, and {shorten(source)} cannot be sent to one ({error}): {advice}"
        ) from error


def _listen(job: Job) -> socket.socket:
    """The listening socket: opened before anything is loaded, so that a port in use is found out at once."""
    where = f"{job.host}:{job.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            job.host, job.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ServiceError(f"cannot listen on {where}: the host is not known ({error}); try 127.0.0.1") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere the option would let two services share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        advice = {
            errno.EADDRINUSE: "another process listens there; stop it, or choose another port (0 takes a free one)",
            errno.EACCES: "this user may not open that port; choose one from 1024 on",
            errno.EADDRNOTAVAIL: "this machine does not have that address; 0.0.0.0 stands for all that it has",
        }.get(error.errno or 0, error.strerror or str(error))
        raise ServiceError(f"cannot listen on {where}: {advice}") from error
    listener.set_inheritable(True)
    return listener


def _url(job: Job, listener: socket.socket) -> str:
    host = f"[{job.host}]" if listener.family == socket.AF_INET6 else job.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _uvicorn(app: Any, job: Job, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=job.workers,
        lifespan="on",
        http=BoundedProtocol,
        ws="none",
        log_config=_ACCESS_LOG if job.access_log else None,
        access_log=job.access_log,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=job.drain_seconds,
        timeout_worker_healthcheck=DEAF,
    )


def _server(source: Source, job: Job, ready: Callable[[], None]) -> tuple[uvicorn.Server, list[BaseException]]:
    """A server, and the list that holds what ended it, if something did."""
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    service = Service(source, job, ready=ready, failed=failed)
    server = uvicorn.Server(_uvicorn(service.application, job))
    return server, failures


def _serve_here(
    source: Source,
    job: Job,
    listener: socket.socket,
    opened: Callable[[], None],
    ready: Callable[[], None],
) -> None:
    server, failures = _server(source, job, ready)

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn's own handlers end the process by the signal once it has drained; ours, which it restores before, do not.
    with _handlers(stop, signal.SIGINT, signal.SIGTERM):
        opened()  # not before: whoever is told may send a signal at once
        server.run(sockets=[listener])
    if failures:
        raise failures[0]


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None] | None, *signals: int) -> Iterator[None]:
    """Handle signals for as long as the block runs (`None`: as they are), and as before afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets no other thread touch them
        return
    before = {each: signal.getsignal(each) for each in signals}
    try:
        for each in signals if handler else ():
            signal.signal(each, handler)
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous)


def _serve_with_workers(
    source: Source,
    job: Job,
    listener: socket.socket,
    opened: Callable[[], None],
    ready: Callable[[], None],
) -> None:
    reports: SimpleQueue[_Report | None] = multiprocessing.get_context("spawn").SimpleQueue()
    failures: list[FourfoldError] = []

    def follow() -> None:
        starting = job.workers
        while (report := reports.get()) is not None:
            if report != _READY:
                failures.append(_revived(*report))
                continue
            starting -= 1
            if starting == 0:  # once: workers that replace others report as well
                ready()

    follower = threading.Thread(target=follow, name="fourfold-workers", daemon=True)
    follower.start()
    with _handlers(None, *SIGNALS):
        app = functools.partial(_worker, source, job, reports)
        try:
            supervisor = _Supervisor(_uvicorn(app, job, factory=True), sockets=[listener])
            opened()
            supervisor.run()
        finally:
            reports.put(None)
            follower.join()
    if failures:
        raise failures[0]


class _Supervisor(Multiprocess):
    """uvicorn's supervisor, which keeps the port open while its workers drain: clients would wait for nobody."""

    def terminate_all(self) -> None:
        """Stop listening, then tell every worker to finish."""
        for each in self.sockets:
            each.close()
        super().terminate_all()


def _worker(source: Source, job: Job, reports: SimpleQueue[_Report | None]) -> Starlette:
    """The application of one worker, made in the worker."""

    def failed(error: BaseException) -> None:
        kind = type(error).__name__
        if isinstance(error, FourfoldError):
            reports.put((kind, str(error)))
        else:
            reports.put(("ServiceError", f"the package cannot be loaded: {kind}: {error}"))
        # Nothing has been answered yet, and any other end would make the supervisor start the worker anew.
        os._exit(HOPELESS)

    threading.Thread(target=_end_with_parent, name="fourfold-parent", daemon=True).start()
    return Service(source, job, ready=lambda: reports.put(_READY), failed=failed).application


def _end_with_parent() -> None:
    """Stop when the process that started this one is gone: killed, it cannot stop its workers any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _revived(kind: str, text: str) -> FourfoldError:
    """The error that a worker reported. Its class is kept, for the exit status; its attributes are not."""
    known: type[FourfoldError] = getattr(errors, kind, ServiceError)
    error = known.__new__(known)
    BaseException.__init__(error, text)  # the constructors of the tree build a text; this one is built already
    return error
