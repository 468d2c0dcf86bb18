"""The seam to the disk: the real ``os``, ``io``, ``fcntl`` and ``tempfile`` of a simulated process reach the model.

* A call on a path in a mounted folder, on a relative path, or on a simulated descriptor is the model's.
* Everything else keeps its real function, which the guard against escapes watches: reading the Python installation
  passes, anything else is an error that names the place. What the interpreter does not report to that guard (``stat``
  and its like) is reported to it here.
* Calls that exist and are not modelled are refused on simulated files, loudly, instead of failing with a bad number.
* Functions that somebody bound before (``from os import rename``) are found by looking through the modules.
"""

from __future__ import annotations

import builtins
import fcntl
import glob
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from chaos.sim.bound_names import NewModules
from chaos.sim.disk.descriptor_calls import DescriptorCalls
from chaos.sim.disk.descriptors import is_simulated
from chaos.sim.disk.disk import SimDisk
from chaos.sim.disk.mounts import OutsideError
from chaos.sim.disk.open_files import Opener
from chaos.sim.disk.path_calls import PathCalls
from chaos.sim.escapes import Escapes
from chaos.sim.seams import PatchingSeam
from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

BY_PATH = (
    *("open", "stat", "lstat", "access", "readlink", "listdir", "scandir", "statvfs", "mkdir", "rmdir", "unlink"),
    *("remove", "truncate", "chmod", "utime", "listxattr"),
)
BY_TWO_PATHS = ("rename", "replace", "link", "symlink")
BY_DESCRIPTOR = (
    *("read", "pread", "write", "pwrite", "readv", "writev", "lseek", "ftruncate", "posix_fallocate", "fsync"),
    *("fdatasync", "close", "dup", "dup2", "fstat", "fstatvfs", "fchmod", "isatty", "get_inheritable"),
    *("set_inheritable", "get_blocking", "set_blocking", "posix_fadvise", "sendfile"),
)
BY_FCNTL = ("flock", "lockf", "fcntl")
UNREPORTED = ("stat", "lstat", "access", "readlink", "statvfs")
"""Calls of which the interpreter tells its audit hooks nothing."""
REFUSED = (
    *("chown", "lchown", "fchown", "mkfifo", "mknod", "getxattr", "setxattr", "removexattr", "chdir", "fchdir"),
    *("chroot", "preadv", "pwritev", "copy_file_range", "splice", "pathconf", "fpathconf", "lockf", "lchmod"),
    *("chflags", "lchflags", "ttyname", "tcgetpgrp"),
)
CAPABILITIES = ("supports_dir_fd", "supports_fd", "supports_follow_symlinks", "supports_effective_ids")
OURS = ("chaos", "_pytest", "pluggy", "xdist", "tests")
NO_FOLDER = "/"


class DiskSeam(PatchingSeam):
    """Puts a disk under the code of simulated processes for as long as its world is entered."""

    def __init__(self, disk: SimDisk) -> None:
        super().__init__()
        self.disk = disk
        descriptors = DescriptorCalls(disk)
        paths = PathCalls(disk, descriptors)
        self._descriptors, self._paths, self._opener = descriptors, paths, Opener(paths, descriptors)
        self._replacements: dict[int, tuple[Any, Any]] = {}
        self._escapes: Escapes | None = None
        self._capable: list[tuple[set[Any], Any]] = []

    def patch(self, kernel: SimKernel) -> None:
        """Replace the calls."""
        self._escapes = next((seam for seam in kernel.seams if isinstance(seam, Escapes)), None)
        self._replacements = {}
        for name in BY_PATH:
            self._serve(kernel, os, name, getattr(self._paths, name), self._is_path_ours)
        for name in BY_TWO_PATHS:
            self._serve(kernel, os, name, getattr(self._paths, name), self._are_paths_ours)
        for name in BY_DESCRIPTOR:
            self._serve(kernel, os, name, getattr(self._descriptors, name), _is_descriptor_ours)
        for name in BY_FCNTL:
            self._serve(kernel, fcntl, name, getattr(self._descriptors, name), _is_descriptor_ours)
        self._serve(kernel, io, "open", self._opener.open, self._is_path_ours)
        self._serve(kernel, os, "getcwd", lambda: self.disk.mounts.home, _always)
        self._serve(kernel, os, "getcwdb", lambda: os.fsencode(self.disk.mounts.home), _always)
        self._serve(kernel, os, "umask", self._umask, _always)
        self._serve(kernel, os, "sync", self._sync, _always)
        self._serve(kernel, tempfile, "_gettempdir", lambda: self.disk.mounts.home, _always)
        for name in [name for name in REFUSED if hasattr(os, name)]:
            self._serve(kernel, os, name, _refusal(f"os.{name}()"), self._is_path_ours)
        self.patches.set(builtins, "open", io.open)
        self._rebind()
        self.bind()
        _entered.append(self.disk)

    def leave(self) -> None:
        """Put everything back."""
        super().leave()
        _entered.remove(self.disk)
        while self._capable:
            functions, function = self._capable.pop()
            functions.discard(function)

    def _serve(
        self,
        kernel: SimKernel,
        owner: Any,
        name: str,
        simulated: Callable[..., Any],
        is_ours: Callable[..., bool],
    ) -> None:
        if not hasattr(owner, name):
            return
        real = getattr(owner, name)
        is_inside = kernel.is_inside
        is_unreported = name in UNREPORTED

        def call(*args: Any, **kwargs: Any) -> Any:
            if not is_inside():
                return real(*args, **kwargs)
            try:
                if is_ours(*args, **kwargs):
                    return simulated(*(os.fspath(a) if isinstance(a, os.PathLike) else a for a in args), **kwargs)
            except OutsideError as outside:
                self._report(outside.path)
                raise OSError(2, os.strerror(2), outside.path) from None
            if is_unreported:
                if self._leads_to_a_mount(args[0]):
                    return _folder_above(name)
                self._report(args[0])
            return real(*args, **kwargs)

        call.__name__ = call.__qualname__ = name
        self.patches.set(owner, name, call)
        self._replacements[id(real)] = (real, call)
        for functions in (getattr(os, capability) for capability in CAPABILITIES):
            if real in functions:
                functions.add(call)
                self._capable.append((functions, call))

    def _is_path_ours(self, path: Any = ".", *_: Any, **named: Any) -> bool:
        path = named.get("path", named.get("file", path))
        if isinstance(path, int):
            return is_simulated(path)
        for key in ("dir_fd", "src_dir_fd", "dst_dir_fd"):
            if is_simulated(named.get(key)):
                return True
        return self._holds(path)

    def _are_paths_ours(self, _src: Any = "", dst: Any = "", *_: Any, **named: Any) -> bool:
        return self._is_path_ours(named.get("dst", dst), **{key: value for key, value in named.items() if "fd" in key})

    def _holds(self, path: Any) -> bool:
        try:
            text = os.fsdecode(os.fspath(path))
        except TypeError:
            return False  # The real call says what is wrong with it.
        return self.disk.mounts.holding(text) is not None

    def _leads_to_a_mount(self, path: Any) -> bool:
        return not isinstance(path, int) and self.disk.mounts.is_above(os.fsdecode(os.fspath(path)))

    def _report(self, path: Any) -> None:
        """Tell the guard of a call that the interpreter does not tell it of; it raises, or lets it pass."""
        if self._escapes is not None and not isinstance(path, int):
            self._escapes.hear("open", (path,))

    def _umask(self, mask: int) -> int:
        process = self.disk.kernel.current
        assert process is not None, "called inside only"
        before = self.disk.umask_of(process.number)
        self.disk.umasks[process.number] = mask & 0o777
        return before

    def _sync(self) -> None:
        for path, volume in self.disk.mounts.volumes.items():
            effect = self.disk.enter("sync", path)
            began = len(volume.log)
            self.disk.delay(effect)
            volume.sync_all(began)

    def _rebind(self) -> None:
        """Replace what was bound in the library's own classes: defaults, attributes."""
        closer: Any = tempfile
        closer = closer._TemporaryFileCloser  # noqa: SLF001 - its defaults hold the real unlink
        for function in (closer.__dict__.get("close"), closer.__dict__.get("cleanup")):
            if function is not None and function.__defaults__:
                self.patches.set(function, "__defaults__", tuple(self._replaced(d) for d in function.__defaults__))
        for globber in (getattr(glob, "_Globber", None), getattr(glob, "_StringGlobber", None)):
            if globber is not None and "scandir" in vars(globber):
                self.patches.set(globber, "scandir", staticmethod(os.scandir))

    def bind(self) -> None:
        """Replace the globals of modules that hold one of the calls."""
        for module, name, real in _bound_elsewhere(self._replacements):
            self.patches.set(module, name, self._replacements[id(real)][1])

    def _replaced(self, value: Any) -> Any:
        real, call = self._replacements.get(id(value), (None, None))
        return call if real is value and real is not None else value


_entered: list[SimDisk] = []


def syncfs(descriptor: int) -> int:
    """Do what Linux's ``syncfs`` does, on the disk of the world that is entered; give it to what would use ``ctypes``.

    Raises ``OSError``.
    """
    assert _entered, "expected a world with a disk to be entered"
    return _entered[-1].syncfs(descriptor)


def add_disk(kernel: SimKernel, **more: Any) -> SimDisk:
    """Give a world that has not been entered a disk, made with ``more``; folders are mounted on it afterwards."""
    disk = SimDisk(kernel, **more)
    kernel.disk = disk
    kernel.seams.append(DiskSeam(disk))
    return disk


def _always(*_: Any, **__: Any) -> bool:
    return True


def _is_descriptor_ours(fd: Any = -1, *args: Any, **named: Any) -> bool:
    numbers = [fd, *named.values(), *args[:1]]
    if not isinstance(fd, int) and hasattr(fd, "fileno"):
        numbers.append(fd.fileno())
    return any(is_simulated(number) for number in numbers)


def _refusal(call: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise NotSimulatedError(f"{call} on a simulated file", "do without it, or test it on a real disk")

    return refuse


def _folder_above(name: str) -> Any:
    """Answer for a folder that leads to a mounted one: it is there, and a folder."""
    if name == "access":
        return True
    if name == "readlink":
        raise OSError(22, os.strerror(22))
    if name == "statvfs":
        return os.statvfs(NO_FOLDER)
    return os.stat_result((stat.S_IFDIR | 0o755, 1, 0, 2, 0, 0, 4096, 0, 0, 0))


_new_modules = NewModules()
_bound: list[tuple[ModuleType, str, Any]] = []


def _bound_elsewhere(replacements: dict[int, tuple[Any, Any]]) -> list[tuple[ModuleType, str, Any]]:
    """Return every global of a module that is one of the real functions; each module is looked through once."""
    for module_name in _new_modules.names():
        module: Any = sys.modules[module_name]
        if isinstance(module, ModuleType) and not module_name.startswith((*OURS, "posix", "os", "io", "_io")):
            for name, value in list(vars(module).items()):
                if id(value) in replacements and replacements[id(value)][0] is value:
                    _bound.append((module, name, value))
    return [(module, name, value) for module, name, value in _bound if getattr(module, name, None) is value]
