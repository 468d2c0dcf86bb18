"""asyncio's own network code over simulated sockets: what an event loop promises about connections, to the letter.

``ProcessLoop`` inherits everything about connections, servers, TLS and ``sock_…`` from ``asyncio.SelectorEventLoop``
and hands everything about time, callbacks and tasks to the simulated loop of its process. It never runs. So transports,
flow control, servers and their differences from one Python version to the next are CPython's, not an imitation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chaos.sim.net.sockets import SimulatedSocket

if TYPE_CHECKING:
    from chaos.sim.net.table import SocketTable


class ProcessLoop(asyncio.SelectorEventLoop):
    """The network half of a simulated process's event loop."""

    def __init__(self, table: SocketTable, real: asyncio.AbstractEventLoop) -> None:
        self._table, self.real = table, real
        super().__init__(table.selector)

    def __repr__(self) -> str:
        return f"ProcessLoop({self._table!r})"

    def __del__(self) -> None:  # The inherited one complains of a loop that was not closed; this one has nothing open.
        pass

    def close(self) -> None:
        """Close nothing: the process's own loop is closed elsewhere."""

    def orphan_transports(self) -> None:
        """Silence the transports of a dead process: their destructors would warn of what nobody is left to close."""
        transports: Any = vars(self)["_transports"]
        for transport in list(transports.values()):
            transport._sock, transport._closing = None, True  # noqa: SLF001 - what the destructors look at
            encrypted = getattr(transport.get_protocol(), "_app_transport", None)
            if encrypted is not None:
                encrypted._closed = True  # noqa: SLF001 - as above

    def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        """Ask the simulated names."""
        return self._table.network.getaddrinfo(self._table.process, host, port, **more)

    # What the simulated loop does.

    def is_closed(self) -> bool:
        """Return whether the process's loop is closed."""
        return self.real.is_closed()

    def get_debug(self) -> bool:
        """Return whether the process's loop is in debug mode."""
        return self.real.get_debug()

    def time(self) -> float:
        """Return the virtual time."""
        return self.real.time()

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Run it in the process's next turn."""
        return self.real.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Run it later."""
        return self.real.call_later(delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Run it at a time."""
        return self.real.call_at(when, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of the process's loop."""
        return self.real.create_future()

    def create_task(self, coro: Any, **more: Any) -> Any:
        """Start a task in the process's loop."""
        return self.real.create_task(coro, **more)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run it in a thread of the process."""
        return self.real.run_in_executor(executor, func, *args)

    def call_exception_handler(self, context: Any) -> None:
        """Tell the process's handler."""
        self.real.call_exception_handler(context)

    # What the real one would do with real descriptors.

    def _make_self_pipe(self) -> None:
        """Nothing wakes this loop."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _sock_read_done(self, fd: int, fut: Any, handle: Any = None) -> None:  # noqa: ARG002 - as it is called
        """Stop waiting for what has come; a transport may be there already, if the waiting task had its turn first."""
        if (key := self._table.selector.get_map().get(fd)) is not None and key.data[0] is handle:
            self._remove_reader(fd)  # type: ignore[attr-defined]

    def _sock_write_done(self, fd: int, fut: Any, handle: Any = None) -> None:  # noqa: ARG002 - as it is called
        """Stop waiting for room, or for a connection; as above."""
        if (key := self._table.selector.get_map().get(fd)) is not None and key.data[1] is handle:
            self._remove_writer(fd)  # type: ignore[attr-defined]

    async def _sock_sendfile_native(self, *_arguments: Any) -> int:
        raise asyncio.SendfileNotAvailableError("no sendfile in the simulation; asyncio copies instead")

    def _make_ssl_transport(self, rawsock: Any, *arguments: Any, **more: Any) -> Any:
        self._mark_opaque(rawsock)
        return super()._make_ssl_transport(rawsock, *arguments, **more)  # type: ignore[misc]

    async def start_tls(self, transport: Any, *arguments: Any, **more: Any) -> Any:
        """Speak TLS on a connection from now on."""
        self._mark_opaque(transport.get_extra_info("socket")._sock)  # noqa: SLF001 - asyncio's wrapper of our socket
        return await super().start_tls(transport, *arguments, **more)

    def _mark_opaque(self, rawsock: Any) -> None:
        """Keep what is sent out of the trace: encrypted bytes are random, and no two runs have them in common."""
        if isinstance(rawsock, SimulatedSocket) and rawsock.kernel_socket.endpoint is not None:
            rawsock.kernel_socket.endpoint.is_opaque = True

    async def create_server(self, *arguments: Any, **more: Any) -> Any:
        """Listen on TCP."""
        return self._theirs(await super().create_server(*arguments, **more))

    async def create_unix_server(self, *arguments: Any, **more: Any) -> Any:
        """Listen on a socket file."""
        return self._theirs(await super().create_unix_server(*arguments, **more))

    def _theirs(self, server: Any) -> Any:
        real = self.real
        server.get_loop = lambda: real  # It was told this object; whoever asks means the loop that runs.
        return server
