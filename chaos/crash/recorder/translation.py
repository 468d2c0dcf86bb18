"""From the trace of a program to its operation log: every call that counts, in the order in which they completed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from chaos.crash.recorder import file_calls, name_calls
from chaos.crash.recorder.arguments import descriptor
from chaos.crash.recorder.calls import Call
from chaos.crash.recorder.conversation import Conversation
from chaos.crash.recorder.descriptors import Process
from chaos.crash.recorder.names import NameTree, UnknownPathError
from chaos.crash.recorder.scribe import Scribe, Start
from chaos.crash.recorder.trace import Phase, Step, TraceReader
from chaos.storage.operations import Entry, Visible

FORKS = ("fork", "vfork", "clone", "clone3")
SYNCS = ("fsync", "fdatasync", "sync", "syncfs")
# Calls that matter also when they fail: a fork leaves nothing under way, a connection may still come about, and a sync
# that failed has marked as clean what it did not write.
EVEN_WHEN_FAILED = {*FORKS, *SYNCS, "connect"}
Handler = Callable[[Scribe, Call], object]
_CHILD = re.compile(
    r"(\d+) +\d+\.\d+ (?:(?:clone3?|fork|vfork)\(|<\.\.\. (?:clone3?|fork|vfork) resumed>).*\) = (\d+)$"
)

BEGINS: Mapping[str, Handler] = {
    **dict.fromkeys(("write", "writev", "pwrite64", "pwritev", "pwritev2"), file_calls.write_begins),
    **dict.fromkeys(SYNCS, file_calls.sync_begins),
    **dict.fromkeys(("ftruncate", "fallocate"), file_calls.cut_begins),
    **dict.fromkeys(("close", "close_range"), file_calls.close_begins),
    **dict.fromkeys(FORKS, lambda scribe, call: scribe.processes.fork_begins(call)),
}
ENDS: Mapping[str, Handler] = {
    **dict.fromkeys(("open", "openat", "openat2", "creat"), file_calls.opened),
    **dict.fromkeys(("pwrite64", "pwritev", "pwritev2"), file_calls.written),
    **dict.fromkeys(("read", "readv", "preadv2", "lseek"), file_calls.moved),
    **dict.fromkeys(SYNCS, file_calls.synced),
    **dict.fromkeys(("dup", "dup2", "dup3", "fcntl"), file_calls.duplicated),
    "ftruncate": file_calls.cut,
    "fallocate": file_calls.allocated,
    "mmap": file_calls.mapped,
    **dict.fromkeys(("copy_file_range", "splice", "ioctl"), file_calls.copied_by_kernel),
    **dict.fromkeys(("rename", "renameat", "renameat2"), name_calls.renamed),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), name_calls.unlinked),
    **dict.fromkeys(("mkdir", "mkdirat"), name_calls.folder_made),
    **dict.fromkeys(("link", "linkat"), name_calls.linked),
    **dict.fromkeys(("symlink", "symlinkat"), name_calls.symlink_made),
    **dict.fromkeys(("mknod", "mknodat"), name_calls.special_made),
    **dict.fromkeys(("chdir", "fchdir"), name_calls.folder_changed),
    "truncate": name_calls.cut_by_name,
    **dict.fromkeys(FORKS, lambda scribe, call: scribe.processes.fork_ends(call)),
    **dict.fromkeys(("execve", "execveat"), lambda scribe, call: scribe.processes.executes(call.pid)),
    "unshare": lambda scribe, call: scribe.processes.unshares(call.pid, call.arguments[0]),
    **dict.fromkeys(
        ("io_uring_setup", "io_submit", "mount", "umount2", "chroot", "pivot_root", "setns", "open_by_handle_at"),
        file_calls.never_modelled,
    ),
    "pidfd_getfd": file_calls.never_modelled,
}
# A call cut off in the middle may have had its effect all the same; these change nothing that lasts.
HARMLESS_WHEN_CUT_OFF = {
    *(*FORKS, *SYNCS, "close", "close_range", "read", "readv", "lseek", "preadv2"),
    *("execve", "accept", "accept4", "connect", "recvfrom", "recvmsg", "fcntl"),
}


class Translator:
    """Turns steps of a trace into entries. ``parents`` says which process made which."""

    def __init__(self, start: Start, names: NameTree, first: Process, parents: dict[int, int]) -> None:
        self.scribe = Scribe(start, names, first, parents)
        self._conversation = talk = Conversation(dict(start.streams))
        self._ends: Mapping[str, Handler] = {
            **ENDS,
            **dict.fromkeys(("write", "writev"), self._written),
            "sendfile": self._copied_out,
            **dict.fromkeys(("sendto", "sendmsg", "sendmmsg"), talk.sent),
            **dict.fromkeys(("recvfrom", "recvmsg"), talk.received),
            **dict.fromkeys(("accept", "accept4"), talk.accepted),
            "connect": talk.connected,
            **dict.fromkeys(("socketpair", "pipe", "pipe2"), talk.pair_made),
        }
        self._first_pid: int | None = None

    def __repr__(self) -> str:
        return f"Translator({self.scribe!r})"

    def take(self, step: Step) -> None:
        """Take one step; a path that the log does not know makes it unmodelled from here on."""
        call = step.call
        if self._first_pid is None:
            self._first_pid, self.scribe.start_ns = call.pid, call.time_ns
        try:
            if step.phase is Phase.BEGUN:
                if (begins := BEGINS.get(call.name)) is not None:
                    begins(self.scribe, call)
            elif step.phase is Phase.ENDED:
                self._ended(call)
            else:
                self._gone(call)
        except (UnknownPathError, ValueError, LookupError) as error:
            self.scribe.unmodelled(call, f"log and folder are out of step: {error}")

    def _ended(self, call: Call) -> None:
        if call.succeeded or call.name in EVEN_WHEN_FAILED:
            handler = self._ends.get(call.name)
            if handler is not None:
                handler(self.scribe, call)

    def _written(self, scribe: Scribe, call: Call) -> None:
        if not file_calls.written(scribe, call):
            self._conversation.sent(scribe, call)

    def _copied_out(self, scribe: Scribe, call: Call) -> None:
        file_calls.copied_by_kernel(scribe, call)
        self._conversation.sent(scribe, call)

    def _gone(self, call: Call) -> None:
        self.scribe.processes.gone(call.pid)
        if call.pid == self._first_pid:
            how: dict[str, object] = {"signal": call.note} if call.result is None else {"code": call.result}
            self.scribe.write(call, Visible("exited", how))

    def cut_off(self, call: Call) -> None:
        """Judge a call that never ended: what it may have changed is unknown."""
        if call.name in HARMLESS_WHEN_CUT_OFF or not self._may_concern_folder(call):
            return
        self.scribe.unmodelled(call, "cut off in the middle: whether it had an effect is unknown")

    def _may_concern_folder(self, call: Call) -> bool:
        held = call.held[0] if call.held else None
        seen = descriptor(call.arguments[0]) if call.arguments else None
        return held is not None or seen is None or self.scribe.names.counts(seen.target)


def parents_in(lines: Iterable[str]) -> dict[int, int]:
    """Return which process made which, as the trace says at the end of each fork."""
    found = (_CHILD.match(line.rstrip("\n")) for line in lines)
    return {int(match.group(2)): int(match.group(1)) for match in found if match is not None}


@dataclass(frozen=True, slots=True)
class Translated:
    """The entries of a trace, and how the first process ended (None: killed by a signal, or cut off)."""

    entries: list[Entry]
    exit_code: int | None


def translated(lines: Iterable[str], translator: Translator) -> Translated:
    """Return the operations of a whole trace."""
    reader = TraceReader(lines)
    for step in reader.steps():
        translator.take(step)
    for call in reader.unanswered:
        translator.cut_off(call)
    entries = translator.scribe.entries
    ends = [
        e.operation.value.get("code")
        for e in entries
        if isinstance(e.operation, Visible) and e.operation.name == "exited"
    ]
    return Translated(entries, ends[-1] if ends else None)
