"""What can go wrong with the network: each fault acts while its context is open or at planned times, and counts itself.

* ``a`` and ``b`` are names of hosts. A fault acts in both directions, or with ``one_way`` only on what ``a`` sends to
  ``b``. A host and itself are its TCP connections within the host; ``HOST`` and ``HOST:unix`` its unix sockets, to
  which only happens what can: delays, slow and sliced streams, a peer that does not read, an end after so many bytes.
* ``fired`` counts how often it really did something. The first time, and when it is undone after that, the network's
  ``report`` is told, with the facts; what never fired is never reported.
* Used as ``with faults.partition("station", "wats"):`` or as ``faults.partition(…).at(12.5, for_s=30)``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from chaos.errors import UsageError
from chaos.rules.link import SECOND_NS, Ending, LinkConditions
from chaos.sim.net.names import ANY_NAME, TRY_AGAIN

if TYPE_CHECKING:
    from chaos.sim.net.line import Line
    from chaos.sim.net.network import SimulatedNetwork

_POSSIBLE_ON_UNIX = ("delay", "slow", "slice", "unread", "end")


class NetworkFault:
    """One fault: a context manager, or planned with ``at``. May be begun and ended again and again."""

    def __init__(self, network: SimulatedNetwork, name: str, facts: dict[str, Any]) -> None:
        self.name, self.facts = f"network.{name}", facts
        self.fired = 0
        self.is_active = False
        self._network = network
        self._fired_before = 0

    def __repr__(self) -> str:
        facts = ", ".join(f"{key} {value}" for key, value in self.facts.items())
        return f"{type(self).__name__}({self.name}, {facts}, {'active, ' if self.is_active else ''}fired {self.fired})"

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def begin(self) -> None:
        """Act from now on (harmless to repeat)."""
        if not self.is_active:
            self.is_active, self._fired_before = True, self.fired
            self._network.kernel.trace(f"{self.name}.begins", **self.facts)
            self._act()

    def end(self) -> None:
        """Act no more (harmless to repeat)."""
        if self.is_active:
            self.is_active = False
            self._undo()
            self._network.kernel.trace(f"{self.name}.ends", fired=self.fired)
            if self.fired > self._fired_before:
                self._network.report(self.name, False, {**self.facts, "times": self.fired - self._fired_before})

    def at(self, start_s: float, *, for_s: float | None = None) -> Self:
        """Begin ``start_s`` seconds after the world's beginning, and end after ``for_s`` seconds (None: never)."""
        start_ns = round(start_s * SECOND_NS)
        self._network.kernel.at(start_ns, self.begin)
        if for_s is not None:
            self._network.kernel.at(start_ns + round(for_s * SECOND_NS), self.end)
        return self

    def fire(self) -> None:
        """Count that it did something."""
        self.fired += 1
        if self.fired == self._fired_before + 1:
            self._network.kernel.trace(f"{self.name}.fired", **self.facts)
            self._network.report(self.name, True, dict(self.facts))

    def _act(self) -> None:
        raise NotImplementedError

    def _undo(self) -> None:
        """Most have nothing to undo but that they act."""


class LineFault(NetworkFault):
    """A fault that changes the conditions of lines; ``effect`` is the word by which a line says that it took effect."""

    def __init__(
        self,
        network: SimulatedNetwork,
        name: str,
        facts: dict[str, Any],
        *,
        lines: list[Line],
        effect: str,
        conditions: LinkConditions,
    ) -> None:
        super().__init__(network, name, facts)
        self.effect, self.conditions = effect, conditions
        self._lines = lines

    def _act(self) -> None:
        for line in self._lines:
            line.add(self)

    def _undo(self) -> None:
        for line in self._lines:
            line.remove(self)
        if self.conditions.is_unread:
            self._network.look_again(self._lines)


class MomentaryFault(NetworkFault):
    """A fault that happens in one moment, ``happen``, which returns how many it hit."""

    def __init__(
        self, network: SimulatedNetwork, name: str, facts: dict[str, Any], *, happen: Callable[[], int]
    ) -> None:
        super().__init__(network, name, facts)
        self._happen = happen

    def _act(self) -> None:
        for _ in range(self._happen()):
            self.fire()


class NameFault(NetworkFault):
    """A name (or ``*``, any) that cannot be resolved."""

    def _act(self) -> None:
        self._network.names.fail(self.facts["host"], self.facts["error"], self.fire)

    def _undo(self) -> None:
        self._network.names.heal(self.facts["host"])


class NetworkFaults:
    """Makes the faults of one network. Every method raises ``UsageError`` for a host that there is not."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network

    def __repr__(self) -> str:
        return f"NetworkFaults({self._network!r})"

    def delay(self, a: str, b: str, *, by_s: float, jitter_s: float = 0, one_way: bool = False) -> LineFault:
        """Let everything take longer: ``by_s``, and a draw up to ``jitter_s`` on top, per piece."""
        more = LinkConditions(latency_ns=_ns(by_s), jitter_ns=_ns(jitter_s))
        return self._on_lines("delay", "delay", a, b, one_way, more, by_s=by_s, jitter_s=jitter_s)

    def bandwidth(self, a: str, b: str, *, bytes_per_s: int, one_way: bool = False) -> LineFault:
        """Let a line carry no more than that, all its connections together."""
        more = LinkConditions(bytes_per_s=_positive(bytes_per_s, "bytes_per_s"))
        return self._on_lines("bandwidth", "slow", a, b, one_way, more, bytes_per_s=bytes_per_s)

    def drip(self, a: str, b: str, *, every_s: float, piece_bytes: int = 1, one_way: bool = False) -> LineFault:
        """Let only so many bytes through at a time, with a pause between two such pieces."""
        more = LinkConditions(piece_bytes=_positive(piece_bytes, "piece_bytes"), piece_ns=_ns(every_s))
        return self._on_lines("drip", "slow", a, b, one_way, more, every_s=every_s, piece_bytes=piece_bytes)

    def slices(self, a: str, b: str, *, largest_bytes: int = 1024, one_way: bool = False) -> LineFault:
        """Let streams come in pieces of any length from 1 to ``largest_bytes``."""
        more = LinkConditions(piece_bytes=_positive(largest_bytes, "largest_bytes"), slices=True)
        return self._on_lines("slices", "slice", a, b, one_way, more, largest_bytes=largest_bytes)

    def loss(self, a: str, b: str, *, probability: float, one_way: bool = False) -> LineFault:
        """Lose pieces with that probability; they come later, for TCP sends them again."""
        if not 0 < probability <= 1:
            raise UsageError("a probability above 0, up to 1", str(probability), "leave the fault out for none")
        more = LinkConditions(loss=probability)
        return self._on_lines("loss", "loss", a, b, one_way, more, probability=probability)

    def partition(self, a: str, b: str, *, one_way: bool = False) -> LineFault:
        """Let nothing pass: connections stay as they are, and time out in the end."""
        return self._on_lines("partition", "cut", a, b, one_way, LinkConditions(is_cut=True))

    def black_hole(self, a: str, b: str, *, one_way: bool = False) -> LineFault:
        """Take everything that is sent, acknowledge it, and deliver nothing; connections are made as ever."""
        return self._on_lines("black_hole", "swallow", a, b, one_way, LinkConditions(swallows=True))

    def unread(self, a: str, b: str) -> LineFault:
        """Let ``b`` read nothing of what ``a`` sends, so that the buffers of ``a`` fill."""
        return self._on_lines("unread", "unread", a, b, True, LinkConditions(is_unread=True))

    def refuse(self, a: str, b: str) -> LineFault:
        """Refuse new connections from ``a`` to ``b``."""
        return self._on_lines("refuse", "refuse", a, b, True, LinkConditions(refuses=True))

    def end_after(self, a: str, b: str, *, count_bytes: int, how: Ending = "rst") -> LineFault:
        """End each connection when ``a`` has sent so many bytes to ``b``: with a reset, or (``fin``) as if by ``a``."""
        more = LinkConditions(ends_after_bytes=_positive(count_bytes, "count_bytes"), ends_with=how)
        return self._on_lines("end_after", "end", a, b, True, more, count_bytes=count_bytes, how=how)

    def reset(self, a: str, b: str) -> MomentaryFault:
        """Reset every connection that there is between the two, at both ends, at once."""
        self._network.known_hosts(a, b)
        happen = lambda: self._network.reset_all(a, b)  # noqa: E731 - a name for the reader
        return MomentaryFault(self._network, "reset", {"a": a, "b": b}, happen=happen)

    def names(self, host: str = ANY_NAME, *, error: int = TRY_AGAIN) -> NameFault:
        """Let ``host`` (default: every name) not be resolved; ``error`` is a number of ``socket.EAI_…``."""
        return NameFault(self._network, "names", {"host": host, "error": error})

    def _on_lines(
        self, name: str, effect: str, a: str, b: str, one_way: bool, more: LinkConditions, **facts: Any
    ) -> LineFault:
        is_unix = b == f"{a}:unix"
        if is_unix and effect not in _POSSIBLE_ON_UNIX:
            raise UsageError("a fault that can happen to unix sockets", name, "choose a link between hosts")
        self._network.known_hosts(a, *([] if is_unix else [b]))
        lines = [self._network.line(a, b)]
        if not one_way and not is_unix and a != b:
            lines.append(self._network.line(b, a))
        known = {"a": a, "b": b, **({"one_way": True} if one_way else {}), **facts}
        return LineFault(self._network, name, known, lines=lines, effect=effect, conditions=more)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise UsageError(f"{name} of 1 or more", str(value), "use a partition to let nothing pass")
    return value
