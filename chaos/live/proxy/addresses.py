"""Where a proxy listens and where it leads: loopback TCP (``127.0.0.1:8080``) or a unix socket (``unix:/path``).

Anything else is refused with the reason: a proxy that breaks traffic has no business outside this machine.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass

from chaos.errors import RefusedError, UsageError

UNIX = "unix:"
EXAMPLE = "write it like 127.0.0.1:8080 or unix:/path"


@dataclass(frozen=True, slots=True)
class Address:
    """One end: a unix path, or a loopback host with its port (0: the system chooses)."""

    path: str = ""
    host: str = "127.0.0.1"
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"{UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """Return the family of its sockets."""
        if self.path:
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def target(self) -> str | tuple[str, int]:
        """Return what ``bind`` and ``connect`` take."""
        return self.path or (self.host, self.port)

    def socket(self) -> socket.socket:
        """Return a new socket of that family that never blocks."""
        made = socket.socket(self.family, socket.SOCK_STREAM)
        made.setblocking(False)
        return made


def parse_address(text: str) -> Address:
    """Return the address that a text names. Raises ``UsageError``, and ``RefusedError`` when it is not loopback."""
    if text.startswith((UNIX, "/")):
        return Address(path=os.path.abspath(text.removeprefix(UNIX)))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError("an address", repr(text), EXAMPLE)
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise UsageError("a numeric address or localhost", repr(host), EXAMPLE) from error
    if not is_loopback:
        raise RefusedError(f"a proxy at {host}", "it is not a loopback address")
    return Address(host=host, port=int(port))
