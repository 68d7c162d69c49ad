"""Run several workers that share a port, with uvicorn's supervisor and our server in each of them."""

from __future__ import annotations

import socket
import time
from functools import cached_property

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from fourfold.service.draining import DrainingServer, refuse_new_connections

__all__ = ["STARTUP_FAILURE", "Supervisor"]

#: How often the supervisor looks whether its workers have ended, in seconds.
_TICK_S = 0.05


class _Worker(Process):
    """Run one worker; its own process unpickles this."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], notice_s: float) -> None:
        self._notice_s = notice_s
        super().__init__(config, sockets)

    @cached_property
    def server(self) -> DrainingServer:
        """Return the worker's server."""
        return DrainingServer(self.config, self._notice_s, shares_port=True)


class Supervisor(Multiprocess):
    """Start workers, replace those that die, and stop them.

    Args:
        config: uvicorn's settings, with the number of workers.
        sockets: the listening sockets.
        notice_s: how long a worker goes on after a signal, in seconds, while it says that it is not ready.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], notice_s: float) -> None:
        self._notice_s = notice_s
        super().__init__(config, sockets)

    def init_processes(self) -> None:
        """Start every worker."""
        self.processes = [self._start() for _ in range(self.processes_num)]

    def terminate_all(self) -> None:
        """Tell every worker to stop, and end the port when their notice is over."""
        super().terminate_all()
        end = time.monotonic() + self._notice_s
        while time.monotonic() < end and any(process.process.is_alive() for process in self.processes):
            time.sleep(_TICK_S)
        for listener in self.sockets:
            refuse_new_connections(listener)
            listener.close()

    def keep_subprocess_alive(self) -> None:
        """Replace each worker that has died or does not answer; stop where one cannot start."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                self.should_exit.set()  # another one would fail as well
                return
            self.processes[index] = self._start()

    def restart_all(self) -> None:
        """Replace each worker on SIGHUP, the old one once the new one serves."""
        for index, process in enumerate(self.processes):
            replacement = self._start()
            if not replacement.wait_until_ready(self.config.timeout_worker_healthcheck, self.should_exit):
                replacement.kill()
                replacement.join()
                return
            process.terminate()
            process.join()
            self.processes[index] = replacement

    def handle_ttin(self) -> None:
        """Start one more worker on SIGTTIN."""
        self.processes_num += 1
        self.processes.append(self._start())

    def _start(self) -> Process:
        process = _Worker(self.config, self.sockets, self._notice_s)
        process.start()
        return process
