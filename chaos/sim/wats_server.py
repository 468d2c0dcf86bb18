"""The WATS server of a simulated world: the very lines of the live one, as a coroutine of a simulated process.

How to use it::

    kernel = open_kernel(seed)
    network = add_network(kernel)
    server = SimulatedWatsServer(kernel, network, history)      # host "wats", port 80
    with kernel:
        server.start()                                          # a process of its own; it listens in its first turns
        kernel.start("director", play)                          # whose main awaits ``server.ready()`` first
        kernel.run()

* ``server.url`` is ``http://wats:80``, to be given to the service; ``network.place("service", "station")`` puts the
  service on another host.
* Inside the director: ``await server.misbehave({"action": "hang_after_body", "times": 1})``, ``saw``, ``go_down``,
  ``come_up``, ``observe`` as in the live world (``chaos.protocols.Server``). There is no control port: the methods act
  on the server itself, in its own process. ``await server.release()`` lets hanging requests go on.
* ``server.deliveries_now()`` and ``server.memory`` can be read at any time, also after the run and by code outside.
* What it has taken dies with its process; a server that is only away is ``go_down`` and ``come_up``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chaos.errors import DeadlineError
from chaos.history import History
from chaos.rules.wats_server import Rule, rules_from_data
from chaos.sim.errands import run_in
from chaos.sim.net.sockets import SimulatedSocket
from chaos.wats_server import EventKind, ReportDeliveries, ReportServer, ServerEvent, ServerSettings
from chaos.wats_server.events import Wanted
from chaos.wats_server.memory import ServerMemory
from chaos.wats_server.traces import RequestTrace
from chaos.worlds.request_facts import observe_requests
from chaos.worlds.server_calls import ServerCalls

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.net.network import SimulatedNetwork
    from chaos.sim.process import SimProcess

READY_LIMIT_S = 10.0


class SimulatedWatsServer(ServerCalls):
    """See the module. ``host`` is the name of its host and of its process."""

    def __init__(
        self,
        kernel: SimKernel,
        network: SimulatedNetwork,
        history: History,
        *,
        host: str = "wats",
        port: int = 80,
        settings: ServerSettings | None = None,
    ) -> None:
        super().__init__(history)
        self.url = f"http://{host}:{port}"
        self.process: SimProcess | None = None
        self._kernel, self._name = kernel, host
        self._server = ReportServer(
            network.host(host).address, port, settings=settings or ServerSettings(), watch=SimulatedPeerWatch
        )
        self._is_ready = False

    def __repr__(self) -> str:
        return f"SimulatedWatsServer({self.url}, {self._server!r})"

    def start(self) -> SimProcess:
        """Start its process, and return it."""
        self.process = self._kernel.start(self._name, self._serve)
        return self.process

    async def ready(self, limit_s: float = READY_LIMIT_S) -> None:
        """Return once it listens. Raises ``DeadlineError``."""
        ends_at = asyncio.get_running_loop().time() + limit_s
        while not self._is_ready:
            if asyncio.get_running_loop().time() >= ends_at:
                raise DeadlineError("the WATS server to listen", limit_s, repr(self.process))
            await asyncio.sleep(0.001)

    @property
    def memory(self) -> ServerMemory:
        """Return everything that it remembers; from its first turn on."""
        return self._server.memory

    def deliveries_now(self) -> dict[str, ReportDeliveries]:
        """Return what it knows of each report id, in the order in which the ids first came."""
        return {report.report_id: report for report in self.memory.deliveries.all()}

    def body(self, report_id: str) -> bytes | None:
        """Return the stored bytes of a report."""
        return self.memory.deliveries.body(report_id)

    async def release(self, *, report_id: str | None = None, rule: str | None = None) -> int:
        """Let the hanging requests go on (of that report and rule label, where given); return how many there were."""

        async def release() -> int:
            return self.memory.gates.release(report_id, rule)

        return await run_in(self._living(), release)

    async def set_rules(self, rules: Sequence[Rule | Mapping[str, Any]]) -> int:
        """Replace the rules; return the number of the event that marks the change. Raises ``UsageError``."""
        parsed = rules_from_data([rule.as_data() if isinstance(rule, Rule) else dict(rule) for rule in rules])

        async def replace() -> int:
            return self.memory.set_rules(parsed).seq

        return await run_in(self._living(), replace)

    def events(self, kind: str) -> list[ServerEvent]:
        """Return what it saw of that kind since it was started, oldest first."""
        return self.memory.events.find(Wanted(0, EventKind(kind), None), 1_000_000)

    async def wait_for(self, event: str, report_id: str | None, after: int, limit_s: float) -> None:
        """Return once there is such an event above ``after``. Raises ``DeadlineError``."""
        wanted = Wanted(after, EventKind(event), report_id)
        if not await run_in(self._living(), lambda: self.memory.events.wait(wanted, 1, limit_s)):
            seen = self.memory.events.find(Wanted(after, None, report_id), 1000)
            words = ", ".join(str(one.kind) for one in seen[-8:])
            raise DeadlineError(f"the event {event}", limit_s, f"{len(seen)} events ending in {words or 'none'}")

    async def listen(self, *, on: bool) -> None:
        """Open or close the data port; closing cuts its connections."""
        await run_in(self._living(), lambda: self._server.listen(on=on))

    async def rules_fired(self, after: int) -> Sequence[ServerEvent]:
        """Return the events above ``after`` that say that a rule has fired."""
        return self.memory.events.find(Wanted(after, EventKind.RULE_FIRED, None), 1_000_000)

    async def deliveries(self) -> Mapping[str, ReportDeliveries]:
        """Return what it knows of each report id."""
        return self.deliveries_now()

    def exchanges(self, history: History) -> list[dict[str, Any]]:
        """Return every upload that came so far: its report, when it began and was read whole and ended, its status."""
        return [_exchange(trace, history) for trace in self.memory.traces.all() if trace.report_id is not None]

    def tell_requests(self) -> None:
        """Observe ``requests``; can be called from outside, once the run has ended."""
        if self._is_ready:
            observe_requests(self._history, self.memory.traces.all())

    async def _serve(self) -> None:
        async with self._server:
            self._is_ready = True
            await asyncio.get_running_loop().create_future()  # Until it is killed or stopped.

    def _living(self) -> SimProcess:
        assert self.process is not None, "start the server first"
        return self.process


class SimulatedPeerWatch:
    """Notices that a peer has gone, as epoll does for the live server."""

    def __repr__(self) -> str:
        return "SimulatedPeerWatch()"

    def close(self) -> None:
        """Nothing was lent."""

    @contextmanager
    def watching(self, transport: asyncio.BaseTransport, on_gone: Callable[[], None]) -> Iterator[None]:
        """Call ``on_gone`` (perhaps more than once) when the peer closes or resets the connection in this block."""
        wrapped = transport.get_extra_info("socket")
        watched = getattr(wrapped, "_sock", wrapped)
        assert isinstance(watched, SimulatedSocket), "every connection of a simulated process is simulated"
        endpoint = watched.kernel_socket.endpoint
        if transport.is_closing() or endpoint is None or endpoint.peer_has_left:
            on_gone()
            yield
            return
        table = watched.kernel_socket.table

        def tell() -> None:
            table.network.kernel.deliver(table.process, on_gone)

        endpoint.on_peer_left.append(tell)
        try:
            yield
        finally:
            endpoint.on_peer_left.remove(tell)


def _exchange(trace: RequestTrace, history: History) -> dict[str, Any]:
    """Return an upload as checkers need it. ``status`` is None while no whole answer was sent."""
    times = {kind: history.elapsed_ns(time_ns) for kind, time_ns in trace.times_ns.items()}
    return {
        "report_id": trace.report_id,
        "began_ns": min(times.values()),
        "read_ns": times.get(EventKind.BODY_READ),
        "ended_ns": max(times.values()),
        "status": trace.status if EventKind.ANSWERED in times else None,
        "rule": trace.rule,
    }
