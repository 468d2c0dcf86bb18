"""Logs written by hand: what a program does to accept one report, right and wrong, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaos.storage import Contents, CrashState, Persistence, crash_states
from chaos.storage.operations import (
    ROOT,
    Close,
    Entry,
    MakeFile,
    Operation,
    Rename,
    Sync,
    Truncate,
    Unlink,
    Visible,
    Write,
)

FILE, OTHER = 11, 12
BODY = b'{"report": 1}'
ACCEPTED = Visible("accepted")

RIGHT: tuple[Operation, ...] = (
    MakeFile(ROOT, ".r.tmp", FILE),
    Write(FILE, 0, BODY),
    Sync(FILE),
    Close(FILE),
    Rename(ROOT, ".r.tmp", ROOT, "r"),
    Sync(ROOT),
    ACCEPTED,
)


def states_of(operations: Sequence[Operation], model: Persistence, start: Contents | None = None) -> list[CrashState]:
    states = crash_states([Entry(o) for o in operations], model, start=start)
    found = list(states)
    assert states.is_exhaustive
    return found


def without(*operations: Operation) -> tuple[Operation, ...]:
    return tuple(o for o in RIGHT if o not in operations)


def keeps_what_was_accepted(operations: Sequence[Operation]) -> Callable[[CrashState], bool]:
    log = [Entry(o) for o in operations]
    return lambda state: not state.seen(log) or state.contents.get("r") == BODY


RENAME_FIRST = (RIGHT[0], RIGHT[1], RIGHT[4], RIGHT[2], RIGHT[5], ACCEPTED)
WRONG_FILE = (MakeFile(ROOT, "other", OTHER), *RIGHT[:2], Sync(OTHER), *RIGHT[3:])
IN_PLACE = (Truncate(1, 0), Write(1, 0, b"new settings"), Sync(1))
DELETE_FIRST = (*RIGHT, Visible("sent"), Unlink(ROOT, "r"), Sync(ROOT), Visible("answer"))
