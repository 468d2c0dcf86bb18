"""What the parts of the simulated world ask of each other; the kernel, the network and the disk meet only here.

* Time is an integer of virtual nanoseconds since the world began; it never goes back.
* Every decision is a number drawn from a named stream, and 0 is always the harmless choice: a schedule in which every
  draw gives 0 is the friendliest one, which is what shrinking goes towards. Dropping one stream shifts no other.
* A callback of a *process* runs in its event loop and is dropped when the process has died. A callback of the *world*
  (a packet on the wire, a fault, a timer of the plan) belongs to nobody and runs in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Timer(Protocol):
    """Something that will happen, unless it is called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it has happened."""
        ...


class Choices(Protocol):
    """The world's decisions, from named streams; 0 is the harmless one."""

    def below(self, stream: str, count: int) -> int:
        """Return a whole number from 0 to ``count`` - 1."""
        ...

    def chance(self, stream: str, probability: float) -> bool:
        """Return true with that probability (0 to 1)."""
        ...

    def between(self, stream: str, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included; the harmless one is ``low``."""
        ...


class Process(Protocol):
    """A simulated process: one event loop, its threads, its open descriptors and sockets. Numbers are never reused."""

    @property
    def number(self) -> int:
        """Its number, which is also what ``os.getpid`` gives inside it."""
        ...

    @property
    def name(self) -> str:
        """What it is called in traces."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether it still runs: false from the instant of a kill, a power loss or its end."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Its event loop."""
        ...


class Kernel(Protocol):
    """Time, decisions and turns: what every part of the simulated world stands on."""

    @property
    def now_ns(self) -> int:
        """The virtual time."""
        ...

    @property
    def choices(self) -> Choices:
        """Where decisions are drawn."""
        ...

    @property
    def current(self) -> Process | None:
        """The process whose code runs at this instant; None for the world's own (and the tool's) code."""
        ...

    def at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` as the world's own at ``when_ns`` (at once, in order, if that has passed)."""
        ...

    def deliver(self, process: Process, callback: Callable[..., None], *arguments: Any) -> None:
        """Run ``callback`` in the loop of ``process`` on its next turn, in order; dropped if it is dead by then."""
        ...

    def deliver_ready(self, process: Process, callback: Callable[..., None], *arguments: Any) -> None:
        """Deliver that a socket is ready: after what the timers of this very instant ask for, if they are due already.

        asyncio looks at its sockets, then at its timers: a timer that comes first has its callbacks run before it looks
        at the sockets again.
        """
        ...

    def pause_point(self, what: str) -> None:
        """Let others run here: called by code of a process inside a synchronous call, such as one to the disk.

        In a thread of the process other threads and the loop may have their turns before it returns. A crash planned
        for this point leaves the stack for good: then it never returns, and no ``finally`` runs.
        """
        ...

    def block(self, until_ns: int, what: str) -> None:
        """Hold up the calling thread until the virtual time has come, as a slow system call would.

        On the loop's own thread the whole process stands still meanwhile; other processes go on.
        """
        ...

    def trace(self, what: str, **facts: Any) -> None:
        """Write a line of the trace, which two runs of one seed must have in common: no ids, no addresses."""
        ...


class Network(Protocol):
    """What event loops ask of the network; the methods are those of ``asyncio.AbstractEventLoop``."""

    async def create_connection(
        self, process: Process, protocol_factory: Callable[[], asyncio.BaseProtocol], host: Any, port: Any, **more: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect over TCP (with TLS where ``ssl`` is given)."""
        ...

    async def create_server(
        self, process: Process, protocol_factory: Callable[[], asyncio.BaseProtocol], host: Any, port: Any, **more: Any
    ) -> asyncio.AbstractServer:
        """Listen on TCP; port 0 is any free one."""
        ...

    async def create_unix_connection(
        self, process: Process, protocol_factory: Callable[[], asyncio.BaseProtocol], path: Any, **more: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to the socket file at ``path``."""
        ...

    async def create_unix_server(
        self, process: Process, protocol_factory: Callable[[], asyncio.BaseProtocol], path: Any, **more: Any
    ) -> asyncio.AbstractServer:
        """Listen on a socket file at ``path``, which appears on the simulated disk."""
        ...

    async def getaddrinfo(self, process: Process, host: Any, port: Any, **more: Any) -> Sequence[tuple[Any, ...]]:
        """Resolve a name."""
        ...

    def loop(self, process: Process) -> asyncio.AbstractEventLoop:
        """Return what carries out every other network method of ``asyncio.AbstractEventLoop`` for ``process``.

        An event loop hands these over to it, with their arguments as they are: ``start_tls``, ``sendfile``,
        ``connect_accepted_socket``, ``getnameinfo``, ``sock_accept``, ``sock_connect``, ``sock_recv``,
        ``sock_recv_into``, ``sock_sendall``, ``sock_sendfile``, ``add_reader``, ``remove_reader``, ``add_writer`` and
        ``remove_writer``. What it cannot do it refuses with an error that says so.
        """
        ...

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """Close its sockets as its kernel would (or not at all when the power was lost)."""
        ...

    def world_ended(self) -> None:
        """Let whatever still is open be nobody's: the world is being cleared away."""
        ...


class SocketFiles(Protocol):
    """What the network asks of the disk: the files of unix sockets. Paths are as the process gave them."""

    def create_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Make a socket file as ``bind`` does and return its device and inode.

        Raises ``OSError`` as the system would: EADDRINUSE where something is, ENOENT without the folder, EACCES, EROFS.
        """
        ...

    def find_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Return device and inode of the file at ``path`` as ``connect`` would find it.

        Raises ``OSError``: ENOENT, EACCES, and ECONNREFUSED where there is a file of another kind.
        """
        ...


class Disk(Protocol):
    """What the kernel tells the disk."""

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """Close its descriptors and drop its locks; after a power loss keep what was durable, and draw the rest."""
        ...
