"""What calls on files become in the log, and which of them make it unmodelled."""

from __future__ import annotations

import pytest

from chaos.storage.operations import (
    Link,
    MakeFile,
    MakeFolder,
    MakeSymlink,
    Operation,
    RemoveFolder,
    Rename,
    Sync,
    SyncAll,
    SyncFailed,
    Truncate,
    Unlink,
    Unmodelled,
    Write,
)
from tests.crash.recorder.hand_written_trace import opens, operations, writes

A = 1
THREAD = "1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 2"


def test_a_sync_covers_what_completed_before_it_began() -> None:
    found = operations(
        opens(3, "a"),
        THREAD,
        writes(3, "a", "before"),
        "1 fsync(3</spool/a> <unfinished ...>",
        writes(3, "a", "meanwhile", pid=2),
        "1 <... fsync resumed>) = 0",
    )
    assert found[-1] == Sync(A, began=2)
    assert found[2] == Write(A, 6, b"meanwhile")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("fdatasync(3</spool/a>) = 0", Sync(A, data_only=True, began=0)),
        ("sync() = 0", SyncAll(began=0)),
        ("syncfs(3</spool/a>) = 0", SyncAll(began=0)),
        ("fsync(3</spool/a>) = -1 EIO (Input/output error)", SyncFailed(A, began=0)),
        ("ftruncate(3</spool/a>, 3) = 0", Truncate(A, 3)),
        ("truncate('a', 3) = 0", Truncate(A, 3)),
        ("fallocate(3</spool/a>, 0, 0, 100) = 0", Truncate(A, 100)),
        ("pwrite64(3</spool/a>, 'x', 1, 7) = 1", Write(A, 7, b"x")),
        ("writev(3</spool/a>, [{iov_base='xy', iov_len=2}, {iov_base='z', iov_len=1}], 2) = 3", Write(A, 0, b"xyz")),
        ("pwritev(3</spool/a>, [{iov_base='xy', iov_len=2}], 1, 4) = 1", Write(A, 4, b"x")),
        ("rename('a', '/spool/b') = 0", Rename(0, "a", 0, "b")),
        ("renameat2(3</spool>, 'a', AT_FDCWD</spool/d>, '../b', RENAME_NOREPLACE) = 0", Rename(0, "a", 0, "b")),
        ("rename('/spool/a', '/elsewhere/a') = 0", Unlink(0, "a")),
        ("unlink('a') = 0", Unlink(0, "a")),
        ("unlinkat(AT_FDCWD</spool>, 'd', AT_REMOVEDIR) = 0", RemoveFolder(0, "d")),
        ("rmdir('./d') = 0", RemoveFolder(0, "d")),
        ("mkdir('d/e', 0777) = 0", MakeFolder(2, "e", 3, 0o755)),
        ("link('a', 'd/b') = 0", Link(2, "b", A)),
        ("linkat(AT_FDCWD</spool>, '/proc/self/fd/3', AT_FDCWD</spool>, 'b', AT_SYMLINK_FOLLOW) = 0", Link(0, "b", A)),
        ("symlink('a', 's') = 0", MakeSymlink(0, "s", 3, "a")),
        ("mknod('n', S_IFREG|0600) = 0", MakeFile(0, "n", 3)),
        ("openat(AT_FDCWD</spool>, 'a', O_WRONLY|O_TRUNC) = 4</spool/a>", Truncate(A, 0)),
    ],
)
def test_a_call_becomes_an_operation(call: str, expected: Operation) -> None:
    opened = opens(3, "a", "O_RDWR")
    assert operations("1 chdir('/spool') = 0", opened, f"1 {call}", before={"a": b"12345", "d": None}) == [expected]


@pytest.mark.parametrize(
    "call",
    [
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3</spool/a>, 0) = 0x7f00",
        "copy_file_range(9</etc/passwd>, NULL, 3</spool/a>, NULL, 5, 0) = 5",
        "sendfile(3</spool/a>, 9</etc/passwd>, [0], 5) = 5",
        "splice(9<pipe:[5]>, NULL, 3</spool/a>, NULL, 5, 0) = 5",
        "ioctl(3</spool/a>, FICLONE, 9) = 0",
        "fallocate(3</spool/a>, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 100) = 0",
        "renameat2(AT_FDCWD</spool>, 'a', AT_FDCWD</spool>, 'b', RENAME_EXCHANGE) = 0",
        "rename('/elsewhere/x', '/spool/x') = 0",
        "link('/elsewhere/x', '/spool/x') = 0",
        "openat(AT_FDCWD</spool>, '.', O_RDWR|O_TMPFILE, 0600) = 4</spool/#5>",
        "mknod('n', S_IFIFO|0600) = 0",
        "io_uring_setup(8, {flags=0}) = 4<anon_inode:[io_uring]>",
        "mount('tmpfs', '/spool', 'tmpfs', 0, NULL) = 0",
        "unlink('nowhere') = 0",
        "write(3</spool/a>, 'cut off', 7 <unfinished ...>",
    ],
)
def test_what_the_trace_cannot_show_is_named_as_unmodelled(call: str) -> None:
    found = operations("1 chdir('/spool') = 0", opens(3, "a", "O_RDWR"), f"1 {call}", before={"a": b"12345", "b": b""})
    assert [op.call for op in found if isinstance(op, Unmodelled)] == [call.partition("(")[0]]


@pytest.mark.parametrize(
    "call",
    [
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3</spool/a>, 0) = 0x7f00",
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 9</elsewhere>, 0) = 0x7f00",
        "copy_file_range(3</spool/a>, NULL, 9</elsewhere>, NULL, 5, 0) = 5",
        "ioctl(3</spool/a>, TCGETS, 0x7f) = 0",
        "rename('/elsewhere/x', '/elsewhere/y') = 0",
        "unlink('a') = -1 EACCES (Permission denied)",
        "fallocate(3</spool/a>, FALLOC_FL_KEEP_SIZE, 0, 100) = 0",
        "fsync(3</spool/a> <unfinished ...>",
        "write(3</spool/a>, 'x', 1) = -1 ENOSPC (No space left on device)",
    ],
)
def test_what_changes_nothing_that_counts_is_left_out(call: str) -> None:
    assert operations("1 chdir('/spool') = 0", opens(3, "a", "O_RDWR"), f"1 {call}", before={"a": b"12345"}) == []


def test_ignored_names_do_not_count() -> None:
    lines = (opens(3, "a-shm"), writes(3, "a-shm", "x"), "1 unlink('/spool/a-shm') = 0")
    assert operations(*lines, ignored=("*-shm",)) == []


def test_a_path_goes_through_symbolic_links_of_the_folder() -> None:
    found = operations(
        "1 mkdir('/spool/real', 0755) = 0",
        "1 symlink('real', '/spool/way') = 0",
        "1 mkdir('/spool/way/inner', 0755) = 0",
        "1 rmdir('/spool/way/../real/inner') = 0",
    )
    assert found[2:] == [MakeFolder(1, "inner", 3), RemoveFolder(1, "inner")]


def test_relative_paths_follow_the_current_folder_of_the_process() -> None:
    found = operations("1 mkdir('/spool/d', 0755) = 0", "1 chdir('/spool/d') = 0", "1 mkdir('e', 0755) = 0")
    assert found[1] == MakeFolder(1, "e", 2)
