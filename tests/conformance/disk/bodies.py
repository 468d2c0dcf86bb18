"""What a program may do with a disk, call by call; each body returns what it was told, for comparison."""

# mypy: disable-error-code="func-returns-value"
# ruff: noqa: TID251
# What a call that returns nothing returns is compared, too, and every call of a disk has to be made here.

from __future__ import annotations

import errno
import fcntl
import io
import logging
import logging.handlers
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

import filelock

from tests.conformance.disk.both_disks import told, tree


def writing_and_reading(folder: Path) -> Any:
    path = folder / "a"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    said = [os.write(fd, b"hello world"), os.lseek(fd, 6, os.SEEK_SET), os.read(fd, 100), os.read(fd, 1)]
    said += [os.pread(fd, 4, 1), os.pwrite(fd, b"J", 0), os.lseek(fd, 0, os.SEEK_CUR), os.lseek(fd, -1, os.SEEK_END)]
    said += [told(os.lseek, fd, -1, os.SEEK_SET), told(os.fsync, fd), told(os.fdatasync, fd), os.fstat(fd).st_size]
    said += [os.ftruncate(fd, 3), os.pread(fd, 9, 0), os.ftruncate(fd, 5), os.pread(fd, 9, 0), os.isatty(fd)]
    said += [os.writev(fd, [b"x", b"yz"]), os.pread(fd, 99, 0)]
    buffers = [bytearray(2), bytearray(9)]
    os.lseek(fd, 0, os.SEEK_SET)
    said += [os.readv(fd, buffers), buffers, os.close(fd), told(os.close, fd), told(os.read, fd, 1)]
    return said, path.read_bytes()


def opening_wrongly(folder: Path) -> Any:
    (folder / "file").write_bytes(b"x")
    (folder / "sub").mkdir()
    (folder / "link").symlink_to("file")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    said = [told(os.open, folder / "none", os.O_RDONLY), told(os.open, str(folder / "none" / "x"), os.O_RDONLY)]
    said += [told(os.open, folder / "file", flags), told(os.open, folder / "file" / "x", os.O_RDONLY)]
    said += [told(os.open, folder / "sub", os.O_WRONLY), told(os.open, folder / "link", os.O_RDONLY | os.O_NOFOLLOW)]
    said += [told(os.open, folder / "file", os.O_RDONLY | os.O_DIRECTORY), told(os.open, folder / "link", flags)]
    said += [told(os.open, folder / "loop", os.O_RDONLY), told(os.open, str(folder) + "/file/", os.O_RDONLY)]
    said += [told(os.open, folder / ("n" * 256), os.O_CREAT | os.O_WRONLY), told(os.open, "", os.O_RDONLY)]
    said += [told(os.open, os.fsencode(folder / "none"), os.O_RDONLY), told(os.stat, folder / "dangling")]
    said += [told(open, folder / "sub"), told(open, folder / "none"), told(open, folder / "sub", "w")]
    said += [told((folder / "none").read_text), told(open, folder / "file", "rw"), told(open, folder / "file", "wxb")]
    said += [told(open, folder / "file", "rb", encoding="utf-8"), told(open, folder / "file", "r", 0)]
    return said


def using_descriptors_wrongly(folder: Path) -> Any:
    (folder / "f").write_bytes(b"abc")
    reading, writing = os.open(folder / "f", os.O_RDONLY), os.open(folder / "f", os.O_WRONLY)
    sub = os.open(folder, os.O_RDONLY)
    said = [told(os.write, reading, b"x"), told(os.read, writing, 1), told(os.read, sub, 1)]
    said += [told(os.ftruncate, reading, 0), told(os.write, sub, b"x"), told(os.fsync, sub), os.fsync(reading)]
    copy = os.dup(reading)
    said += [os.read(reading, 1), os.read(copy, 1), os.close(reading), os.read(copy, 1)]
    for fd in (copy, writing, sub):
        os.close(fd)
    return said


def naming(folder: Path) -> Any:
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"2")
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "f").write_bytes(b"3")
    said = [told(os.mkdir, folder / "d"), told(os.mkdir, folder / "x" / "y"), told(os.rmdir, folder / "d")]
    said += [told(os.rmdir, folder / "a"), told(os.rmdir, folder / "none"), told(os.unlink, folder / "none")]
    said += [told(os.unlink, folder / "d"), told(os.remove, folder / "d"), told(os.rename, folder / "n", folder / "m")]
    said += [told(os.rename, folder / "a", folder / "d"), told(os.rename, folder / "d", folder / "a")]
    said += [told(os.rename, folder / "d", folder / "d" / "e" / "g"), told(os.rename, folder / "a", folder / "q" / "r")]
    said += [told(os.replace, folder / "none", folder / "a"), told(os.rename, folder / "a", folder / "a")]
    said += [told(os.link, folder / "a", folder / "b"), told(os.link, folder / "a", folder / "h")]
    said += [
        told(os.link, folder / "none", folder / "z"),
        told(os.symlink, "t", folder / "a"),
        told(os.link, folder, folder / "z"),
    ]
    said += [os.stat(folder / "h").st_nlink, told(os.rename, folder / "a", folder / "b"), tree(folder)]
    os.rename(folder / "d", folder / "moved")
    os.mkdir(folder / "empty")
    said += [told(os.rename, folder / "moved", folder / "empty"), told(os.rename, folder / "empty", folder / "empty/")]
    said += [(folder / "h").read_bytes(), os.stat(folder / "h").st_nlink, tree(folder)]
    return said


def looking(folder: Path) -> Any:
    (folder / "f").write_bytes(b"12345")
    (folder / "d").mkdir()
    (folder / "l").symlink_to(folder / "f")
    (folder / "ld").symlink_to("d")
    (folder / "d" / "up").symlink_to("../f")
    said: list[Any] = [os.stat(folder / "f").st_size, os.lstat(folder / "l").st_size == len(str(folder / "f"))]
    for name in ("f", "d", "l", "ld"):
        path = folder / name
        said += [path.exists(), path.is_file(), path.is_dir(), path.is_symlink(), os.path.lexists(path)]
        said += [stat.S_IFMT(os.stat(path).st_mode), stat.S_IFMT(os.lstat(path).st_mode), os.stat(path).st_nlink]
    said += [os.readlink(folder / "ld"), told(os.readlink, folder / "f"), (folder / "d" / "up").read_bytes()]
    said += [
        (folder / "ld" / ".." / "f").resolve(),
        os.path.realpath(folder / "ld" / "up"),
        told(os.readlink, folder / "n"),
    ]
    said += [os.access(folder / "f", os.R_OK), os.access(folder / "n", os.F_OK), os.access(folder / "f", os.X_OK)]
    said += [told(os.stat, folder / "n"), told(os.lstat, str(folder / "f" / "x")), told(os.listdir, folder / "f")]
    said += [sorted(os.listdir(folder)), sorted(os.listdir(os.fsencode(folder))), told(os.scandir, folder / "n")]
    said += [os.path.samefile(folder / "l", folder / "f"), sorted(p.name for p in folder.rglob("*")), folder.is_dir()]
    said += [sorted(p.name for p in folder.glob("**/u*")), sorted(p.name for p in folder.iterdir())]
    return said


def scanning(folder: Path) -> Any:
    (folder / "f").write_bytes(b"1")
    (folder / "d").mkdir()
    (folder / "l").symlink_to("f")
    (folder / "broken").symlink_to("none")
    said: list[Any] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            said.append((entry.name, entry.path, os.fspath(entry), entry.is_file(), entry.is_dir(), entry.is_symlink()))
            said.append((entry.is_file(follow_symlinks=False), told(lambda e: e.stat().st_size > 0, entry)))
            said.append(entry.inode() == os.lstat(entry.path).st_ino)
    said.sort(key=repr)
    fd = os.open(folder, os.O_RDONLY)
    with os.scandir(fd) as entries:
        said.append(sorted((entry.name, entry.path) for entry in entries))
    said.append(sorted(os.listdir(fd)))
    os.close(fd)
    return said


def relative_to_a_descriptor(folder: Path) -> Any:
    (folder / "d").mkdir()
    fd = os.open(folder / "d", os.O_RDONLY)
    inner = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    said: list[Any] = [os.write(inner, b"abc"), os.close(inner), os.stat("f", dir_fd=fd).st_size]
    os.mkdir("e", dir_fd=fd)
    os.rename("f", "g", src_dir_fd=fd, dst_dir_fd=fd)
    os.symlink("g", "s", dir_fd=fd)
    said += [os.readlink("s", dir_fd=fd), os.listdir(folder / "d").sort(), told(os.unlink, "f", dir_fd=fd)]
    os.unlink("g", dir_fd=fd)
    os.rmdir("e", dir_fd=fd)
    os.close(fd)
    return said, sorted(os.listdir(folder / "d"))


def modes_and_times(folder: Path) -> Any:
    path = folder / "f"
    path.write_bytes(b"")
    said: list[Any] = [oct(path.stat().st_mode)]
    os.chmod(path, 0o640)
    said.append(oct(path.stat().st_mode))
    path.chmod(0o4755)
    fd = os.open(path, os.O_RDONLY)
    os.fchmod(fd, 0o400)
    os.close(fd)
    said += [oct(path.stat().st_mode), os.access(path, os.X_OK)]
    os.utime(path, (1000, 2000.5))
    said += [path.stat().st_atime, path.stat().st_mtime, path.stat().st_mtime_ns]
    os.utime(path, ns=(5, 7_000_000_001))
    said += [path.stat().st_atime_ns, path.stat().st_mtime_ns, path.stat().st_mtime]
    before = os.umask(0o077)
    (folder / "private").mkdir()
    os.umask(before)
    said += [
        oct(before),
        oct((folder / "private").stat().st_mode),
        told(os.chmod, folder / "n", 0),
        told(os.utime, folder / "n"),
    ]
    times = []
    for change in (
        lambda: path.write_bytes(b"x"),
        lambda: os.rename(path, folder / "g"),
        lambda: os.unlink(folder / "g"),
    ):
        os.utime(folder, ns=(0, 0))
        change()
        times.append(folder.stat().st_mtime_ns == 0)
    return said, times


def file_objects(folder: Path) -> Any:
    path = folder / "t.txt"
    said: list[Any] = []
    with path.open("w", encoding="utf-8", newline="\n") as file:
        said += [file.write("äöü\n"), file.write("second\nthird"), file.tell(), file.name, file.mode, file.encoding]
        said += [file.readable(), file.writable(), file.seekable(), file.isatty(), told(file.read)]
    with path.open(encoding="utf-8") as file:
        said += [file.readline(), list(file), file.read(), told(file.write, "x")]
    with open(path, "a+b") as raw:
        said += [raw.tell(), raw.write(b"!"), raw.seek(2), raw.read(3), raw.mode, raw.name]
    with open(path, "r+b") as raw:
        said += [
            raw.read(2),
            raw.write(b"??"),
            raw.seek(0),
            raw.read(),
            raw.truncate(4),
            raw.seek(0),
            raw.read(),
            raw.mode,
        ]
    with open(path, "rb", buffering=0) as unbuffered:
        said += [
            isinstance(unbuffered, io.RawIOBase),
            unbuffered.readall(),
            unbuffered.mode,
            unbuffered.readinto(bytearray(3)),
        ]
    with open(path, "wb", buffering=0) as unbuffered:
        said += [unbuffered.write(b"abc"), unbuffered.tell(), told(unbuffered.read, 1)]
    said += [told(open, path, "x"), path.read_bytes(), told(unbuffered.write, b"x"), unbuffered.closed]
    fd = os.open(path, os.O_RDWR)
    with open(fd, "r+", closefd=False) as file:
        said.append(file.read())
    said.append(os.fstat(fd).st_size)
    with os.fdopen(fd, "wb") as raw:
        said += [raw.write(b"zz"), raw.fileno() == fd]
    said += [told(os.fstat, fd)[1], path.read_text(encoding="ascii"), path.write_text("ü", encoding="utf-8")]
    with io.open(path, "rb", opener=os.open) as opened:  # noqa: UP020
        said.append(opened.peek(1)[:1])
    return said


def temporary_files(folder: Path) -> Any:
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".x") as file:
        file.write(b"abc")
        file.flush()
        said: list[Any] = [os.path.getsize(file.name), os.path.dirname(file.name), oct(os.stat(file.name).st_mode)]
    said.append(os.path.exists(file.name))
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        Path(inner, "a", "b").mkdir(parents=True)
        Path(inner, "a", "b", "c").write_text("x")
        said.append(len(list(Path(inner).rglob("*"))))
    fd, name = tempfile.mkstemp(dir=folder)
    said += [os.write(fd, b"1"), os.close(fd), os.unlink(name), os.listdir(folder)]
    with tempfile.TemporaryFile(dir=folder) as nameless:
        said += [nameless.write(b"abc"), nameless.seek(0), nameless.read(), os.listdir(folder)]
    with tempfile.SpooledTemporaryFile(max_size=2, dir=str(folder)) as spooled:
        said += [spooled.write(b"abc"), spooled.seek(0), spooled.read()]
    return said


def whole_trees(folder: Path) -> Any:
    source = folder / "s"
    (source / "d" / "e").mkdir(parents=True)
    (source / "d" / "f").write_bytes(b"x" * 70_000)
    (source / "l").symlink_to("d")
    shutil.copytree(source, folder / "copy", symlinks=True)
    said: list[Any] = [
        tree(folder),
        shutil.copy(source / "d" / "f", folder / "one"),
        shutil.copy2(folder / "one", folder / "two"),
    ]
    os.chmod(folder / "one", 0o600)
    shutil.copymode(folder / "one", folder / "two")
    said += [oct((folder / "two").stat().st_mode), shutil.copyfile(folder / "one", folder / "three").stat().st_size]
    said += [shutil.move(folder / "copy", folder / "moved"), told(shutil.copyfile, folder / "one", folder / "one")[0]]
    said += [told(shutil.rmtree, folder / "none"), told(shutil.rmtree, folder / "one"), shutil.rmtree(source)]
    usage = shutil.disk_usage(folder)
    said += [usage.total > usage.free > 0, os.statvfs(folder).f_bsize > 0, tree(folder), os.makedirs(folder / "p/q/r")]
    os.removedirs(folder / "p/q/r")
    return said, sorted(os.listdir(folder))


def locks(folder: Path) -> Any:
    path = folder / "lock"
    one, two = os.open(path, os.O_RDWR | os.O_CREAT), os.open(path, os.O_RDWR)
    said: list[Any] = [fcntl.flock(one, fcntl.LOCK_EX), told(fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)]
    said += [told(fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB), fcntl.flock(one, fcntl.LOCK_SH)]
    said += [fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB), told(fcntl.flock, one, fcntl.LOCK_EX | fcntl.LOCK_NB)]
    said += [fcntl.flock(two, fcntl.LOCK_UN), fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)]
    copy = os.dup(one)
    os.close(one)
    said += [told(fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB), os.close(copy)]
    said += [fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB), told(fcntl.flock, one, fcntl.LOCK_EX)]
    said += [fcntl.lockf(two, fcntl.LOCK_EX | fcntl.LOCK_NB, 10), fcntl.lockf(two, fcntl.LOCK_UN), os.close(two)]
    lock, other = filelock.FileLock(folder / "f.lock", is_singleton=False), filelock.FileLock(folder / "f.lock")
    lock.acquire(blocking=False)
    said.append(told_timeout(other))
    lock.release()
    other.acquire(blocking=False)
    said += [other.is_locked, other.release()]
    return said


def told_timeout(lock: filelock.BaseFileLock) -> str:
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as timeout:
        return str(timeout)
    return "taken"


def logging_to_files(folder: Path) -> Any:
    handler = logging.handlers.RotatingFileHandler(folder / "log.txt", maxBytes=60, backupCount=2, encoding="utf-8")
    plain = logging.FileHandler(folder / "plain.txt", delay=True)
    for number in range(9):
        for each in (handler, plain):
            each.handle(logging.LogRecord("x", logging.INFO, "", 0, f"line number {number}", (), None))
    handler.close()
    plain.close()
    return tree(folder)


def files_without_a_name(folder: Path) -> Any:
    fd = os.open(folder / "f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"abc")
    os.unlink(folder / "f")
    said: list[Any] = [
        os.pread(fd, 9, 0),
        os.fstat(fd).st_nlink,
        os.write(fd, b"d"),
        os.fstat(fd).st_size,
        os.close(fd),
    ]
    sub = folder / "d"
    sub.mkdir()
    fd = os.open(sub, os.O_RDONLY)
    sub.rmdir()
    said += [told(os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd), os.listdir(fd), os.close(fd)]
    return said


def appending(folder: Path) -> Any:
    path = folder / "a"
    one, two = (os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) for _ in range(2))
    for number in range(3):
        os.write(one, b"1%d" % number)
        os.write(two, b"2%d" % number)
    os.close(one)
    os.close(two)
    fd = os.open(path, os.O_RDWR | os.O_TRUNC)
    said = [os.fstat(fd).st_size, os.pwrite(fd, b"x", 5), os.pread(fd, 9, 0), os.close(fd)]
    return said, told(os.truncate, path, 2), path.read_bytes(), told(os.truncate, folder / "n", 1), errno.ENOENT


BODIES = [
    writing_and_reading, opening_wrongly, using_descriptors_wrongly, naming, looking, scanning,
    relative_to_a_descriptor, modes_and_times, file_objects, temporary_files, whole_trees, locks, logging_to_files,
    files_without_a_name, appending,
]  # fmt: skip
