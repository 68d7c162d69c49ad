"""Run uvicorn's server so that a stop loses no request whose bytes have arrived.

A stop has three parts. First the service says that it is not ready and goes on, so that load balancers look elsewhere;
every reply closes its connection now. Then the port is closed, after every connection that was begun has been accepted.
Last, the connections end: those with a request after its reply, idle ones after a moment in which a request that was on
its way can still arrive.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import select
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

import uvicorn

from fourfold.service.application import STOPPING
from fourfold.service.protocol import StrictProtocol

__all__ = ["DrainingServer", "refuse_new_connections", "refuses_new_connections"]

#: How long handshakes that are under way may take, in seconds, before the port is closed.
HANDSHAKE_S = 0.1
#: How long the supervisor may take to let the port take no new connections, in seconds.
SUPERVISOR_S = 2.0
#: How long the connections that were made may take to be accepted, in seconds.
ACCEPT_S = 2.0
#: How long an idle connection is kept after the port has been closed, in seconds.
IDLE_GRACE_S = 1.0
#: How long requests that were cut off may take to tell their clients, in seconds.
CUT_OFF_S = 1.0
#: How often the end of the requests is looked for, in seconds.
_TICK_S = 0.05

#: Linux's number of the option that filters a socket's packets; where it is read, it says how long the filter is.
_SO_FILTER = 26
#: A program for that filter: drop what has SYN and not ACK among the flags of its TCP header, keep the rest.
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load the byte at 13: the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK of them
    (0x15, 0, 1, 0x02),  # only SYN: go on, else skip one
    (0x06, 0, 0, 0),  # keep no byte of the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all of it
)

_log = logging.getLogger("uvicorn.error")


class DrainingServer(uvicorn.Server):
    """Serve, watch over slow clients, and stop without losing requests.

    Args:
        config: uvicorn's settings.
        notice_s: how long the service goes on after a signal, in seconds, while `/health/ready` answers 503.
        shares_port: whether other processes accept connections on the port, and may go on when this one stops.
    """

    def __init__(self, config: uvicorn.Config, notice_s: float, *, shares_port: bool = False) -> None:
        super().__init__(config)
        self._notice_s = notice_s
        self._shares_port = shares_port

    @property
    def _connections(self) -> list[StrictProtocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, StrictProtocol)]

    async def on_tick(self, counter: int) -> bool:
        """Look after slow clients, once a second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in self._connections:
                connection.check_time(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: say so, close the port, and end the connections."""
        loop = asyncio.get_running_loop()
        drain_s = self.config.timeout_graceful_shutdown
        started = loop.time()
        self.lifespan.state[STOPPING] = True
        for connection in self._connections:
            connection.shutdown()
        await self._wait(self._notice_s)
        await self._close_port(sockets or [])
        end = max(loop.time(), started + drain_s) if drain_s is not None else float("inf")
        await self._end_connections(loop.time() + IDLE_GRACE_S, end)
        await self._cut_off()
        for connection in self._connections:
            connection.transport.abort()
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _wait(self, seconds: float) -> None:
        """Wait, unless a second Ctrl-C asks to end at once."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self.force_exit and (left := end - loop.time()) > 0:  # noqa: ASYNC110  # a signal sets it
            await asyncio.sleep(min(left, _TICK_S))

    async def _close_port(self, listeners: Sequence[socket.socket]) -> None:
        """Close the port once every connection that was begun is accepted."""
        loop = asyncio.get_running_loop()
        waiting = select.poll()
        for listener in listeners:
            waiting.register(listener, select.POLLIN)
            if not self._shares_port:
                refuse_new_connections(listener)
        if self._shares_port:
            # The supervisor does it where all stop. Where it does not, the others accept what this one does not.
            end = loop.time() + SUPERVISOR_S
            while not all(refuses_new_connections(listener) for listener in listeners) and loop.time() < end:
                await self._wait(_TICK_S)
        await self._wait(HANDSHAKE_S)
        end = loop.time() + ACCEPT_S
        while waiting.poll(0) and loop.time() < end and not self.force_exit:  # noqa: ASYNC110  # the system knows
            await asyncio.sleep(0)  # the loop accepts them
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()

    async def _end_connections(self, idle_end: float, end: float) -> None:
        """Wait until every connection has ended; close those that are idle after a moment."""
        loop = asyncio.get_running_loop()
        counter = 0
        while (self.server_state.connections or self.server_state.tasks) and not self.force_exit:
            now = loop.time()
            if now >= end:
                return
            if now >= idle_end:
                self._close_idle()
            if counter % round(1 / _TICK_S) == 0:
                for connection in self._connections:
                    connection.check_time(now)
            counter += 1
            await asyncio.sleep(_TICK_S)

    def _close_idle(self) -> None:
        """Close the connections that are idle, except where bytes have arrived that the loop has not read yet."""
        idle = {connection.fileno(): connection for connection in self._connections if connection.is_idle}
        arrived = select.poll()
        for number in idle:
            arrived.register(number, select.POLLIN)
        with_bytes = {number for number, _ in arrived.poll(0)}
        for number, connection in idle.items():
            if number not in with_bytes:
                connection.transport.close_now()

    async def _cut_off(self) -> None:
        """Cancel the requests that are left, and let their clients be told."""
        tasks = list(self.server_state.tasks)
        if not tasks:
            return
        _log.error("Cancel %s running task(s), timeout graceful shutdown exceeded", len(tasks))
        for task in tasks:
            task.cancel(msg="the time to drain is over")
        loop = asyncio.get_running_loop()
        end = loop.time() + CUT_OFF_S
        while self.server_state.connections and loop.time() < end and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_S)


def refuse_new_connections(listener: socket.socket) -> None:
    """Let a listening socket take no new connections, while those that are being made can complete.

    A socket that is closed resets what its queue still holds, and one could enter the queue after the last look at it.
    Does nothing where the system cannot: a connection that is made in the very moment of the closing may then be reset.
    """
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(program)
    option = struct.pack("HL", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    with suppress(OSError):  # a sandbox may forbid it
        listener.setsockopt(socket.SOL_SOCKET, _SO_FILTER, option)


def refuses_new_connections(listener: socket.socket) -> bool:
    """Return whether `refuse_new_connections` has been called for a socket, by any process; true where nobody can."""
    if sys.platform != "linux":
        return True
    try:
        return listener.getsockopt(socket.SOL_SOCKET, _SO_FILTER) == len(_DROP_NEW_CONNECTIONS)
    except OSError:
        return True
