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
    """Streams over TCP and unix sockets, and names."""

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

    async def start_tls(self, transport: Any, protocol: Any, sslcontext: Any, **more: Any) -> Any:
        """Go on with TLS on a connection; where the network can."""
        network: Any = self._network("start_tls")
        if not hasattr(network, "start_tls"):
            raise NotSimulatedError("loop.start_tls()", "connect with ssl= instead")
        return await network.start_tls(self.process, transport, protocol, sslcontext, **more)
