"""Calls on open files: open, write, position, sync, cut, close and duplicate."""

from __future__ import annotations

from chaos.crash.recorder.arguments import descriptor, number_of, parts_of, unhex
from chaos.crash.recorder.calls import Call
from chaos.crash.recorder.descriptors import OpenFile, Slot, closed_range
from chaos.crash.recorder.names import Place, UnknownPathError
from chaos.crash.recorder.scribe import Scribe, target_of
from chaos.storage.operations import Close, MakeFile, Sync, SyncAll, SyncFailed, Truncate, Write

WITHOUT_OFFSET = -1  # pwritev2 and preadv2: at the position, as write and read.


def opened(scribe: Scribe, call: Call) -> None:
    """``open``, ``openat``, ``openat2``, ``creat``."""
    path_at = 0 if call.name in {"open", "creat"} else 1
    flags = "O_CREAT|O_WRONLY|O_TRUNC" if call.name == "creat" else call.arguments[path_at + 1]
    seen = descriptor(call.note)
    words = set(flags.replace("{flags=", "").split("|"))
    if seen is None or ("O_PATH" in words and not scribe.names.counts(seen.target)):
        return
    place = _opened_place(scribe, call, path_at)
    if place is None:
        return
    if "O_TMPFILE" in words:
        scribe.unmodelled(call, "a file without a name (O_TMPFILE)")
        return
    if place.node is None:
        if "O_CREAT" not in words:
            raise UnknownPathError(f"{place.name} was opened, but is not known to the log")
        node = scribe.names.new().node
        scribe.names.entries(place.folder)[place.name] = node
        scribe.write(call, MakeFile(place.folder, place.name, node, _mode(scribe, call)))
    else:
        node = place.node
        if "O_TRUNC" in words and scribe.names.nodes[node].size:
            scribe.names.nodes[node].size = 0
            scribe.write(call, Truncate(node, 0))
    syncs = bool(words & {"O_SYNC", "O_DSYNC"})
    file = OpenFile(node, appends="O_APPEND" in words, syncs=syncs, data_only="O_DSYNC" in words)
    assert call.result is not None
    scribe.processes.of(call.pid).table[call.result] = Slot(file, "O_CLOEXEC" in words)


def _opened_place(scribe: Scribe, call: Call, path_at: int) -> Place | None:
    """Where the kernel says the new descriptor leads to; by the path that was asked for when it has no name by now."""
    seen = target_of(call.note)
    if not seen.deleted and seen.target.startswith("/"):
        return scribe.names.place(seen.target) if scribe.names.counts(seen.target) else None
    return scribe.place(call, path_at, follow=True) if seen.deleted else None


def _mode(scribe: Scribe, call: Call) -> int:
    last = call.arguments[-1]
    return number_of(last) & ~scribe.start.umask if last[:1] == "0" else 0o644


def write_begins(scribe: Scribe, call: Call) -> None:
    """Find the file when the call begins: its descriptor may be another's by the time it ends."""
    call.held = [scribe.file(call, call.arguments[0])]


def written(scribe: Scribe, call: Call) -> bool:
    """``write``, ``writev``, ``pwrite64``, ``pwritev``, ``pwritev2``; False when it went to no file that counts."""
    file: OpenFile | None = call.held[0]
    if file is None:
        return False
    data, count = data_written(call), call.result or 0
    named = scribe.names.nodes[file.node]
    offset = number_of(call.arguments[3]) if call.name.startswith("p") else WITHOUT_OFFSET
    at = named.size if file.appends else file.position if offset == WITHOUT_OFFSET else offset
    if len(data) != count:
        scribe.unmodelled(call, f"{count} bytes were written, the trace shows {len(data)}")
        return True
    if offset == WITHOUT_OFFSET:
        file.position = at + count
    if count:
        named.size = max(named.size, at + count)
        scribe.write(call, Write(file.node, at, data))
    flags = call.arguments[-1] if call.name == "pwritev2" else ""
    if file.syncs or "RWF_SYNC" in flags or "RWF_DSYNC" in flags:
        data_only = file.data_only or "RWF_DSYNC" in flags
        scribe.write(call, Sync(file.node, data_only, began=len(scribe.entries)))
    return True


def data_written(call: Call) -> bytes:
    """Return the bytes that a write took, as far as the trace shows them."""
    given = call.arguments[1]
    data = parts_of(given) if call.name in {"writev", "pwritev", "pwritev2"} else unhex(given[1 : given.rindex('"')])
    return data[: call.result or 0]


def moved(scribe: Scribe, call: Call) -> None:
    """``read``, ``readv``, ``preadv2``, ``lseek``: only the position matters; traced raw, without paths."""
    slot = scribe.processes.of(call.pid).table.get(number_of(call.arguments[0]))
    if slot is None or call.result is None:
        return
    if call.name == "lseek":
        slot.file.position = call.result
    elif call.name != "preadv2" or number_of(call.arguments[3]) in {WITHOUT_OFFSET, 2**64 - 1}:
        slot.file.position += call.result


def sync_begins(scribe: Scribe, call: Call) -> None:
    """Take down what the sync will cover: what completed before it began."""
    call.held = [scribe.file(call, call.arguments[0]) if call.name != "sync" else None, len(scribe.entries)]


def synced(scribe: Scribe, call: Call) -> None:
    """``fsync``, ``fdatasync``, ``sync``, ``syncfs``; one that failed leaves what it was to write as good as lost."""
    file, began = call.held
    if not call.succeeded:
        if file is not None and call.name != "syncfs" and call.note.startswith(("EIO", "ENOSPC", "EDQUOT")):
            scribe.write(call, SyncFailed(file.node, began))
    elif call.name == "sync":
        scribe.write(call, SyncAll(began))
    elif call.name == "syncfs":
        if file is not None:  # Of another file, nobody knows from the trace whether it is on the same file system.
            scribe.write(call, SyncAll(began))
    elif file is not None:
        scribe.write(call, Sync(file.node, call.name == "fdatasync", began))


def cut_begins(scribe: Scribe, call: Call) -> None:
    """Find the file of an ``ftruncate`` or ``fallocate`` when it begins."""
    call.held = [scribe.file(call, call.arguments[0])]


def cut(scribe: Scribe, call: Call) -> None:
    """``ftruncate``."""
    if call.held[0] is not None:
        _resize(scribe, call, call.held[0].node, number_of(call.arguments[1]))


def allocated(scribe: Scribe, call: Call) -> None:
    """``fallocate``: mode 0 extends with zeros, as a truncate does; the other modes are not modelled."""
    file: OpenFile | None = call.held[0]
    if file is None or call.arguments[1] == "FALLOC_FL_KEEP_SIZE":
        return
    if call.arguments[1] != "0":
        scribe.unmodelled(call, f"mode {call.arguments[1]}")
        return
    end = number_of(call.arguments[2]) + number_of(call.arguments[3])
    if end > scribe.names.nodes[file.node].size:
        _resize(scribe, call, file.node, end)


def _resize(scribe: Scribe, call: Call, node: int, size: int) -> None:
    scribe.names.nodes[node].size = size
    scribe.write(call, Truncate(node, size))


def close_begins(scribe: Scribe, call: Call) -> None:
    """``close`` and ``close_range``: the number is free from the moment the call begins, not when it ends."""
    table = scribe.processes.of(call.pid).table
    if call.name == "close_range":
        if "CLOSE_RANGE_UNSHARE" in call.arguments[2]:
            scribe.processes.unshares(call.pid, "CLONE_FILES")
            table = scribe.processes.of(call.pid).table
        numbers = closed_range(call, table)
        if "CLOSE_RANGE_CLOEXEC" in call.arguments[2]:
            for number in numbers:
                table[number].closes_at_exec = True
            return
    else:
        given = target_of(call.arguments[0]).number
        numbers = [given] if given is not None else []
    for number in numbers:
        if (slot := table.pop(number, None)) is not None:
            scribe.write(call, Close(slot.file.node))


def duplicated(scribe: Scribe, call: Call) -> None:
    """``dup``, ``dup2``, ``dup3``, and ``fcntl``, which can duplicate, too, and mark what exec closes."""
    table = scribe.processes.of(call.pid).table
    number = target_of(call.arguments[0]).number
    slot = table.get(number) if number is not None else None
    command = call.arguments[1] if call.name == "fcntl" else ""
    assert call.result is not None
    if command == "F_SETFD" and slot is not None:
        slot.closes_at_exec = "FD_CLOEXEC" in call.arguments[2]
    elif command == "F_SETFL" and slot is not None:
        slot.file.appends = "O_APPEND" in call.arguments[2]
    elif command.startswith("F_DUPFD") or not command:
        if call.name in {"dup2", "dup3"} and call.result == number:
            return
        replaced = table.pop(call.result, None)
        if replaced is not None:
            scribe.write(call, Close(replaced.file.node))
        if slot is not None:
            closes = command == "F_DUPFD_CLOEXEC" or "O_CLOEXEC" in call.arguments[-1]
            table[call.result] = Slot(slot.file, closes)


def mapped(scribe: Scribe, call: Call) -> None:
    """``mmap``: stores into a shared mapping of a file never show in the trace."""
    if "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2]:
        file = scribe.file(call, call.arguments[4])
        if file is not None:
            scribe.unmodelled(call, f"stores into a shared mapping of {target_of(call.arguments[4]).target}")


def copied_by_kernel(scribe: Scribe, call: Call) -> None:
    """``copy_file_range``, ``sendfile``, ``splice``, and the ``ioctl`` calls that clone: bytes that never show."""
    into = {"copy_file_range": 2, "splice": 2, "sendfile": 0, "ioctl": 0}[call.name]
    if call.name == "ioctl" and not call.arguments[1].startswith("FICLONE"):
        return
    if call.result != 0 or call.name == "ioctl":
        file = scribe.file(call, call.arguments[into])
        if file is not None:
            scribe.unmodelled(call, f"bytes copied by the kernel into {target_of(call.arguments[into]).target}")


def never_modelled(scribe: Scribe, call: Call) -> None:
    """Calls that may change any file, or what paths mean, without a further word."""
    scribe.unmodelled(call, "what it does to the folder is not in the trace")
