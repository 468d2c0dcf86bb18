"""The files of unix sockets when there is no simulated disk: names in the network, and nothing else."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from chaos.sim.net.endpoint import system_error
from chaos.sim.ports import Process

if TYPE_CHECKING:
    from chaos.sim.net.network import SimulatedNetwork

DEVICE = 0


class OwnSocketFiles:
    """A table of paths. What was left behind by a dead process is replaced, for nobody could remove it."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network
        self._identities: dict[str, tuple[int, int]] = {}
        self._made = 0

    def __repr__(self) -> str:
        return f"OwnSocketFiles({len(self._identities)} paths)"

    def create_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Make a socket file. Raises ``OSError`` (EADDRINUSE) when somebody listens there."""
        del process
        name = os.fsdecode(path)
        if self._identities.get(name) in self._network.unix_listeners:
            raise system_error(errno.EADDRINUSE)
        self._made += 1
        self._identities[name] = (DEVICE, self._made)
        return self._identities[name]

    def find_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Return which socket file is at ``path``. Raises ``FileNotFoundError``."""
        del process
        found = self._identities.get(os.fsdecode(path))
        if found is None:
            raise system_error(errno.ENOENT)
        return found
