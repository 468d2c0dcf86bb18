"""Which processes are ours: a process is known by its pid *and* the clock tick it started at, never by the pid alone.

* Identity: ``started`` is field 22 of ``/proc/<pid>/stat``, an integer that no change of the wall clock moves. A pid
  that was given to another process has another one, and is never signalled: signals go through a pidfd that is opened
  first and checked afterwards, so the process cannot be exchanged in between.
* Family: a process belongs to one of ours if it descends from it, if it is in its session while that one leads it, or
  if it carries its mark in the environment. The mark outlives double forks, ``setsid`` and the death of every ancestor.
* A watchdog is nobody's family: it has to outlive the runner that it watches, also when that runner is a subject.

The watchdog process imports this module, so it knows nothing but light parts of the standard library.
"""

from __future__ import annotations

import os
import select
import signal
import time

MARK = "PYWATS_CHAOS_MARK"
WATCHDOG = "PYWATS_CHAOS_WATCHDOG"
DEAD_STATES = ("Z", "X", "x")


class Row:
    """One living process, as the system's table shows it."""

    __slots__ = ("parent", "pid", "session", "started", "state")

    def __init__(self, pid: int, state: str, parent: int, session: int, started: int) -> None:
        self.pid, self.state, self.parent, self.session, self.started = pid, state, parent, session, started

    def __repr__(self) -> str:
        return f"Row(pid {self.pid}, started {self.started}, state {self.state}, parent {self.parent})"


def read_row(pid: int) -> Row | None:
    """Return the process with that pid, or None when there is none or nothing but its exit status is left of it."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state = fields[0].decode()
    if state in DEAD_STATES:
        return None
    return Row(pid, state, int(fields[1]), int(fields[3]), int(fields[19]))


def read_table() -> list[Row]:
    """Return every living process of the machine."""
    rows = (read_row(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [row for row in rows if row is not None]


def start_of(pid: int) -> int | None:
    """Return the tick at which the living process ``pid`` started, or None when there is none."""
    row = read_row(pid)
    return None if row is None else row.started


def is_alive(pid: int, started: int) -> bool:
    """Return whether that very process lives (an unreaped one does not)."""
    return start_of(pid) == started


def send_signal(pid: int, started: int, number: int) -> bool:
    """Signal that very process; False, and nothing is signalled, when it is gone or its pid is another's now."""
    pidfd = open_pidfd(pid, started)
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def open_pidfd(pid: int, started: int) -> int | None:
    """Return a descriptor of that very process, readable once it has ended, or None when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if is_alive(pid, started):
        return pidfd
    os.close(pidfd)
    return None


def find_family(pid: int, started: int, mark: str) -> list[Row]:
    """Return the living processes that are, descend from, or carry the mark of the process that was started as ours."""
    table = [row for row in read_table() if row.started >= started]
    alive = any(row.pid == pid and row.started == started for row in table)
    sought, watchdogs, family = f"{MARK}={mark}".encode(), set(), set()
    for row in table:
        environment = _environment(row.pid)
        if any(entry.startswith(WATCHDOG.encode() + b"=") for entry in environment):
            watchdogs.add(row.pid)
        elif (alive and pid in (row.pid, row.session)) or sought in environment:
            family.add(row.pid)
    grown = True
    while grown:
        children = {row.pid for row in table if row.parent in family} - family - watchdogs
        family |= children
        grown = bool(children)
    return [row for row in table if row.pid in family and row.pid != os.getpid()]


def end_family(pid: int, started: int, mark: str, limit_s: float) -> tuple[list[Row], list[Row]]:
    """Kill the whole family until none is left or the limit has passed; return who was ended and who still lives.

    All are stopped before the first is killed: a parent that cannot run starts nobody, and keeps its children findable.
    Whoever was born nevertheless is found in the next round.
    """
    deadline = time.monotonic() + limit_s
    met: dict[int, Row] = {}
    while family := _freeze(pid, started, mark, deadline):
        met.update((row.pid, row) for row in family)
        _kill_and_wait(family, deadline)
        if time.monotonic() >= deadline:
            break
    left = [row for row in met.values() if is_alive(row.pid, row.started)]
    return [row for row in met.values() if row not in left], left


def _freeze(pid: int, started: int, mark: str, deadline: float) -> list[Row]:
    """Stop the family, round by round, until a round finds nobody new."""
    stopped: dict[int, Row] = {}
    while born := [row for row in find_family(pid, started, mark) if row.pid not in stopped]:
        for row in born:
            send_signal(row.pid, row.started, signal.SIGSTOP)
            stopped[row.pid] = row
        if time.monotonic() >= deadline:
            break
    return list(stopped.values())


def _kill_and_wait(rows: list[Row], deadline: float) -> None:
    for row in rows:
        send_signal(row.pid, row.started, signal.SIGKILL)
    for row in rows:
        pidfd = open_pidfd(row.pid, row.started)
        if pidfd is not None:
            ending = select.poll()
            ending.register(pidfd, select.POLLIN)
            ending.poll(max(0.0, deadline - time.monotonic()) * 1000)
            os.close(pidfd)


def _environment(pid: int) -> list[bytes]:
    """Return the environment a process was started with; nothing for one that is gone or somebody else's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environment:
            return environment.read().split(b"\0")
    except OSError:
        return []
