"""The disk of the simulated world: mounted folders, the open files and locks of each process, its faults, its power.

* A process that ends takes its descriptors and locks with it. What it wrote stays in the page cache, unless the power
  was lost: then every mounted folder keeps what is durable and a legal draw of the rest (stream ``disk/power``).
* All processes stand on one machine: a power loss is everybody's.
* Each call is a point where others may run and where a planned crash may fall; then its faults are looked up; then it
  happens, whole. A sync covers what was done before it began.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chaos.sim.disk.descriptors import DESCRIPTORS_MAX, Descriptors
from chaos.sim.disk.errors import failed, naming
from chaos.sim.disk.faults import CHANGES, FOREVER_NS, Effect, Faults, Rule
from chaos.sim.disk.file_locks import FileLocks
from chaos.sim.disk.inodes import Inode
from chaos.sim.disk.mounts import Mounts
from chaos.sim.disk.volume import Volume
from chaos.storage import EXT4_ORDERED, Contents, Loss, Persistence
from chaos.storage.operations import Visible

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.ports import Process

NO_EFFECT = Effect()
SOCKET_MODE = stat.S_IFSOCK | 0o777
UMASK = 0o022


class SimDisk:
    """See the module. ``sync_ns`` is how long a sync takes, drawn between the two (0: at once)."""

    def __init__(
        self, kernel: SimKernel, *, sync_ns: tuple[int, int] = (0, 0), descriptors_max: int = DESCRIPTORS_MAX
    ) -> None:
        self.kernel, self.sync_ns, self.descriptors_max = kernel, sync_ns, descriptors_max
        self.mounts, self.faults, self.locks = Mounts(), Faults(), FileLocks(kernel)
        self.tables: dict[int, Descriptors] = {}
        self.umasks: dict[int, int] = {}
        self.on_call: list[Callable[[str, str], object]] = []
        self.on_power_lost: list[Callable[[str, tuple[Loss, ...]], object]] = []
        self.calls = 0
        self._is_looked_at = False

    def mount(
        self,
        path: str | os.PathLike[str],
        start: Contents | None = None,
        *,
        persistence: Persistence = EXT4_ORDERED,
        capacity_bytes: int | None = None,
    ) -> Volume:
        """Mount a file system with the contents ``start`` at an absolute path, and return it."""
        volume = Volume(persistence, start, device=len(self.mounts.volumes) + 1, capacity_bytes=capacity_bytes)
        volume.said_by = self._said_by
        self.mounts.add(os.fspath(path), volume)
        return volume

    def fault(
        self,
        effect: Effect,
        *,
        calls: Collection[str] = CHANGES,
        paths: Collection[str] = ("*",),
        numbers: Collection[int] = (),
        from_ns: int = 0,
        until_ns: int = FOREVER_NS,
    ) -> Rule:
        """Put a fault in force, and return it: it ends with its ``with``, or with ``remove``, and counts."""
        return self.faults.add(Rule(effect, calls, paths, numbers, from_ns, until_ns))

    def syncfs(self, descriptor: int) -> int:
        """Sync the file system of an open file, as Linux's ``syncfs`` does; programs reach that by ``ctypes``."""
        file = self.table.get(descriptor)
        effect = self.enter("syncfs", file.path)
        began = len(file.volume.log)
        self.delay(effect)
        if effect.error_number:
            raise failed(effect.error_number)
        file.volume.sync_all(began)
        return 0

    def create_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """See ``chaos.sim.ports.SocketFiles``."""
        with naming(path):
            place = self.mounts.find(os.fsdecode(path), path, follow=False)
            if place.inode is not None:
                raise failed(errno.EADDRINUSE)
            mode = SOCKET_MODE & ~self.umask_of(process.number)
            return _identity(place.volume.make_file(place.folder, place.name, mode))

    def find_socket(self, process: Process, path: str | bytes) -> tuple[int, int]:
        """See ``chaos.sim.ports.SocketFiles``."""
        del process  # All processes see the same folders.
        inode = self.mounts.find(os.fsdecode(path), path).inode
        if inode is None:
            raise failed(errno.ENOENT, path)
        if not stat.S_ISSOCK(inode.mode):
            raise failed(errno.ECONNREFUSED, path)
        return _identity(inode)

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Let the calls inside be an onlooker's: nobody has a turn meanwhile, no fault hits them, no trace tells."""
        before, self._is_looked_at = self._is_looked_at, True
        try:
            yield
        finally:
            self._is_looked_at = before

    def seen(self, name: str, **value: Any) -> None:
        """Note in the log of every mounted folder that the outside may have seen something."""
        for volume in self.mounts.volumes.values():
            volume.seen(Visible(name, value))

    # What the calls stand on.

    @property
    def table(self) -> Descriptors:
        """Return the descriptors of the process whose code runs."""
        process = self.kernel.current
        assert process is not None, "only code of a process has descriptors"
        return self.table_of(process)

    def table_of(self, process: Process) -> Descriptors:
        """Return the descriptors of a process."""
        if process.number not in self.tables:
            self.tables[process.number] = Descriptors(self.descriptors_max)
        return self.tables[process.number]

    def enter(self, call: str, path: str) -> Effect:
        """Begin a call: let others run, then say what happens to it. The caller raises, or delays, accordingly."""
        if self._is_looked_at:
            return NO_EFFECT
        kernel = self.kernel
        kernel.pause_point(f"{call} {path}")
        self.calls += 1
        kernel.trace(f"disk call={call} path={path}")  # In one piece: there are more of these than of any other line.
        for hear in self.on_call:
            hear(call, path)
        if not self.faults.rules:
            return NO_EFFECT
        return self.faults.effect_on(call, path, kernel.now_ns) or NO_EFFECT

    def delay(self, effect: Effect, *, is_sync: bool = True) -> None:
        """Let a call take the time that its fault, or a sync, takes."""
        slow_ns = effect.slow_ns
        if is_sync and self.sync_ns[1]:
            slow_ns += self.kernel.choices.between("disk/sync", *self.sync_ns)
        if slow_ns and self.kernel.current is not None:
            self.kernel.block(self.kernel.now_ns + slow_ns, "slow disk")

    def close(self, table: Descriptors, number: int, owner: int) -> None:
        """Close a descriptor. Raises ``OSError`` (EBADF)."""
        file = table.remove(number)
        self.locks.closed(file, owner)
        if file.references == 0:
            file.volume.closed(file.inode)

    def process_ended(self, process: Process, *, power_lost: bool) -> None:
        """See ``chaos.sim.ports.Disk``."""
        table = self.tables.pop(process.number, None)
        for number in table.numbers() if table is not None else ():
            assert table is not None
            self.close(table, number, process.number)
        if not power_lost:
            return
        below = self.kernel.choices.stream("disk/power")
        for path, volume in self.mounts.volumes.items():
            losses = volume.lose_power(below)
            self.kernel.trace("power lost", mount=path, lost=len(losses))
            for hear in self.on_power_lost:
                hear(path, losses)

    def umask_of(self, number: int) -> int:
        """Return the mode bits that a process takes from what it makes."""
        return self.umasks.get(number, UMASK)

    def _said_by(self) -> tuple[int, str, str]:
        process = self.kernel.current
        if process is None:
            return self.kernel.now_ns, "", ""
        strand = self.kernel.strand
        return self.kernel.now_ns, f"{process.name}/{strand.name if strand is not None else 'loop'}", ""

    def __repr__(self) -> str:
        opened = sum(map(len, self.tables.values()))
        return f"SimDisk({self.mounts}, {opened} descriptors open, {self.calls} calls)"


def _identity(inode: Inode) -> tuple[int, int]:
    return inode.device, inode.number
