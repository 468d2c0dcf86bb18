"""The event loop's side of the network: every call is handed to the world's network, with the process that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.ports import Network
    from chaos.sim.process import SimProcess

NO_NETWORK = "open the world with a network"


class LoopNetwork:
    """Streams over TCP and unix sockets, names, and what can be done with simulated sockets."""

    process: SimProcess
    kernel: SimKernel

    def _network(self, call: str) -> Network:
        if self.kernel.network is None:
            raise NotSimulatedError(f"loop.{call}() without a network", NO_NETWORK)
        return self.kernel.network

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        """Connect over TCP (with TLS where ``ssl`` is given)."""
        return await self._network("create_connection").create_connection(
            self.process, protocol_factory, host, port, **more
        )

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any
    ) -> asyncio.AbstractServer:
        """Listen on TCP."""
        return await self._network("create_server").create_server(self.process, protocol_factory, host, port, **more)

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **more: Any) -> Any:
        """Connect to a socket file."""
        return await self._network("create_unix_connection").create_unix_connection(
            self.process, protocol_factory, path, **more
        )

    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **more: Any) -> asyncio.AbstractServer:
        """Listen on a socket file."""
        return await self._network("create_unix_server").create_unix_server(
            self.process, protocol_factory, path, **more
        )

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Sequence[tuple[Any, ...]]:
        """Resolve a name."""
        return await self._network("getaddrinfo").getaddrinfo(self.process, host, port, **more)

    async def _of_network(self, call: str, *arguments: Any, **more: Any) -> Any:
        return await getattr(self._network(call).loop(self.process), call)(*arguments, **more)

    async def start_tls(self, *arguments: Any, **more: Any) -> Any:
        """Go on with TLS on a connection."""
        return await self._of_network("start_tls", *arguments, **more)

    async def connect_accepted_socket(self, *arguments: Any, **more: Any) -> Any:
        """Make a transport of a socket that was accepted."""
        return await self._of_network("connect_accepted_socket", *arguments, **more)

    async def getnameinfo(self, *arguments: Any, **more: Any) -> Any:
        """Ask for the name of an address."""
        return await self._of_network("getnameinfo", *arguments, **more)

    async def sendfile(self, *arguments: Any, **more: Any) -> Any:
        """Send a file over a transport."""
        return await self._of_network("sendfile", *arguments, **more)

    async def sock_sendfile(self, *arguments: Any, **more: Any) -> Any:
        """Send a file over a socket."""
        return await self._of_network("sock_sendfile", *arguments, **more)

    async def sock_accept(self, sock: Any) -> Any:
        """Accept a connection."""
        return await self._of_network("sock_accept", sock)

    async def sock_connect(self, sock: Any, address: Any) -> Any:
        """Connect a socket."""
        return await self._of_network("sock_connect", sock, address)

    async def sock_recv(self, sock: Any, nbytes: int) -> Any:
        """Receive from a socket."""
        return await self._of_network("sock_recv", sock, nbytes)

    async def sock_recv_into(self, sock: Any, buf: Any) -> Any:
        """Receive from a socket into a buffer."""
        return await self._of_network("sock_recv_into", sock, buf)

    async def sock_sendall(self, sock: Any, data: Any) -> Any:
        """Send all of ``data`` over a socket."""
        return await self._of_network("sock_sendall", sock, data)

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        """Call ``callback`` while a simulated socket is readable."""
        self._network("add_reader").loop(self.process).add_reader(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """Call it no more."""
        return self._network("remove_reader").loop(self.process).remove_reader(fd)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        """Call ``callback`` while a simulated socket is writable."""
        self._network("add_writer").loop(self.process).add_writer(fd, callback, *args)

    def remove_writer(self, fd: Any) -> bool:
        """Call it no more."""
        return self._network("remove_writer").loop(self.process).remove_writer(fd)
