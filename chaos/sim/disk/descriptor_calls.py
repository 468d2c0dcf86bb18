"""The calls of ``os`` and ``fcntl`` that work on a descriptor, for descriptors of simulated files."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from typing import Any

from chaos.sim.disk.descriptors import OpenFile, is_simulated
from chaos.sim.disk.disk import SimDisk
from chaos.sim.disk.errors import failed
from chaos.sim.verdicts import NotSimulatedError

BLOCK_BYTES = 4096
SYNCED_FLAGS = os.O_SYNC | os.O_DSYNC


class DescriptorCalls:
    """Each method is the function of that name in ``os``; the last three are ``fcntl``'s."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk

    def _file(self, fd: int) -> OpenFile:
        process = self.disk.kernel.current
        if process is not None and not process.is_alive:
            self.disk.kernel.pause_point("what is left of a dead process")  # It is being cleared away: raises.
        return self.disk.table.get(fd)

    # Reading and writing; ``raw_…`` serve the file objects of ``open``, too.

    def raw_read(self, file: OpenFile, size: int, offset: int | None) -> bytes:
        """Read at ``offset``, or where the file stands, which then moves."""
        _check(file.is_readable, errno.EBADF)
        _check(not file.inode.is_folder, errno.EISDIR)
        _fail(self._entered("read", file))
        start = file.offset if offset is None else offset
        data = bytes(file.inode.data[start : start + size])
        if offset is None:
            file.offset += len(data)
        return data

    def raw_write(self, file: OpenFile, data: bytes, offset: int | None) -> int:
        """Write at ``offset``, or where the file stands (its end, if it appends), which then moves."""
        _check(file.is_writable, errno.EBADF)
        effect = self._entered("write", file)
        if not effect.halves:
            _fail(effect)
        if not data:
            return 0
        if effect.halves and len(data) > 1:
            data = data[: len(data) // 2]
        start = file.offset if offset is None else offset
        if file.flags & os.O_APPEND:
            start = len(file.inode.data)
        size = file.volume.write(file.inode, start, data)
        if offset is None:
            file.offset = start + size
        if file.flags & SYNCED_FLAGS:
            file.volume.sync(file.inode, len(file.volume.log), data_only=True)
        _fail(effect)
        return size

    def read(self, fd: int, length: int, /) -> bytes:  # noqa: D102
        return self.raw_read(self._file(fd), length, None)

    def pread(self, fd: int, length: int, offset: int, /) -> bytes:  # noqa: D102
        return self.raw_read(self._file(fd), length, offset)

    def write(self, fd: int, data: Any, /) -> int:  # noqa: D102
        return self.raw_write(self._file(fd), bytes(data), None)

    def pwrite(self, fd: int, data: Any, offset: int, /) -> int:  # noqa: D102
        return self.raw_write(self._file(fd), bytes(data), offset)

    def writev(self, fd: int, buffers: Sequence[Any], /) -> int:  # noqa: D102
        return self.raw_write(self._file(fd), b"".join(map(bytes, buffers)), None)

    def readv(self, fd: int, buffers: Sequence[Any], /) -> int:  # noqa: D102
        data = self.raw_read(self._file(fd), sum(len(memoryview(buffer)) for buffer in buffers), None)
        rest = data
        for buffer in buffers:
            view = memoryview(buffer)
            part, rest = rest[: len(view)], rest[len(view) :]
            view[: len(part)] = part
        return len(data)

    def sendfile(self, out_fd: int, in_fd: int, offset: int | None, count: int) -> int:  # noqa: D102
        if not (is_simulated(out_fd) and is_simulated(in_fd)):
            raise NotSimulatedError("os.sendfile() to or from a real descriptor", "copy between mounted folders")
        data = self.raw_read(self._file(in_fd), count, offset)
        return self.raw_write(self._file(out_fd), data, None) if data else 0

    def lseek(self, fd: int, position: int, whence: int = os.SEEK_SET, /) -> int:  # noqa: D102
        return self.raw_seek(self._file(fd), position, whence)

    def raw_seek(self, file: OpenFile, position: int, whence: int) -> int:
        """Move where the file stands."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: file.offset, os.SEEK_END: file.inode.size}
        if whence not in starts or starts[whence] + position < 0:
            raise failed(errno.EINVAL)
        file.offset = starts[whence] + position
        return file.offset

    def ftruncate(self, fd: int, length: int, /) -> None:  # noqa: D102
        self.raw_truncate(self._file(fd), length)

    def raw_truncate(self, file: OpenFile, length: int) -> None:
        """Cut or extend an open file."""
        _check(file.is_writable and length >= 0, errno.EINVAL)
        _fail(self._entered("ftruncate", file))
        file.volume.truncate(file.inode, length)

    def posix_fallocate(self, fd: int, offset: int, length: int, /) -> None:  # noqa: D102
        file = self._file(fd)
        if offset + length > len(file.inode.data):
            self.raw_truncate(file, offset + length)

    # Durability.

    def fsync(self, fd: Any) -> None:  # noqa: D102
        self._sync("fsync", fd)

    def fdatasync(self, fd: Any) -> None:  # noqa: D102
        self._sync("fdatasync", fd)

    def _sync(self, call: str, fd: Any) -> None:
        file = self._file(fd if isinstance(fd, int) else fd.fileno())
        effect = self.disk.enter(call, file.path)
        began = len(file.volume.log)
        self.disk.delay(effect)
        if effect.error_number:
            file.volume.sync_failed(file.inode, began)
            raise failed(effect.error_number)
        file.volume.sync(file.inode, began, data_only=call == "fdatasync")

    # Descriptors themselves.

    def close(self, fd: int) -> None:  # noqa: D102
        file = self._file(fd)
        self.disk.enter("close", file.path)
        self.disk.close(self.disk.table, fd, self._number)

    def dup(self, fd: int, /) -> int:  # noqa: D102
        return self.disk.table.add(self._file(fd))

    def dup2(self, fd: int, fd2: int, inheritable: bool = True) -> int:  # noqa: ARG002, D102
        if not (is_simulated(fd) and is_simulated(fd2)):
            raise NotSimulatedError("os.dup2() between a simulated and a real descriptor", "use os.dup")
        file = self._file(fd)
        if fd != fd2:
            if fd2 in self.disk.table.numbers():
                self.close(fd2)
            self.disk.table.put(fd2, file)
        return fd2

    def fstat(self, fd: int) -> os.stat_result:  # noqa: D102
        file = self._file(fd)
        _fail(self._entered("fstat", file))
        return file.inode.stat()

    def fstatvfs(self, fd: int, /) -> os.statvfs_result:  # noqa: D102
        return statvfs_of(self._file(fd))

    def fchmod(self, fd: int, mode: int) -> None:  # noqa: D102
        file = self._file(fd)
        _fail(self._entered("chmod", file))
        file.inode.mode = stat.S_IFMT(file.inode.mode) | stat.S_IMODE(mode)

    def isatty(self, fd: int, /) -> bool:  # noqa: D102
        self._file(fd)
        return False

    def get_inheritable(self, fd: int, /) -> bool:  # noqa: D102
        self._file(fd)
        return False

    def set_inheritable(self, fd: int, inheritable: int, /) -> None:  # noqa: ARG002, D102
        self._file(fd)

    def get_blocking(self, fd: int, /) -> bool:  # noqa: D102
        return not self._file(fd).flags & os.O_NONBLOCK

    def set_blocking(self, fd: int, blocking: bool, /) -> None:  # noqa: D102
        file = self._file(fd)
        file.flags = file.flags & ~os.O_NONBLOCK if blocking else file.flags | os.O_NONBLOCK

    def posix_fadvise(self, fd: int, offset: int, length: int, advice: int, /) -> None:  # noqa: ARG002, D102
        self._file(fd)

    # fcntl.

    def flock(self, fd: Any, operation: int, /) -> None:  # noqa: D102
        file = self._file(fd if isinstance(fd, int) else fd.fileno())
        _fail(self._entered("flock", file))
        self.disk.locks.flock(file, operation)

    def lockf(self, fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:  # noqa: A002, D102
        file = self._file(fd if isinstance(fd, int) else fd.fileno())
        _fail(self._entered("lockf", file))
        start += {os.SEEK_SET: 0, os.SEEK_CUR: file.offset, os.SEEK_END: file.inode.size}[whence]
        self.disk.locks.lockf(file, self._number, cmd, start, len)

    def fcntl(self, fd: Any, cmd: int, arg: Any = 0, /) -> Any:  # noqa: D102
        file = self._file(fd if isinstance(fd, int) else fd.fileno())
        if cmd == fcntl.F_GETFL:
            return file.flags
        if cmd == fcntl.F_GETFD:
            return fcntl.FD_CLOEXEC
        if cmd in (fcntl.F_SETFD, fcntl.F_SETFL):
            return 0
        raise NotSimulatedError(f"fcntl.fcntl() with command {cmd} ({arg!r})", "use flock, lockf or fsync")

    @property
    def _number(self) -> int:
        process = self.disk.kernel.current
        return process.number if process is not None else 0

    def _entered(self, call: str, file: OpenFile) -> Any:
        effect = self.disk.enter(call, file.path)
        if effect.slow_ns:
            self.disk.delay(effect, is_sync=False)
        return effect


def statvfs_of(file: OpenFile) -> os.statvfs_result:
    """Return what ``statvfs`` tells of the file system of an open file."""
    volume = file.volume
    free = volume.free_bytes // BLOCK_BYTES
    blocks = (volume.capacity_bytes if volume.capacity_bytes is not None else 1 << 40) // BLOCK_BYTES
    flags = os.ST_RDONLY if volume.is_read_only else 0
    return os.statvfs_result((BLOCK_BYTES, BLOCK_BYTES, blocks, free, free, 1 << 20, 1 << 20, 1 << 20, flags, 255))


def _check(holds: bool, number: int) -> None:
    if not holds:
        raise failed(number)


def _fail(effect: Any) -> None:
    if effect.error_number:
        raise failed(effect.error_number)
