"""File objects on simulated files: what ``open`` returns, made of Python's own buffers over a raw file of ours.

What is left of a dead process's file objects does nothing: their buffers are flushed by nobody, as after a SIGKILL.
"""

from __future__ import annotations

import errno
import io
import os
from typing import IO, Any

from chaos.sim.disk.descriptor_calls import DescriptorCalls
from chaos.sim.disk.descriptors import OpenFile, is_simulated
from chaos.sim.disk.errors import failed
from chaos.sim.disk.path_calls import PathCalls

BLOCK_BYTES = 4096


class SimFileIO(io.RawIOBase):
    """``io.FileIO`` on a simulated file. ``closefd`` false leaves the descriptor open."""

    def __init__(self, calls: DescriptorCalls, fd: int, name: Any, mode: str, *, closefd: bool = True) -> None:
        process = calls.disk.kernel.current
        assert process is not None, "only code of a process opens files"
        self._calls, self._fd, self.closefd = calls, fd, closefd
        self._process, self._table = process, calls.disk.table_of(process)
        self.name, self._mode = name, mode
        self._blksize = BLOCK_BYTES

    @property
    def mode(self) -> str:
        """The mode, as ``io.FileIO`` tells it."""
        created = "xb+" if "+" in self._mode else "xb"
        if "x" in self._mode:
            return created
        if "a" in self._mode:
            return "ab+" if "+" in self._mode else "ab"
        return "rb+" if "+" in self._mode else "wb" if "w" in self._mode else "rb"

    def _file(self) -> OpenFile:
        self._check_open()
        return self._table.get(self._fd)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def readinto(self, buffer: Any, /) -> int:
        """Read into ``buffer`` and return how much."""
        if not self.readable():
            raise io.UnsupportedOperation("File not open for reading")
        view = memoryview(buffer).cast("B")
        data = self._calls.raw_read(self._file(), len(view), None)
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any, /) -> int:
        """Write what the disk takes of ``data`` and return how much."""
        if not self._process.is_alive:
            return len(memoryview(data).cast("B"))
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        return self._calls.raw_write(self._file(), bytes(data), None)

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        return self._calls.raw_seek(self._file(), position, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file().offset

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend the file, to the position if not told otherwise."""
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        size = self.tell() if size is None else size
        self._calls.raw_truncate(self._file(), size)
        return size

    def close(self) -> None:
        """Close the file, and its descriptor if that is its own."""
        if self.closed:
            return
        super().close()
        if self.closefd and self._process.is_alive and self._fd in self._table.numbers():
            disk = self._calls.disk
            disk.enter("close", self._table.get(self._fd).path)
            disk.close(self._table, self._fd, self._process.number)

    def fileno(self) -> int:
        """Return the descriptor."""
        self._check_open()
        return self._fd

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check_open()
        return "r" in self._mode or "+" in self._mode

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check_open()
        return "r" not in self._mode or "+" in self._mode

    def seekable(self) -> bool:
        """Whether it can be moved in: always."""
        self._check_open()
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal: never."""
        self._check_open()
        return False

    def __repr__(self) -> str:
        state = "[closed]" if self.closed else f"name={self.name!r} mode={self.mode!r} closefd={self.closefd}"
        return f"<chaos.SimFileIO {state}>"


class Opener:
    """Does what the builtin ``open`` does, for paths in the mounted folders and for simulated descriptors."""

    def __init__(self, paths: PathCalls, descriptors: DescriptorCalls) -> None:
        self._paths, self._descriptors = paths, descriptors

    def open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> IO[Any]:
        """Return an open file, as the builtin does."""
        _check_mode(mode, buffering, encoding, errors, newline)
        raw = self._raw(file, mode, closefd=closefd, opener=opener)
        try:
            return _wrapped(raw, mode, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise

    def _raw(self, file: Any, mode: str, *, closefd: bool, opener: Any) -> SimFileIO:
        if is_simulated(file):
            self._descriptors._file(file)  # noqa: SLF001 - raises EBADF before anything is made of it
            return SimFileIO(self._descriptors, file, file, mode, closefd=closefd)
        if not closefd:
            raise ValueError("Cannot use closefd=False with file name")
        name = os.fspath(file)
        flags = _flags(mode)
        fd = self._paths.open(name, flags, 0o666) if opener is None else opener(name, flags)
        raw = SimFileIO(self._descriptors, fd, name, mode)
        found = self._descriptors._file(fd)  # noqa: SLF001 - as above
        if found.inode.is_folder:
            raw.close()
            raise failed(errno.EISDIR, name)
        if "a" in mode:
            raw.seek(0, os.SEEK_END)
        return raw


def _flags(mode: str) -> int:
    access = os.O_RDWR if "+" in mode else os.O_RDONLY if "r" in mode else os.O_WRONLY
    making = {"r": 0, "w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND, "x": os.O_CREAT | os.O_EXCL}
    return access | os.O_CLOEXEC | making[next(letter for letter in mode if letter in making)]


def _check_mode(mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None) -> None:
    letters = set(mode)
    if not isinstance(mode, str):
        raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
    if letters - set("axrwb+t") or len(mode) > len(letters):
        raise ValueError(f"invalid mode: {mode!r}")
    if "b" in letters and "t" in letters:
        raise ValueError("can't have text and binary mode at once")
    if len(letters & set("axrw")) != 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    if "b" in letters:
        for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
            if value is not None:
                article = "an" if name != "newline" else "a"
                raise ValueError(f"binary mode doesn't take {article} {name} argument")
    elif buffering == 0:
        raise ValueError("can't have unbuffered text I/O")


def _wrapped(
    raw: SimFileIO, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> IO[Any]:
    is_by_line = buffering == 1 and "b" not in mode
    if buffering == 0:
        return raw  # type: ignore[return-value] # As the builtin: a raw file is what was asked for.
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    buffered: Any
    if "+" in mode:
        buffered = io.BufferedRandom(raw, size)
    elif "r" in mode:
        buffered = io.BufferedReader(raw, size)
    else:
        buffered = io.BufferedWriter(raw, size)
    if "b" in mode:
        return buffered  # type: ignore[no-any-return]
    text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=is_by_line)
    text.mode = mode  # type: ignore[misc] # The builtin sets it, too.
    return text
