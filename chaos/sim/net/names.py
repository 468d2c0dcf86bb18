"""Names and addresses: what ``getaddrinfo`` says inside the simulation.

Every host has its name and one address; more names are added with ``add``. Numbers are themselves, ``localhost`` and no
name at all are the host that asks, and an unknown name is an error as from a real resolver. ``fail`` breaks a name (or
all) for as long as wished.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaos.sim.net.endpoint import nothing

if TYPE_CHECKING:
    from chaos.sim.net.table import SocketTable

UNKNOWN, TRY_AGAIN = socket.EAI_NONAME, socket.EAI_AGAIN
_WORDS = {UNKNOWN: "Name or service not known", TRY_AGAIN: "Temporary failure in name resolution"}
ANY_NAME = "*"


class Names:
    """The names that are known, each with its address; and those that cannot be resolved just now."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._failing: dict[str, tuple[int, Callable[[], None]]] = {}
        self.asked = self.failed = 0

    def __repr__(self) -> str:
        return f"Names({len(self._addresses)} known, {len(self._failing)} failing, {self.asked} asked)"

    def add(self, name: str, address: str) -> None:
        """Let ``name`` mean ``address`` from now on."""
        self._addresses[name.lower()] = address

    def fail(self, name: str = ANY_NAME, code: int = TRY_AGAIN, on_failure: Callable[[], None] = nothing) -> None:
        """Let asking for ``name`` (default: for any) end in an error, and call ``on_failure`` each time."""
        self._failing[name.lower()] = (code, on_failure)

    def heal(self, name: str = ANY_NAME) -> None:
        """Undo ``fail``."""
        self._failing.pop(name.lower(), None)

    def address_of(self, name: str) -> str:
        """Return the address of a name that is no number. Raises ``socket.gaierror``."""
        self.asked += 1
        known = name.lower().rstrip(".")
        failing = self._failing.get(known, self._failing.get(ANY_NAME))
        if failing is None and known in self._addresses:
            return self._addresses[known]
        self.failed += 1
        code, on_failure = failing or (UNKNOWN, nothing)
        on_failure()
        raise socket.gaierror(code, _WORDS.get(code, "Name resolution failed"))

    def address_infos(
        self,
        asking: SocketTable,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name is the library's
        proto: int = 0,  # noqa: ARG002 - there is only one
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Return what ``socket.getaddrinfo`` does. Raises ``socket.gaierror``."""
        if type not in (0, socket.SOCK_STREAM):
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
        address = self._numeric(asking, host.decode() if isinstance(host, bytes) else host, family, flags)
        number = int(port or 0)
        if ":" in address:
            return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, number, 0, 0))]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, number))]

    def _numeric(self, asking: SocketTable, host: str | None, family: int, flags: int) -> str:
        six = family == socket.AF_INET6
        if not host:
            passive = bool(flags & socket.AI_PASSIVE)
            return ("::" if six else "0.0.0.0") if passive else ("::1" if six else "127.0.0.1")  # noqa: S104
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(UNKNOWN, _WORDS[UNKNOWN]) from None
        if host.lower() == "localhost":
            return "::1" if six else "127.0.0.1"
        return asking.host.address if host == asking.host.name else self.address_of(host)
