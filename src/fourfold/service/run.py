"""Run the service as a process: open the port, load the package, start workers, and drain requests on a stop."""

from __future__ import annotations

import errno
import functools
import multiprocessing
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from types import FrameType
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import SIGNALS

from fourfold import errors
from fourfold.errors import FourfoldError, ServiceError, shorten
from fourfold.loading import packed_digests, remember_packed
from fourfold.predictor import Predictor
from fourfold.service.application import PredictorOrLoader, Service
from fourfold.service.draining import DrainingServer
from fourfold.service.job import Job
from fourfold.service.protocol import IDLE_TIMEOUT_S, StrictProtocol
from fourfold.service.workers import STARTUP_FAILURE, Supervisor

__all__ = ["running", "serve"]

#: How long a worker may leave uvicorn's health check unanswered before it is replaced. An engine that loads may keep
#: the interpreter's lock for long.
WORKER_HEALTH_TIMEOUT_S = 60
#: How many connections may wait to be accepted.
MAX_PENDING_CONNECTIONS = 2048


class _WorkerMessage(NamedTuple):
    """Tell the process that started a worker how its start went.

    Attributes:
        error_class: the name of the error's class; `None` where the worker is ready.
        text: the error's message.
    """

    error_class: str | None = None
    text: str = ""


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
    predictor: PredictorOrLoader,
    job: Job | None = None,
    *,
    opened: Callable[[str], None] = lambda _: None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that were accepted.

    The port opens at once, and `/health/live` answers from then on; the other routes answer once the package is loaded.

    Args:
        predictor: a predictor, or a function that loads one, such as `functools.partial(fourfold.load, "eta:3")`. More
            than one worker needs a function that can be pickled. Let it load a digest or a version, not an alias, which
            may move between the starts of two workers.
        job: the settings.
        opened: called with the service's URL once the port is open.
        ready: called once every worker answers requests.

    Raises:
        ServiceError: the port cannot be opened (nothing was loaded then), or a worker could not start.
        FourfoldError: the package cannot be loaded.
    """
    job = job or Job()
    if job.workers > 1:
        _check_workers_can_start(predictor, job.workers)
    with _listen(job) as listener:
        serve_on = _serve_in_process if job.workers == 1 else _serve_with_workers
        serve_on(predictor, job, listener, lambda: opened(_url(job, listener)), ready)


@contextmanager
def running(predictor: PredictorOrLoader, job: Job | None = None) -> Iterator[str]:
    """Run the service in a thread of this process for the block; for tests, notebooks and `certify`.

    Args:
        predictor: a predictor, or a function that loads one.
        job: the settings; by default a free port.

    Yields:
        The service's URL, once it answers requests.

    Raises:
        ServiceError: the port cannot be opened, or the job has more than one worker.
        FourfoldError: the package cannot be loaded.
    """
    # The end of the block comes as no surprise: no load balancer has to be told.
    job = replace(job or Job(port=0), notice_seconds=0)
    if job.workers > 1:
        raise ServiceError(f"the service in a thread has one worker; got {job.workers}")
    listener = _listen(job)
    started_or_failed = threading.Event()
    server, failures = _create_server(predictor, job, started_or_failed.set)

    def run() -> None:
        try:
            server.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001  # raised below, in the caller's thread
            failures.append(error)
        finally:
            started_or_failed.set()

    thread = threading.Thread(target=run, name="fourfold-service", daemon=True)
    thread.start()
    try:
        started_or_failed.wait()
        if failures:
            raise failures[0]
        yield _url(job, listener)
    finally:
        server.should_exit = True
        thread.join()


def _check_workers_can_start(predictor: PredictorOrLoader, workers: int) -> None:
    """Refuse several workers in a thread, or without a function that can be sent to them.

    Raises:
        ServiceError: the workers could not start.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ServiceError(f"{workers} workers need the main thread, which takes the signals; use one worker")
    advice = "give serve() what loads the package, such as functools.partial(fourfold.load, 'eta:3')"
    if isinstance(predictor, Predictor):
        raise ServiceError(f"{workers} workers load the package themselves, so a predictor is of no use: {advice}")
    try:
        pickle.dumps(predictor)
    except Exception as error:  # the pickling of a foreign object may raise anything
        raise ServiceError(
            f"workers are processes, and {shorten(predictor)} cannot be sent to one ({error}): {advice}"
        ) from error


def _listen(job: Job) -> socket.socket:
    """Open the port, before anything is loaded, so that a port in use is an error at once."""
    where = f"{job.host}:{job.port}"
    try:
        family, socket_type, protocol, _, address = socket.getaddrinfo(
            job.host, job.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ServiceError(f"cannot listen on {where}: the host is not known ({error}); try 127.0.0.1") from error
    listener = socket.socket(family, socket_type, protocol)
    try:
        if os.name == "posix":  # elsewhere the option would let two services share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(MAX_PENDING_CONNECTIONS)
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


def _uvicorn_config(app: Any, job: Job, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        workers=job.workers,
        lifespan="on",
        http=StrictProtocol,
        ws="none",
        log_config=_ACCESS_LOG if job.access_log else None,
        access_log=job.access_log,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_TIMEOUT_S,
        timeout_graceful_shutdown=job.drain_seconds,
        timeout_worker_healthcheck=WORKER_HEALTH_TIMEOUT_S,
    )


def _create_server(
    predictor: PredictorOrLoader, job: Job, ready: Callable[[], None]
) -> tuple[DrainingServer, list[BaseException]]:
    """Return a server, and a list to which it adds the error that ends it, if one does."""
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    service = Service(predictor, job, ready=ready, failed=failed)
    server = DrainingServer(_uvicorn_config(service.application, job), job.notice_seconds)
    return server, failures


def _serve_in_process(
    predictor: PredictorOrLoader,
    job: Job,
    listener: socket.socket,
    opened: Callable[[], None],
    ready: Callable[[], None],
) -> None:
    server, failures = _create_server(predictor, job, ready)

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    # While it serves, uvicorn handles the signals itself. After the drain it restores these handlers and raises the
    # signal again, which must not end the process.
    with _handle_signals(stop, signal.SIGINT, signal.SIGTERM):
        opened()  # only now: the caller may send a signal as soon as it is told
        server.run(sockets=[listener])
    if failures:
        raise failures[0]


@contextmanager
def _handle_signals(handler: Callable[[int, FrameType | None], None] | None, *signals: int) -> Iterator[None]:
    """Handle signals during the block, and restore their handlers after it; `None` only restores them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread set handlers
        return
    previous_handlers = {number: signal.getsignal(number) for number in signals}
    try:
        for number in signals if handler else ():
            signal.signal(number, handler)
        yield
    finally:
        for number, previous in previous_handlers.items():
            signal.signal(number, previous)


def _serve_with_workers(
    predictor: PredictorOrLoader,
    job: Job,
    listener: socket.socket,
    opened: Callable[[], None],
    ready: Callable[[], None],
) -> None:
    messages: SimpleQueue[_WorkerMessage | None] = multiprocessing.get_context("spawn").SimpleQueue()
    failures: list[FourfoldError] = []

    def receive() -> None:
        starting = job.workers
        while (message := messages.get()) is not None:
            if message.error_class is not None:
                failures.append(_rebuild_error(message.error_class, message.text))
                continue
            starting -= 1
            if starting == 0:  # exactly once: workers that replace dead ones report later
                ready()

    receiver = threading.Thread(target=receive, name="fourfold-workers", daemon=True)
    receiver.start()
    with _handle_signals(None, *SIGNALS):
        app = functools.partial(_create_worker_app, predictor, job, messages, packed_digests())
        try:
            supervisor = Supervisor(_uvicorn_config(app, job, factory=True), [listener], job.notice_seconds)
            opened()
            supervisor.run()
        finally:
            messages.put(None)
            receiver.join()
    if failures:
        raise failures[0]


def _create_worker_app(
    predictor: PredictorOrLoader, job: Job, messages: SimpleQueue[_WorkerMessage | None], packed: Sequence[str]
) -> Starlette:
    """Create the application of one worker, in the worker's process, which may load what its parent has packed."""
    remember_packed(*packed)

    def failed(error: BaseException) -> None:
        error_class = type(error).__name__
        if isinstance(error, FourfoldError):
            messages.put(_WorkerMessage(error_class, str(error)))
        else:
            messages.put(_WorkerMessage("ServiceError", f"the package cannot be loaded: {error_class}: {error}"))
        # Exit at once: no request was accepted yet, and the supervisor would restart a worker of any other status.
        os._exit(STARTUP_FAILURE)

    threading.Thread(target=_end_with_parent, name="fourfold-parent", daemon=True).start()
    return Service(predictor, job, ready=lambda: messages.put(_WorkerMessage()), failed=failed).application


def _end_with_parent() -> None:
    """Stop this worker when its parent has ended: a parent that was killed could not stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _rebuild_error(class_name: str, text: str) -> FourfoldError:
    """Return a worker's error with its class, which gives the exit status, and its message, but without attributes."""
    error_class: type[FourfoldError] = getattr(errors, class_name, ServiceError)
    error = error_class.__new__(error_class)
    BaseException.__init__(error, text)  # not the class's own `__init__`, which builds a message
    return error
