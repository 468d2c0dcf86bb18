"""The limits of the IPC server, in one value: how long it waits, how many clients it serves at once (H6.1, H6.8)."""

from __future__ import annotations

from dataclasses import dataclass

CONNECTION_TIMEOUT_S = 30.0
READ_TIMEOUT_S = 30.0
WRITE_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 300.0
CONNECTIONS_MAX = 128
"""Times 1 MiB of unfinished request each: what a crowd of hostile clients may cost in memory at most."""


@dataclass(frozen=True, slots=True)
class IPCLimits:
    """Seconds, and a number of connections; all above zero.

    * ``connection_s``: from the accepted connection to the first byte of its first request, hello included.
    * ``read_s``: from the first byte of a request to its last, however the bytes come.
    * ``request_s``: from the whole request to the handler's end.
    * ``write_s``: from the first byte of an answer until the system has taken the last one.
    * ``idle_s``: from an answer to the first byte of the next request.
    * ``connections_max``: connections served at once.
    """

    connection_s: float = CONNECTION_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S
    write_s: float = WRITE_TIMEOUT_S
    request_s: float = REQUEST_TIMEOUT_S
    idle_s: float = IDLE_TIMEOUT_S
    connections_max: int = CONNECTIONS_MAX

    def __post_init__(self) -> None:
        for name in self.__slots__:
            assert getattr(self, name) > 0, f"{name} must be above zero; the configuration checks it (H4)"
