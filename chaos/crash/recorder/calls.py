"""The system calls that a recording needs to see, and one call as the trace tells of it."""

# ruff: noqa: SIM905 - the words of a long list are easier to read without quotes
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FILES = (
    "open openat openat2 creat write writev pwrite64 pwritev pwritev2 fsync fdatasync sync syncfs rename renameat "
    "renameat2 unlink unlinkat rmdir mkdir mkdirat ftruncate truncate link linkat symlink symlinkat mknod mknodat"
).split()
# Their data is of no interest, only how far they moved the position: traced raw, so that it is not even read.
POSITIONS = ["read", "readv", "preadv2", "lseek"]
DESCRIPTORS = "close close_range dup dup2 dup3 fcntl pidfd_getfd".split()
PROCESSES = "clone clone3 fork vfork execve execveat unshare chdir fchdir".split()
CONVERSATION = "socketpair pipe pipe2 connect accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg".split()
# What would change a file behind the back of the log; seen on a file that counts, it makes the verdict unknown.
BEHIND_THE_BACK = (
    "mmap copy_file_range sendfile splice fallocate io_uring_setup io_submit ioctl mount umount2 chroot pivot_root "
    "setns open_by_handle_at"
).split()
TRACED = [*FILES, *POSITIONS, *DESCRIPTORS, *PROCESSES, *CONVERSATION, *BEHIND_THE_BACK]


@dataclass(slots=True)
class Call:
    """One system call: it begins, and perhaps it ends.

    ``arguments`` are as the trace prints them (a call under way may lack the last ones). ``result`` is None until it
    has ended, and when its process was killed in the middle of it. ``note`` is what follows the result: the path of a
    new descriptor, the name of an error. ``held`` is what was found out when it began.
    """

    line: int
    time_ns: int
    pid: int
    name: str
    arguments: list[str]
    result: int | None = None
    note: str = ""
    ended: bool = False
    held: list[Any] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Return whether it has ended without an error."""
        return self.result is not None and self.result >= 0

    @property
    def source(self) -> str:
        """Return where in the trace it stands."""
        return f"trace line {self.line}: {self.name}"
