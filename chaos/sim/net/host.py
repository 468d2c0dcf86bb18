"""A simulated host: its name and addresses, its ports, who listens on them, and whether it has power."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.sim.net.endpoint import Endpoint
    from chaos.sim.net.listening import Listening

FIRST_EPHEMERAL_PORT, LAST_EPHEMERAL_PORT = 32768, 60999
ENDPOINTS_SWEPT_AT = 16  # Ends that are over are looked for when there are so many, then twice as many as were left.
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - addresses inside the simulation


@dataclass(eq=False, slots=True)
class Binding:
    """A port that a socket has, on one address of the host or on all; ``listening`` while it takes connections."""

    address: str
    port: int
    may_share: bool
    listening: Listening | None = None

    def conflicts_with(self, other: Binding) -> bool:
        """Return whether the system refuses both together."""
        if self.port != other.port or (":" in self.address) != (":" in other.address):
            return False
        if self.address != other.address and not {self.address, other.address} & set(WILDCARDS):
            return False
        return not (self.may_share and other.may_share) or other.listening is not None


@dataclass(eq=False, slots=True)
class Host:
    """One host. A loss of power ends it until the next process comes; who lives on in it is a guest, and stays."""

    name: str
    address: str
    is_up: bool = True
    bindings: list[Binding] = field(default_factory=list)
    endpoints: dict[int, Endpoint] = field(default_factory=dict)
    sweep_at: int = ENDPOINTS_SWEPT_AT
    _next_port: int = FIRST_EPHEMERAL_PORT

    def __repr__(self) -> str:
        power = "up" if self.is_up else "without power"
        return f"Host({self.name}, {self.address}, {power}, {len(self.bindings)} ports, {len(self.endpoints)} ends)"

    def owns(self, address: str) -> bool:
        """Return whether this is one of its addresses, as seen from itself."""
        return address == self.address or address in WILDCARDS or ipaddress.ip_address(address).is_loopback

    def bind(self, address: str, port: int, *, may_share: bool) -> Binding:
        """Take a port (0: a free one). Raises ``OSError`` when it is taken, or the address is not this host's."""
        if not self.owns(address):
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        binding = Binding(address, port or self.free_port(), may_share)
        if any(binding.conflicts_with(other) for other in self.bindings):
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.bindings.append(binding)
        return binding

    def release(self, binding: Binding) -> None:
        """Give a port back (harmless to repeat)."""
        if binding in self.bindings:
            self.bindings.remove(binding)

    def free_port(self) -> int:
        """Return a port that nothing uses, in the order of a counter. Raises ``OSError`` when there is none."""
        used = {binding.port for binding in self.bindings}
        used |= {end.local[1] for end in self.endpoints.values() if isinstance(end.local, tuple)}
        for port in self._ports_from(self._next_port):
            if port not in used:
                self._next_port = port + 1 if port < LAST_EPHEMERAL_PORT else FIRST_EPHEMERAL_PORT
                return port
        raise OSError(errno.EADDRINUSE, "Address already in use")

    def listening_at(self, address: str, port: int) -> Listening | None:
        """Return who takes connections to that address, the exact one before all."""
        found = [
            binding.listening
            for binding in sorted(self.bindings, key=lambda binding: binding.address in WILDCARDS)
            if binding.port == port
            and binding.listening is not None
            and (binding.address == address or (binding.address in WILDCARDS and ":" not in binding.address + address))
        ]
        return found[0] if found else None

    def lose_power(self) -> None:
        """Answer nobody any more, and send nothing of what closed connections had left to send."""
        self.is_up = False
        for endpoint in self.endpoints.values():
            if endpoint.is_gone:
                endpoint.vanish()

    @staticmethod
    def _ports_from(start: int) -> Iterator[int]:
        yield from range(start, LAST_EPHEMERAL_PORT + 1)
        yield from range(FIRST_EPHEMERAL_PORT, start)
