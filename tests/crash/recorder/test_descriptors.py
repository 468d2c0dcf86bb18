"""Which file a descriptor leads to, whoever duplicated, inherited, closed or raced for its number."""

from __future__ import annotations

from chaos.storage.operations import Close, MakeFile, Sync, Unmodelled, Write
from tests.crash.recorder.hand_written_trace import opens, operations, writes

A, B = 1, 2


def writes_to(*lines: str) -> list[tuple[int, bytes]]:
    found = operations(*lines)
    assert not [operation for operation in found if isinstance(operation, Unmodelled)]
    return [(operation.node, operation.data) for operation in found if isinstance(operation, Write)]


def test_a_number_is_free_from_the_moment_its_close_begins() -> None:
    """Another thread gets the number while the close is under way; its writes are the new file's."""
    assert writes_to(
        opens(3, "a"),
        "1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 2",
        "1 close(3</spool/a> <unfinished ...>",
        opens(3, "b", pid=2),
        "1 <... close resumed>) = 0",
        writes(3, "b", "for b", pid=2),
    ) == [(B, b"for b")]


def test_a_write_belongs_to_the_file_its_number_led_to_when_it_began() -> None:
    assert writes_to(
        opens(3, "a"),
        "1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 2",
        "2 write(3</spool/a>, 'for a', 5 <unfinished ...>",
        "1 close(3</spool/a>) = 0",
        opens(3, "b"),
        "2 <... write resumed>) = 5",
    ) == [(A, b"for a")]


def test_a_child_has_its_own_table_and_shares_the_position() -> None:
    found = operations(
        opens(3, "a"),
        "1 fork() = 2",
        writes(3, "a", "parent", pid=1),
        "2 close(3</spool/a>) = 0",
        writes(3, "a", "more", pid=1),
    )
    assert [op for op in found if isinstance(op, Write)] == [Write(A, 0, b"parent"), Write(A, 6, b"more")]


def test_a_child_may_be_seen_before_the_fork_of_its_parent_ends() -> None:
    assert writes_to(
        opens(3, "a"),
        "1 vfork( <unfinished ...>",
        writes(3, "a", "child", pid=2),
        "1 <... vfork resumed>) = 2",
        writes(3, "a", "parent", pid=1),
    ) == [(A, b"child"), (A, b"parent")]


def test_processes_that_share_their_table_share_its_changes() -> None:
    assert writes_to(
        "1 clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES|SIGCHLD) = 2", opens(3, "a", pid=2), writes(3, "a", "x")
    ) == [(A, b"x")]


def test_executing_a_program_closes_what_was_opened_so() -> None:
    found = operations(
        opens(3, "a", "O_RDWR|O_CREAT|O_CLOEXEC"),
        opens(4, "b", "O_RDWR|O_CREAT"),
        "1 execve('/bin/true', ['true'], 0x7 /* 3 vars */) = 0",
        writes(4, "b", "kept"),
        writes(3, "a", "from nowhere"),
    )
    assert Write(B, 0, b"kept") in found
    assert [op.call for op in found if isinstance(op, Unmodelled)] == ["write"]


def test_duplicates_lead_to_the_same_file_with_one_position() -> None:
    found = operations(
        opens(3, "a"),
        "1 dup2(3</spool/a>, 9) = 9</spool/a>",
        writes(3, "a", "one"),
        "1 close(3</spool/a>) = 0",
        writes(9, "a", "two"),
        "1 fcntl(9</spool/a>, F_DUPFD_CLOEXEC, 0) = 3</spool/a>",
        "1 fsync(3</spool/a>) = 0",
    )
    assert [op for op in found if isinstance(op, Write | Sync)] == [
        Write(A, 0, b"one"),
        Write(A, 3, b"two"),
        Sync(A, began=4),
    ]


def test_a_duplicate_closes_what_its_number_led_to_before() -> None:
    assert writes_to(
        opens(3, "a"), opens(4, "b"), "1 dup2(3</spool/a>, 4</spool/b>) = 4</spool/a>", writes(4, "a", "x")
    ) == [(A, b"x")]


def test_a_range_of_numbers_is_closed() -> None:
    found = operations(opens(3, "a"), opens(4, "b"), "1 close_range(4, 4294967295, 0) = 0", writes(3, "a", "x"))
    assert found[2:] == [Close(B), Write(A, 0, b"x")]


def test_the_position_follows_reads_and_seeks() -> None:
    found = operations(
        opens(3, "a"),
        "1 read(0x3, 0x7ffe, 0x10) = 0xa",
        writes(3, "a", "x"),
        "1 lseek(0x3, 0x2, 0) = 0x2",
        writes(3, "a", "y"),
    )
    assert found[1:] == [Write(A, 10, b"x"), Write(A, 2, b"y")]


def test_a_file_opened_to_append_is_written_at_its_end() -> None:
    found = operations(opens(3, "a", "O_WRONLY|O_APPEND"), writes(3, "a", "!"), before={"a": b"12345"})
    assert found == [Write(A, 5, b"!")]


def test_a_file_opened_to_be_synced_is_synced_by_each_write() -> None:
    found = operations(opens(3, "a", "O_WRONLY|O_CREAT|O_DSYNC"), writes(3, "a", "!"))
    assert found == [MakeFile(0, "a", A), Write(A, 0, b"!"), Sync(A, data_only=True, began=2)]


def test_a_descriptor_that_came_from_nowhere_makes_the_log_unmodelled() -> None:
    assert [type(op) for op in operations(writes(5, "a", "x"), before={"a": b""})] == [Unmodelled]
