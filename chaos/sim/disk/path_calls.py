"""The calls of ``os`` that work on a path, for paths in the mounted folders."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
import zlib
from typing import Any

from chaos.sim.disk.descriptor_calls import DescriptorCalls, statvfs_of
from chaos.sim.disk.descriptors import OpenFile, is_simulated
from chaos.sim.disk.disk import SimDisk
from chaos.sim.disk.errors import failed, naming
from chaos.sim.disk.faults import Effect
from chaos.sim.disk.inodes import Inode
from chaos.sim.disk.mounts import Place
from chaos.sim.disk.scanning import FoundEntry, ScanDir
from chaos.sim.disk.volume import Volume

O_TMPFILE = getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY
UTIME_NAMES_ITS_FILE = sys.version_info >= (3, 13)
Path = Any
"""Text, bytes or an ``os.PathLike``; many calls take a descriptor as well."""


class PathCalls:
    """Each method is the function of that name in ``os``."""

    def __init__(self, disk: SimDisk, descriptors: DescriptorCalls) -> None:
        self.disk, self._descriptors = disk, descriptors

    def open(self, path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:  # noqa: D102
        if O_TMPFILE and flags & O_TMPFILE:
            raise failed(errno.EOPNOTSUPP, path)
        text = self._enter("open", path, dir_fd)
        with naming(path):
            self.disk.table.check_room()
            follow = not flags & os.O_NOFOLLOW and flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
            place = self._find(path, follow=follow, dir_fd=dir_fd)
            inode = place.inode
            if inode is None:
                inode = self._created(place, flags, mode, is_folder_meant=text.endswith("/"))
            else:
                _check_opening(place.volume, inode, flags)
                if flags & os.O_TRUNC and inode.is_file and inode.data:
                    place.volume.truncate(inode, 0)
            return self.disk.table.add(OpenFile(place.volume, inode, flags, text))

    def _created(self, place: Place, flags: int, mode: int, *, is_folder_meant: bool) -> Inode:
        if not flags & os.O_CREAT:
            raise failed(errno.ENOENT)
        if is_folder_meant:
            raise failed(errno.EISDIR)
        return place.volume.make_file(place.folder, place.name, self._masked(mode))

    # Looking.

    def stat(self, path: Path, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:  # noqa: D102
        if is_simulated(path):
            return self._descriptors.fstat(path)
        self._enter("stat", path, dir_fd)
        return self.there(path, follow=follow_symlinks, dir_fd=dir_fd)[1].stat()

    def lstat(self, path: Path, *, dir_fd: int | None = None) -> os.stat_result:  # noqa: D102
        return self.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def access(  # noqa: D102
        self,
        path: Path,
        mode: int,
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,
        follow_symlinks: bool = True,
    ) -> bool:
        del effective_ids  # All of a simulated process's ids are the same.
        try:
            self._enter("access", path, dir_fd)
            place, inode = self.there(path, follow=follow_symlinks, dir_fd=dir_fd)
        except OSError:
            return False
        if mode & os.W_OK and place.volume.is_read_only:
            return False
        return not mode & os.X_OK or inode.is_folder or bool(inode.mode & 0o111)

    def readlink(self, path: Path, *, dir_fd: int | None = None) -> Any:  # noqa: D102
        self._enter("readlink", path, dir_fd)
        inode = self.there(path, follow=False, dir_fd=dir_fd)[1]
        if not inode.is_link:
            raise failed(errno.EINVAL, path)
        return os.fsencode(inode.target) if isinstance(path, bytes) else inode.target

    def listdir(self, path: Path = ".") -> list[Any]:  # noqa: D102
        names = [name for name, _ in self._listed("listdir", path)]
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

    def scandir(self, path: Path = ".") -> ScanDir:  # noqa: D102
        folder = path if is_simulated(path) else None
        shown: Any = "" if folder is not None else os.fspath(path)
        return ScanDir(
            [
                FoundEntry(self, os.fsencode(name) if isinstance(shown, bytes) else name, shown, inode, folder)
                for name, inode in self._listed("scandir", path)
            ]
        )

    def _listed(self, call: str, path: Path) -> list[tuple[str, Inode]]:
        if is_simulated(path):
            file = self._descriptors._file(path)  # noqa: SLF001 - the other half of the same calls
            self._entered(call, file.path, None)
            inode = file.inode
        else:
            self._enter(call, path, None)
            inode = self.there(path)[1]
        if not inode.is_folder:
            raise failed(errno.ENOTDIR, None if is_simulated(path) else path)
        return self._in_some_order(inode)

    def _in_some_order(self, folder: Inode) -> list[tuple[str, Inode]]:
        """Return the names in an order that nobody may rely on: always the same for one folder, drawn once."""
        if folder.salt is None:
            folder.salt = self.disk.kernel.choices.below("disk/order", 1 << 16)
        entries = list(folder.names.items())
        if folder.salt:
            salt = str(folder.salt)
            entries.sort(key=lambda entry: zlib.crc32(os.fsencode(salt + entry[0])))
        return entries

    def statvfs(self, path: Path) -> os.statvfs_result:  # noqa: D102
        if is_simulated(path):
            return self._descriptors.fstatvfs(path)
        self._enter("statvfs", path, None)
        place, inode = self.there(path)
        return statvfs_of(OpenFile(place.volume, inode, 0, ""))

    # Changing names.

    def mkdir(self, path: Path, mode: int = 0o777, *, dir_fd: int | None = None) -> None:  # noqa: D102
        self._enter("mkdir", path, dir_fd)
        with naming(path):
            place = self._find(path, follow=False, dir_fd=dir_fd, is_folder=True)
            if place.inode is not None:
                raise failed(errno.EEXIST)
            place.volume.make_folder(place.folder, place.name, self._masked(mode))

    def rmdir(self, path: Path, *, dir_fd: int | None = None) -> None:  # noqa: D102
        self._enter("rmdir", path, dir_fd)
        with naming(path):
            place = self._named(path, dir_fd, is_folder=True)
            place.volume.remove_folder(place.folder, place.name)

    def unlink(self, path: Path, *, dir_fd: int | None = None) -> None:  # noqa: D102
        self._enter("unlink", path, dir_fd)
        with naming(path):
            place = self._named(path, dir_fd)
            place.volume.unlink(place.folder, place.name)

    remove = unlink

    def rename(self, src: Path, dst: Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:  # noqa: D102
        text = self._text(src)
        self._enter("rename", dst, dst_dir_fd, other=dst, shown=src)
        with naming(src, dst):
            place = self._named(src, src_dir_fd, is_folder=True)
            is_folder = place.inode is not None and place.inode.is_folder
            if text.endswith("/") and not is_folder:
                raise failed(errno.ENOTDIR)
            target = self._find(dst, follow=False, dir_fd=dst_dir_fd, is_folder=is_folder)
            if not target.name:
                raise failed(errno.EBUSY)
            if place.volume is not target.volume:
                raise failed(errno.EXDEV)
            place.volume.rename(place.folder, place.name, target.folder, target.name)

    replace = rename

    def link(  # noqa: D102
        self,
        src: Path,
        dst: Path,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        del follow_symlinks  # Linux's link() never follows, and Python calls it where it is not told otherwise.
        self._enter("link", dst, dst_dir_fd, other=dst, shown=src)
        with naming(src, dst):
            place, inode = self.there(src, follow=False, dir_fd=src_dir_fd)
            target = self._find(dst, follow=False, dir_fd=dst_dir_fd)
            if target.inode is not None:
                raise failed(errno.EEXIST)
            if place.volume is not target.volume:
                raise failed(errno.EXDEV)
            target.volume.link(inode, target.folder, target.name)

    def symlink(  # noqa: D102
        self,
        src: Path,
        dst: Path,
        target_is_directory: bool = False,
        *,
        dir_fd: int | None = None,
    ) -> None:
        del target_is_directory  # Windows only.
        self._enter("symlink", dst, dir_fd, other=dst, shown=src)
        with naming(src, dst):
            place = self._find(dst, follow=False, dir_fd=dir_fd)
            if place.inode is not None:
                raise failed(errno.EEXIST)
            place.volume.make_symlink(place.folder, place.name, self._text(src))

    # Changing contents and what is told of them.

    def truncate(self, path: Path, length: int) -> None:  # noqa: D102
        if is_simulated(path):
            self._descriptors.ftruncate(path, length)
            return
        self._enter("truncate", path, None)
        with naming(path):
            place, inode = self.there(path)
            if inode.is_folder:
                raise failed(errno.EISDIR)
            place.volume.truncate(inode, length)

    def chmod(self, path: Path, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:  # noqa: D102
        if is_simulated(path):
            self._descriptors.fchmod(path, mode)
            return
        self._enter("chmod", path, dir_fd)
        inode = self.there(path, follow=follow_symlinks, dir_fd=dir_fd)[1]
        inode.mode = stat.S_IFMT(inode.mode) | stat.S_IMODE(mode)
        inode.touch(time.time_ns(), contents=False)

    def utime(  # noqa: D102
        self,
        path: Path,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        if is_simulated(path):
            inode = self._descriptors._file(path).inode  # noqa: SLF001 - the other half of the same calls
        else:
            self._enter("utime", path, dir_fd)
            found = self._find(path, follow=follow_symlinks, dir_fd=dir_fd).inode
            if found is None:
                raise failed(errno.ENOENT, path if UTIME_NAMES_ITS_FILE else None)
            inode = found
        now = time.time_ns()
        if ns is None:
            ns = (now, now) if times is None else (round(times[0] * 1e9), round(times[1] * 1e9))
        inode.times_ns = [*ns, now]

    def listxattr(self, path: Path = None, *, follow_symlinks: bool = True) -> list[str]:  # noqa: ARG002, D102
        raise failed(errno.EOPNOTSUPP, path)

    # From a path to a place.

    def _text(self, path: Path) -> str:
        return os.fsdecode(os.fspath(path))

    def _full(self, path: Path, dir_fd: int | None) -> str:
        text = self._text(path)
        if text.startswith("/"):
            return text
        start = self._descriptors._file(dir_fd).path if dir_fd is not None else self.disk.mounts.home  # noqa: SLF001
        return f"{start}/{text}"

    def _enter(self, call: str, path: Path, dir_fd: int | None, *, other: Path = None, shown: Path = None) -> str:
        """Begin a call, and fail it if a fault says so; return the path that rules see."""
        full = self._full(path, dir_fd)
        self._entered(call, full, path if shown is None else shown, other)
        return full

    def _entered(self, call: str, full: str, shown: Path, other: Path = None) -> Effect:
        effect = self.disk.enter(call, full)
        if effect.slow_ns:
            self.disk.delay(effect, is_sync=False)
        if effect.error_number:
            raise failed(effect.error_number, shown, other)
        return effect

    def _find(self, path: Path, *, follow: bool = True, dir_fd: int | None = None, is_folder: bool = False) -> Place:
        text, start = self._text(path), None
        if dir_fd is not None and not text.startswith("/"):
            file = self._descriptors._file(dir_fd)  # noqa: SLF001 - as above
            start = (file.volume, file.inode)
        if is_folder and len(text) > 1:
            text = text.rstrip("/")
        return self.disk.mounts.find(text, path, follow=follow, start=start)

    def there(self, path: Path, *, follow: bool = True, dir_fd: int | None = None) -> tuple[Place, Inode]:
        """Return where a path leads, and what is there. Raises ``OSError``."""
        place = self._find(path, follow=follow, dir_fd=dir_fd)
        if place.inode is None:
            raise failed(errno.ENOENT, path)
        return place, place.inode

    def _named(self, path: Path, dir_fd: int | None, *, is_folder: bool = False) -> Place:
        """Return the place of a name that is to be taken away."""
        place = self._find(path, follow=False, dir_fd=dir_fd, is_folder=is_folder)
        if place.inode is None:
            raise failed(errno.ENOENT)
        if not place.name:
            raise failed(errno.EBUSY)
        return place

    def _masked(self, mode: int) -> int:
        process = self.disk.kernel.current
        return stat.S_IMODE(mode) & ~self.disk.umask_of(process.number if process is not None else 0)


def _check_opening(volume: Volume, inode: Inode, flags: int) -> None:
    """Raise what opening something that is there may raise."""
    is_writing = flags & os.O_ACCMODE != os.O_RDONLY
    if flags & os.O_CREAT and flags & os.O_EXCL:
        raise failed(errno.EEXIST)
    if inode.is_link:
        raise failed(errno.ELOOP)
    if flags & os.O_DIRECTORY and not inode.is_folder:
        raise failed(errno.ENOTDIR)
    if inode.is_folder and (is_writing or flags & os.O_CREAT):
        raise failed(errno.EISDIR)
    if not (inode.is_file or inode.is_folder):
        raise failed(errno.ENXIO)
    if volume.is_read_only and (is_writing or flags & os.O_TRUNC):
        raise failed(errno.EROFS)
