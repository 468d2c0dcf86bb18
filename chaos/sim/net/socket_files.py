"""Where the files of unix sockets are when there is no simulated disk: nowhere, or in a real folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
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


class FolderSocketFiles:
    """Files in a real folder, for simulated processes whose file calls are real: no simulated disk, but a real one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"FolderSocketFiles({self._folder})"

    def create_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Make a socket file. Raises ``OSError``: EADDRINUSE where something is, EACCES outside the folder."""
        try:
            os.mknod(self._inside(process, path), stat.S_IFSOCK | 0o755)
        except FileExistsError as error:
            raise system_error(errno.EADDRINUSE) from error
        return self.find_socket(process, path)

    def find_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """Return which socket file is at ``path``. Raises ``OSError``: ENOENT, or ECONNREFUSED for another file."""
        found = self._inside(process, path).stat()
        if not stat.S_ISSOCK(found.st_mode):
            raise system_error(errno.ECONNREFUSED)
        return found.st_dev, found.st_ino

    def _inside(self, process: Process, path: str | bytes) -> Path:
        del process
        asked = Path(os.fsdecode(path))
        if not asked.is_relative_to(self._folder):
            raise system_error(errno.EACCES)
        return asked
