"""The simulated network: hosts, the lines between them, names, and the sockets of every simulated process.

* A process lives on a host (``place``; its own name if nothing is said), a restarted one on the host of its forerunner.
  Hosts have addresses 10.0.0.1, 10.0.0.2, …; loopback addresses and unix sockets never leave their host.
* Between two hosts lie two lines, one per direction, and faults act on lines (``chaos.sim.net.faults``). Inside a host
  TCP has a line to itself, and unix sockets another (``HOST:unix``), which take no time unless a fault says so.
* A process that ends closes its sockets as a kernel does. A host that loses power says nothing to anybody: its peers
  notice when they send something, by a reset once it runs again, by a time-out while it does not.
* Everything that happens is traced with numbers of connections, never with identities of objects.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaos.errors import UsageError
from chaos.rules.link import LinkConditions
from chaos.sim.net.endpoint import Endpoint, system_error
from chaos.sim.net.faults import NetworkFaults
from chaos.sim.net.flow import Flow
from chaos.sim.net.handshake import Handshake
from chaos.sim.net.host import ENDPOINTS_SWEPT_AT, Binding, Host
from chaos.sim.net.line import Line
from chaos.sim.net.listening import Listening
from chaos.sim.net.names import Names
from chaos.sim.net.process_loop import ProcessLoop
from chaos.sim.net.socket_files import OwnSocketFiles
from chaos.sim.net.stream_socket import StreamSocket
from chaos.sim.net.table import SocketTable
from chaos.sim.ports import Kernel, Process, SocketFiles

BETWEEN_HOSTS = LinkConditions(latency_ns=500_000)
WITHIN_HOST = LinkConditions()
UNIX = LinkConditions()
Report = Callable[[str, bool, Mapping[str, Any]], None]


class SimulatedNetwork:
    """The network of one world; implements ``chaos.sim.ports.Network``.

    ``report(name, has_begun, facts)`` is told of each fault when it first does something, and when it is undone after
    that. ``socket_files`` is where the files of unix sockets are; without a disk they exist in the network only.
    """

    def __init__(
        self, kernel: Kernel, *, socket_files: SocketFiles | None = None, report: Report | None = None
    ) -> None:
        self.kernel, self.names = kernel, Names()
        self.faults = NetworkFaults(self)
        self.hosts: dict[str, Host] = {}
        self.unix_listeners: dict[tuple[int, int], Listening] = {}
        self.resolving_ns = 0
        self.between_hosts = BETWEEN_HOSTS
        self.report: Report = report or (lambda _name, _has_begun, _facts: None)
        self._files: SocketFiles = socket_files or OwnSocketFiles(self)
        self._lines: dict[tuple[str, str], Line] = {}
        self._tables: dict[int, SocketTable] = {}
        self._loops: dict[int, ProcessLoop] = {}
        self._places: dict[str, str] = {}
        self._connections = 0

    def __repr__(self) -> str:
        sockets = sum(len(table.sockets) for table in self._tables.values())
        return (
            f"SimulatedNetwork({len(self.hosts)} hosts, {sockets} sockets open, {self._connections} connections made)"
        )

    # For the world.

    def place(self, process_name: str, host_name: str) -> None:
        """Let processes of that name live on a host; say so before they use the network."""
        self._places[process_name] = host_name
        self.host(host_name)

    def host(self, name: str) -> Host:
        """Return a host, made on its first mention."""
        if name not in self.hosts:
            self.hosts[name] = Host(name, f"10.0.{len(self.hosts) // 250}.{len(self.hosts) % 250 + 1}")
            self.names.add(name, self.hosts[name].address)
        return self.hosts[name]

    def line(self, source: str, target: str) -> Line:
        """Return the line from one host to another; within a host, ``target`` may be ``HOST:unix``."""
        key = (source, target)
        if key not in self._lines:
            self._lines[key] = Line(self.kernel, source, target, self._fair(source, target))
        return self._lines[key]

    def unix_line(self, host: str) -> Line:
        """Return the line of a host's unix sockets, both directions."""
        return self.line(host, f"{host}:unix")

    def trace(self, what: str, host: Host, **facts: Any) -> None:
        """Write a line of the trace."""
        self.kernel.trace(what, host=host.name, **facts)

    def table(self, process: Process) -> SocketTable:
        """Return the sockets of a process."""
        if process.number not in self._tables:
            host = self.host(self._places.get(process.name, process.name))
            host.is_up = True
            self._tables[process.number] = SocketTable(self, process, host)
        return self._tables[process.number]

    def endpoints(self, source: str, target: str) -> list[Endpoint]:
        """Return the ends, on ``source``, of its connections with ``target``, oldest first."""
        host = self.host(source)
        return [end for end in host.endpoints.values() if end.outgoing.line is self.line(source, target)]

    def look_again(self, lines: Sequence[Line]) -> None:
        """Let the receivers of these lines look again at what has come."""
        for host in self.hosts.values():
            for end in list(host.endpoints.values()):
                if end.incoming.line in lines:
                    end.changed()

    def reset_all(self, a: str, b: str) -> int:
        """Reset every connection between two hosts at both ends; return how many there were."""
        here = self.endpoints(a, b)
        hit = [end for end in here if not (end.is_reset or end.is_gone) or not (end.peer.is_reset or end.peer.is_gone)]
        for end in hit:
            end.reset_by_peer()
            end.peer.reset_by_peer()
        return len(hit)

    # For sockets.

    def own_address(self, host: Host, wanted: str, family: int) -> str:
        """Return the numeric address to bind to. Raises ``OSError`` or ``socket.gaierror``."""
        if not wanted:
            return "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - inside the simulation
        return self._numeric(host, wanted)

    def make_socket_file(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Make the file of a unix socket. Raises ``OSError``."""
        return self._files.create_socket(process, path)

    def connect(self, client: StreamSocket, address: Any, binding: Binding | None) -> Handshake:
        """Begin to connect over TCP. Raises ``OSError`` where the system would at once."""
        here = client.table.host
        ip, port = self._numeric(here, address[0]), address[1]
        target = here if here.owns(ip) else next((host for host in self.hosts.values() if host.address == ip), None)
        if target is None:
            raise system_error(errno.ENETUNREACH)
        ip = _loopback_of(ip) if ip in ("0.0.0.0", "::") else ip  # noqa: S104 - to it is to oneself
        own = ip if target is here else here.address
        port_of_client = binding.port if binding else here.free_port()
        more = (0, 0) if ":" in ip else ()
        self.trace("net.connect", here, to=f"{ip}:{port}")
        handshake = Handshake(self, client, target, ((own, port_of_client, *more), (ip, port, *more), ip))
        self.kernel.at(self.kernel.now_ns, handshake.ask)
        return handshake

    def connect_unix(self, table: SocketTable, path: str | bytes, own_path: Any) -> Endpoint:
        """Connect to the socket file at ``path``. Raises ``OSError`` as the system would."""
        listening = self.unix_listeners.get(self._files.find_socket(table.process, path))
        if listening is None:
            self.trace("net.connect_failed", table.host, to=os.fsdecode(path), error="ECONNREFUSED")
            raise system_error(errno.ECONNREFUSED)
        if listening.is_full:
            raise system_error(errno.EAGAIN)
        line = self.unix_line(table.host.name)
        client, server = self.connection((table.host, table.host), (own_path, path), (line, line))
        client.credentials = server.credentials = table.credentials
        listening.enqueue(server)
        return client

    def connection(
        self, hosts: tuple[Host, Host], addresses: tuple[Any, Any], lines: tuple[Line, Line]
    ) -> tuple[Endpoint, Endpoint]:
        """Make the two ends of a connection, the client's first."""
        self._forget_settled(hosts)
        self._connections += 1
        number, kernel = self._connections, self.kernel
        client = Endpoint(kernel, hosts[0], number, addresses)
        server = Endpoint(kernel, hosts[1], number, (addresses[1], addresses[0]))
        client.peer, server.peer = server, client
        client.outgoing = server.incoming = Flow(kernel, lines[0], lines[1], client, server)
        server.outgoing = client.incoming = Flow(kernel, lines[1], lines[0], server, client)
        hosts[0].endpoints[2 * number], hosts[1].endpoints[2 * number + 1] = client, server
        self.trace("net.connected", hosts[0], connection=number, to=hosts[1].name)
        return client, server

    # For event loops: the methods of ``asyncio.AbstractEventLoop``, for one process each.

    async def create_connection(
        self, process: Process, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **more: Any
    ) -> tuple[Any, Any]:
        """Connect over TCP (with TLS where ``ssl`` is given)."""
        return await self.loop(process).create_connection(protocol_factory, host, port, **more)

    async def create_server(
        self, process: Process, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **more: Any
    ) -> Any:
        """Listen on TCP; port 0 is any free one."""
        return await self.loop(process).create_server(protocol_factory, host, port, **more)

    async def create_unix_connection(
        self, process: Process, protocol_factory: Callable[[], Any], path: Any = None, **more: Any
    ) -> tuple[Any, Any]:
        """Connect to the socket file at ``path``."""
        return await self.loop(process).create_unix_connection(protocol_factory, path, **more)

    async def create_unix_server(
        self, process: Process, protocol_factory: Callable[[], Any], path: Any = None, **more: Any
    ) -> Any:
        """Listen on a socket file at ``path``, which appears on the simulated disk."""
        return await self.loop(process).create_unix_server(protocol_factory, path, **more)

    async def getaddrinfo(self, process: Process, host: Any, port: Any, **more: Any) -> Sequence[tuple[Any, ...]]:
        """Resolve a name, which takes ``resolving_ns``. Raises ``socket.gaierror``."""
        if self.resolving_ns:
            waiter = process.loop.create_future()
            self.kernel.at(self.kernel.now_ns + self.resolving_ns, lambda: self.kernel.deliver(process, _wake, waiter))
            await waiter
        table = self.table(process)
        failed = self.names.failed
        try:
            return self.names.address_infos(table, host, port, **more)
        finally:
            if self.names.failed > failed:
                self.trace("net.name_failed", table.host, name=str(host))

    def loop(self, process: Process) -> ProcessLoop:
        """Return what carries out every other network method of ``asyncio.AbstractEventLoop`` for a process.

        These are ``start_tls``, ``sendfile``, ``connect_accepted_socket``, ``getnameinfo``, ``sock_accept``,
        ``sock_connect``, ``sock_recv``, ``sock_recv_into``, ``sock_sendall``, ``sock_sendfile``, and ``add_reader``,
        ``remove_reader``, ``add_writer`` and ``remove_writer`` for simulated sockets.
        """
        loop = self._loops.get(process.number)
        if loop is None or loop.real is not process.loop:
            loop = self._loops[process.number] = ProcessLoop(self.table(process), process.loop)
        return loop

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """Close its sockets as its kernel would (or not at all when the power was lost)."""
        table = self._tables.pop(process.number, None)
        loop = self._loops.pop(process.number, None)
        if loop is not None:
            loop.orphan_transports()
        if table is None:
            return
        if power_lost:
            self._tell_those_on_the_same_host(table)
            table.abandon_all()
            table.host.lose_power()
            self._forget_dead_listeners()
        else:
            table.close_all()
        self.trace("net.process_ended", table.host, process=process.name, power_lost=power_lost)

    def _tell_those_on_the_same_host(self, table: SocketTable) -> None:
        """Reset what leads to a process of the same host that goes on: a test's own, which no power loss ends."""
        for one in table.sockets.values():
            endpoint = one.endpoint
            if endpoint is not None and endpoint.peer.host is table.host:
                endpoint.peer.reset_by_peer()
            if one.listening is not None:
                one.listening.vanish()

    def world_ended(self) -> None:
        """Let whatever still is open be nobody's: the world is being cleared away."""
        for loop in self._loops.values():
            loop.orphan_transports()

    def _fair(self, source: str, target: str) -> LinkConditions:
        if target.endswith(":unix"):
            return UNIX
        return WITHIN_HOST if source == target else self.between_hosts

    def _numeric(self, here: Host, name: str) -> str:
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            if name == "localhost":
                return "127.0.0.1"
            return here.address if name == here.name else self.names.address_of(name)

    def _forget_settled(self, hosts: tuple[Host, Host]) -> None:
        """Drop ends that nothing can happen to any more, so that a long run stays small."""
        for host in dict.fromkeys(hosts):
            if len(host.endpoints) < host.sweep_at:
                continue
            over = [key for key, end in host.endpoints.items() if end.is_gone and end.outgoing.is_settled]
            for key in over:
                del host.endpoints[key]
            host.sweep_at = max(ENDPOINTS_SWEPT_AT, 2 * len(host.endpoints))

    def _forget_dead_listeners(self) -> None:
        for identity, listening in list(self.unix_listeners.items()):
            if not listening.is_open:
                del self.unix_listeners[identity]

    def known_hosts(self, *names: str) -> None:
        """Raise ``UsageError`` for a name that is no host's: a fault on a line that nobody uses would never fire."""
        for name in names:
            if name not in self.hosts:
                raise UsageError(f"one of the hosts {', '.join(self.hosts)}", repr(name), "place a process there first")


def _loopback_of(address: str) -> str:
    return "::1" if ":" in address else "127.0.0.1"


def _wake(waiter: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)
