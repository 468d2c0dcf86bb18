"""The watchdog process: it keeps the run's undo list, and performs it when the runner is done or gone.

* It is started by ``chaos.live.watchdog`` as ``python -I -S``, in a session of its own, deaf to the terminal's signals,
  and imports only light parts of the standard library: about 10 ms from its start to its first answer.
* One request per line, ``number TAB verb TAB arguments``; one answer per line, ``number TAB ok`` or
  ``number TAB no TAB reason``. A request that was written counts, also when the runner dies before its answer.
* The runner is gone when its end of the socket is closed, or when its process has ended (its end may live on in a
  forked child). Then every process still on the list is killed with its family, then every folder is removed.
* Nothing else is ever touched: a process whose start differs from the recorded one is not signalled, a folder is taken
  on the list only directly in the temporary folder, under our prefix, before it exists or while it is ours.
* A process with a jumping clock leaves shared memory of libfaketime: files of fixed names with its pid, and ours.
* Bounded: an alarm ends the watchdog ``LIMIT_S`` after it began to undo, whatever happens.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time

from chaos.live.process_table import end_family, open_pidfd

PREFIX = "pywats-chaos-"
LIMIT_S = 10
PROCESSES_LIMIT_S = 6.0
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where libfaketime leaves its segments
SEGMENTS = ("faketime_shm_", "faketime_sem_", "sem.faketime_sem_")
DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGUSR1, signal.SIGUSR2)


class UndoList:
    """What has to be undone, by the number of the request that asked for it."""

    def __init__(self, temporary: str) -> None:
        self._temporary = temporary
        self._processes: dict[str, tuple[int, int, str]] = {}
        self._folders: dict[str, str] = {}
        self._clocks: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"UndoList({len(self._processes)} processes, {len(self._folders)} folders)"

    def take(self, number: str, verb: str, arguments: list[str]) -> str:
        """Carry out one request and return the reason for refusing it, empty when it was accepted."""
        if verb == "process":
            pid, started, mark = arguments
            self._processes[number] = (int(pid), int(started), mark)
        elif verb == "folder":
            reason = refusal(arguments[0], self._temporary)
            if reason:
                return reason
            self._folders[number] = arguments[0]
        elif verb == "clock":
            self._clocks[number] = int(arguments[0])
        elif verb == "forget":
            wanted = arguments[0]
            known = self._processes.pop(wanted, None) or self._folders.pop(wanted, None)
            return "" if known or self._clocks.pop(wanted, None) else f"no entry {wanted}"
        else:
            return f"no such request: {verb}"
        return ""

    def perform(self) -> tuple[list[str], list[str]]:
        """Undo all that is left; return what was undone and what could not be."""
        done: list[str] = []
        left: list[str] = []
        deadline = time.monotonic() + PROCESSES_LIMIT_S
        for pid, started, mark in reversed(self._processes.values()):
            ended, living = end_family(pid, started, mark, max(0.1, deadline - time.monotonic()))
            done += [f"killed process {row.pid}" for row in ended]
            left += [f"process {row.pid} still lives" for row in living]
        for pid in self._clocks.values():
            done += [f"removed {name}" for name in remove_segments(pid)]
        for folder in reversed(self._folders.values()):
            try:
                if remove_tree(folder):
                    done.append(f"removed {folder}")
            except (OSError, ValueError) as error:
                left.append(f"could not remove {folder}: {error}")
        return done, left


def remove_segments(pid: int) -> list[str]:
    """Remove what libfaketime has left of a process of ours that has ended; return the names.

    Nothing but plain files of its three names in the place for shared memory, and of this very user.
    """
    removed = []
    for name in (f"{stem}{pid:d}" for stem in SEGMENTS):
        path = os.path.join(SHARED_MEMORY, name)
        try:
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
                os.unlink(path)
                removed.append(path)
        except FileNotFoundError:
            continue
    return removed


def refusal(folder: str, temporary: str) -> str:
    """Return why that folder must not be removed by us, or nothing when it may be."""
    parent, name = os.path.split(folder)
    if parent != temporary or not name.startswith(PREFIX):
        return f"it is not {temporary}/{PREFIX}…"
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return ""
    if not stat.S_ISDIR(found.st_mode):
        return "it exists and is no folder"
    return "" if found.st_uid == os.getuid() else "it exists and belongs to another user"


def remove_tree(folder: str) -> bool:
    """Remove the folder with all that is in it, and return whether it was there.

    Links are removed, not followed; what is mounted inside is not entered. Raises ``OSError`` for what stays, and
    ``ValueError`` for a folder without our prefix: a second lock, apart from ``refusal``, because a mistake in one
    check must never be enough to remove something else.
    """
    if not os.path.isabs(folder) or os.path.normpath(folder) != folder or not _is_ours(folder):
        raise ValueError(f"{folder} is no {PREFIX}… folder; nothing was removed")
    try:
        device = os.lstat(folder).st_dev
    except FileNotFoundError:
        return False
    _empty(folder, device)
    os.rmdir(folder)
    return True


def _is_ours(folder: str) -> bool:
    return os.path.basename(folder).startswith(PREFIX) and len(os.path.basename(folder)) > len(PREFIX)


def _empty(folder: str, device: int) -> None:
    os.chmod(folder, stat.S_IRWXU)
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
        elif entry.stat(follow_symlinks=False).st_dev != device:
            raise OSError(f"{entry.path} is a mount point")
        else:
            _empty(entry.path, device)
            os.rmdir(entry.path)


def serve(descriptor: int, runner: int | None, undo_list: UndoList) -> str:
    """Answer requests until the runner says ``done`` (return the number of that request) or is gone (empty)."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    if runner is not None:
        waiting.register(runner, select.POLLIN)
    unread = b""
    while True:
        ready = [event[0] for event in waiting.poll()]
        if descriptor not in ready:
            # Only the runner's process has ended; its socket is held open by a fork of it, and may hold requests yet.
            os.set_blocking(descriptor, False)
        try:
            received = os.read(descriptor, 65536)
        except (BlockingIOError, ConnectionResetError):
            received = b""
        if not received:
            return ""
        *lines, unread = (unread + received).split(b"\n")
        for line in lines:
            number, verb, *arguments = line.decode().split("\t")
            if verb == "done":
                return number
            reason = undo_list.take(number, verb, arguments)
            _answer(descriptor, f"{number}\tno\t{reason}\n" if reason else f"{number}\tok\n")


def _answer(descriptor: int, line: str) -> None:
    try:
        os.write(descriptor, line.encode())
    except (BrokenPipeError, ConnectionResetError, BlockingIOError):
        return  # The runner is gone; the next read says so, and the undo list is performed.


def main() -> None:
    """Serve the runner named on the command line: descriptor, pid, start, temporary folder."""
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    descriptor, pid, started, temporary = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    undo_list = UndoList(temporary)
    request = serve(descriptor, open_pidfd(pid, started), undo_list)
    signal.alarm(LIMIT_S)
    done, left = undo_list.perform()
    if request:
        _answer(descriptor, "\t".join([request, "ok", str(len(done)), *done, *left]) + "\n")
    elif done or left:
        sys.stderr.write(f"pywats-chaos: the run ended without cleaning up; {'; '.join(done + left)}\n")
