"""Calls on names: rename, link, unlink, folders."""

from __future__ import annotations

import os
import re

from chaos.crash.recorder.arguments import data_of, name_of, number_of
from chaos.crash.recorder.calls import Call
from chaos.crash.recorder.names import Place, UnknownPathError
from chaos.crash.recorder.scribe import Scribe
from chaos.storage.operations import (
    ROOT,
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Node,
    RemoveFolder,
    Rename,
    Truncate,
    Unlink,
)

_OPEN_FILE = re.compile(r"/proc/(?:self|thread-self|\d+)/fd/(\d+)|/dev/fd/(\d+)")


def renamed(scribe: Scribe, call: Call) -> None:
    """``rename``, ``renameat``, ``renameat2``: replacing, or not; to exchange two names is not modelled."""
    first, second = (0, 1) if call.name == "rename" else (1, 3)
    origin, goal = scribe.place(call, first), scribe.place(call, second)
    flags = call.arguments[4] if call.name == "renameat2" else "0"
    if origin is None and goal is None:
        return
    if "RENAME_EXCHANGE" in flags or "RENAME_WHITEOUT" in flags:
        scribe.unmodelled(call, f"flags {flags}")
    elif goal is None and origin is not None:
        _moved_out(scribe, call, origin)
    elif origin is None or goal is None:
        scribe.unmodelled(call, f"{name_of(call.arguments[first])} came from outside the folder")
    else:
        _renamed_inside(scribe, call, origin, goal)


def _moved_out(scribe: Scribe, call: Call, origin: Place) -> None:
    node = _known(origin)
    if scribe.names.nodes[node].entries is not None:
        scribe.unmodelled(call, f"the folder {origin.name} went outside")
        return
    del scribe.names.entries(origin.folder)[origin.name]
    scribe.write(call, Unlink(origin.folder, origin.name))


def _renamed_inside(scribe: Scribe, call: Call, origin: Place, goal: Place) -> None:
    node = _known(origin)
    if node == goal.node:  # Two names of one file: the kernel does nothing.
        return
    del scribe.names.entries(origin.folder)[origin.name]
    scribe.names.entries(goal.folder)[goal.name] = node
    scribe.write(call, Rename(origin.folder, origin.name, goal.folder, goal.name))


def unlinked(scribe: Scribe, call: Call) -> None:
    """``unlink``, ``rmdir``, ``unlinkat``."""
    place = scribe.place(call, 1 if call.name == "unlinkat" else 0)
    if place is None:
        return
    node = _known(place)
    del scribe.names.entries(place.folder)[place.name]
    if call.name == "rmdir" or (call.name == "unlinkat" and "AT_REMOVEDIR" in call.arguments[2]):
        scribe.write(call, RemoveFolder(place.folder, place.name))
    else:
        scribe.write(call, Unlink(place.folder, place.name))
    if node == ROOT:
        scribe.unmodelled(call, "the recorded folder itself was removed")


def folder_made(scribe: Scribe, call: Call) -> None:
    """``mkdir``, ``mkdirat``."""
    place = scribe.place(call, 1 if call.name == "mkdirat" else 0)
    if place is not None:
        node = scribe.names.new(folder=True).node
        scribe.names.entries(place.folder)[place.name] = node
        mode = number_of(call.arguments[-1]) & ~scribe.start.umask
        scribe.write(call, MakeFolder(place.folder, place.name, node, mode))


def symlink_made(scribe: Scribe, call: Call) -> None:
    """``symlink``, ``symlinkat``."""
    place = scribe.place(call, len(call.arguments) - 1)
    if place is not None:
        target = os.fsdecode(data_of(call.arguments[0]) or b"")
        node = scribe.names.new(target=target).node
        scribe.names.entries(place.folder)[place.name] = node
        scribe.write(call, MakeSymlink(place.folder, place.name, node, target))


def linked(scribe: Scribe, call: Call) -> None:
    """``link``, ``linkat``; the file may be given by a descriptor's path in ``/proc``."""
    first, second = (0, 1) if call.name == "link" else (1, 3)
    follow = call.name == "linkat" and "AT_SYMLINK_FOLLOW" in call.arguments[4]
    goal = scribe.place(call, second)
    node = _linked_node(scribe, call, first, follow=follow)
    if goal is None and node is None:
        return
    if goal is None or node is None:
        scribe.unmodelled(call, "one file with a name inside the folder and one outside")
        return
    scribe.names.entries(goal.folder)[goal.name] = node
    scribe.write(call, Link(goal.folder, goal.name, node))


def _linked_node(scribe: Scribe, call: Call, index: int, *, follow: bool) -> Node | None:
    if (by_number := _OPEN_FILE.fullmatch(name_of(call.arguments[index]))) is not None:
        slot = scribe.processes.of(call.pid).table.get(int(by_number.group(1) or by_number.group(2)))
        return slot.file.node if slot else None
    place = scribe.place(call, index, follow=follow)
    return _known(place) if place is not None else None


def special_made(scribe: Scribe, call: Call) -> None:
    """``mknod``, ``mknodat``: an empty file, or something that holds no bytes, which is not modelled."""
    at = 1 if call.name == "mknodat" else 0
    place = scribe.place(call, at)
    if place is None:
        return
    kind = call.arguments[at + 1]
    if "S_IFREG" not in kind:
        scribe.unmodelled(call, f"a special file {place.name} ({kind})")
        return
    node = scribe.names.new().node
    scribe.names.entries(place.folder)[place.name] = node
    scribe.write(call, MakeFile(place.folder, place.name, node))


def cut_by_name(scribe: Scribe, call: Call) -> None:
    """``truncate``."""
    place = scribe.place(call, 0, follow=True)
    if place is not None:
        node, size = _known(place), number_of(call.arguments[1])
        scribe.names.nodes[node].size = size
        scribe.write(call, Truncate(node, size))


def folder_changed(scribe: Scribe, call: Call) -> None:
    """``chdir``, ``fchdir``: where relative paths begin from now on."""
    from_descriptor = scribe.absolute(call, ".", call.arguments[0]) if call.name == "fchdir" else None
    path = from_descriptor or scribe.absolute(call, name_of(call.arguments[0]))
    scribe.processes.changed_folder(call.pid, os.path.realpath(path) if os.path.isdir(path) else os.path.normpath(path))


def _known(place: Place) -> Node:
    if place.node is None:
        raise UnknownPathError(f"{place.name} is not known to the log")
    return place.node
