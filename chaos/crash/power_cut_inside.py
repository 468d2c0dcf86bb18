"""The process inside the private mount namespace: it runs a program on the small disk and cuts the power.

* One JSON object per line on stdin, one answer per line on stdout; it ends with its stdin, or with an alarm. Its whole
  process namespace ends with it, and so does the mount.
* A request is ``command`` (``{dir}`` is filled in), ``after_lines`` and ``delay_s`` (when to cut: so long after so many
  lines of its stdout, or when it has ended), ``flush`` (what the kernel's own writeback may have done shortly before:
  nothing, data, everything), ``trace`` (a path: run it under strace).
* The answer is ``contents`` (see ``packed``), ``printed`` and ``ended`` (before the cut), ``folder``, ``stdout``.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from chaos.crash.power_cut_disk import DiskError, PowerCutDisk
from chaos.crash.recorder.real_folder import scan
from chaos.crash.recorder.strace import command_line, end_traced, signal_traced, strace_available
from chaos.errors import ChaosError
from chaos.storage.tree import Contents, Symlink

LIMIT_S = 60  # For one cut; an alarm ends the process, and with it everything in its namespaces.
PROGRAM_LIMIT_S = 30
SYNC_FILE_RANGE_WRITE_AND_WAIT = 0x7
READ_BYTES = 1 << 16
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Serve requests until stdin ends. Arguments: file system, empty folder, mount options."""
    filesystem, place, options = sys.argv[1:4]
    disk = PowerCutDisk(filesystem, Path(place), options)
    signal.alarm(LIMIT_S)
    try:
        disk.make()
    except DiskError as error:
        _say({"error": str(error)})
        return
    _say({"ready": os.fspath(disk.root)})
    for number, line in enumerate(sys.stdin):
        signal.alarm(LIMIT_S)
        try:
            _say(answer_of(disk, number, json.loads(line)))
        except (DiskError, OSError, ChaosError) as error:
            _say({"error": f"{type(error).__name__}: {error}"})
            return
    disk.unmount()


def _say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def answer_of(disk: PowerCutDisk, number: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the program in a new folder, cut the power, and return what is left after the recovery."""
    folder = disk.root / f"subject-{number}"
    folder.mkdir()
    os.sync()  # The folder itself was there before.
    words = [str(word).replace("{dir}", str(folder)) for word in request["command"]]
    if trace := request.get("trace"):
        words = command_line(strace_available(), Path(trace), words)
    read, write = os.pipe()
    stdout = os.readlink(f"/proc/self/fd/{write}")
    program = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.DEVNULL)  # noqa: S603
    os.close(write)
    try:
        printed, ended = _until_moment(read, int(request["after_lines"]), float(request["delay_s"]))
        _write_back(folder, str(request["flush"]))
        printed += _last_words(read)
        disk.cut()
    finally:
        if trace:
            end_traced(program)
        else:
            signal_traced(program, signal.SIGKILL)  # Its children; it is not strace, but their parent all the same.
            program.kill()
            program.wait()
        os.close(read)
    disk.recover()
    contents = scan(str(folder)).contents()
    return {
        "contents": packed(contents),
        "printed": printed.decode("utf-8", "surrogateescape"),
        "ended": ended,
        "folder": str(folder),
        "stdout": stdout,
    }


def _until_moment(read: int, after_lines: int, delay_s: float) -> tuple[bytes, bool]:
    """Read the program's lines until the moment has come; return them, and whether it had ended by itself."""
    printed, limit = b"", monotonic() + PROGRAM_LIMIT_S
    while printed.count(b"\n") < after_lines:
        more = _read(read, limit - monotonic())
        if more is None:
            return printed, True
        printed += more
    moment = monotonic() + delay_s
    while (left := moment - monotonic()) > 0:
        more = _read(read, left, at_limit=b"")
        if more is None:
            return printed, True
        printed += more
    return printed, False


def _last_words(read: int) -> bytes:
    """Return what the program has printed by now: it was seen before the cut; nothing later counts."""
    printed = b""
    while more := _read(read, 0, at_limit=b""):
        printed += more
    return printed


def _read(read: int, limit_s: float, at_limit: bytes | None = None) -> bytes | None:
    """Return what the program printed; None when it has ended, ``at_limit`` when there is nothing in time."""
    if not select.select([read], [], [], max(0.0, limit_s))[0]:
        if at_limit is None:
            raise DiskError(f"expected more lines of the program within {PROGRAM_LIMIT_S} s, found none")
        return at_limit
    return os.read(read, READ_BYTES) or None


def _write_back(folder: Path, flush: str) -> None:
    """Do what the kernel may do at any time by itself: write dirty data (``data``), or everything (``all``)."""
    if flush == "all":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            LIBC.syncfs(descriptor)
        finally:
            os.close(descriptor)
    elif flush == "data":
        for path in sorted(folder.rglob("*")):
            _write_back_file(path)


def _write_back_file(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # It was renamed or removed since, which is the program's good right.
        return
    try:
        LIBC.sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE_AND_WAIT)
    finally:
        os.close(descriptor)


def packed(contents: Contents) -> dict[str, Any]:
    """Return contents as JSON data: null for a folder, a list of one for a link's target, base64 for a file."""
    return {
        path: None if leaf is None else [leaf.target] if isinstance(leaf, Symlink) else base64.b64encode(leaf).decode()
        for path, leaf in contents.items()
    }


def unpacked(data: Mapping[str, Any]) -> dict[str, bytes | Symlink | None]:
    """Return contents that were ``packed``."""
    return {
        path: None if leaf is None else Symlink(leaf[0]) if isinstance(leaf, list) else base64.b64decode(leaf)
        for path, leaf in data.items()
    }


if __name__ == "__main__":
    main()
