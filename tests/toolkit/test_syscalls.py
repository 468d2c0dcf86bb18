"""Errors, kills and delays at system calls of a real process, and the words where they cannot be had."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.errors import NotAvailableError, UsageError
from chaos.live import syscalls
from chaos.live.process import ChildProcess
from chaos.live.run_folder import RunFolder
from chaos.live.syscalls import SyscallFault, Syscalls
from chaos.live.watchdog import Watchdog

LIMIT_S = 20
SYNCING = """
import os, sys
print("{}", flush=True)
for number in range(1, 1000):
    sys.stdin = open("go"); sys.stdin.read(1)
    descriptor = os.open(f"file-{number}", os.O_CREAT | os.O_WRONLY)
    try:
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        os.rename(f"file-{number}", f"done-{number}")
        print("synced", number, flush=True)
    except OSError as error:
        print(error.strerror, number, flush=True)
"""


class Stage:
    """A child that syncs a file whenever it is told to."""

    def __init__(self, watchdog: Watchdog, folder: RunFolder) -> None:
        self.watchdog, self.folder = watchdog, folder
        self.calls = Syscalls(folder.file("calls"))
        self.children: list[ChildProcess] = []

    async def start(self, fault: SyscallFault | None = None) -> ChildProcess:
        self.folder.file("program.py").write_text(SYNCING)
        os.mkfifo(self.folder.file("go"))
        line = [sys.executable, "program.py"]
        if fault is not None:
            line = self.calls.started_under(fault, line)
        child = await ChildProcess.start(
            line, watchdog=self.watchdog, log=self.folder.file("log"), cwd=self.folder.path, announces=True
        )
        self.children.append(child)
        await child.announced(LIMIT_S)
        return child

    async def goes_on(self, child: ChildProcess, *, says: str) -> None:
        """Let it sync once more, and wait until it says so."""
        self.tell()

        async def said() -> bool:
            return says in self.folder.file("log").read_text()

        await child.ready(said, LIMIT_S, what=f"saying {says}")

    def tell(self) -> None:
        self.folder.file("go").write_text("x")


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    with Watchdog.start() as watchdog, RunFolder.create(watchdog) as folder:
        opened = Stage(watchdog, folder)
        yield opened
        for child in opened.children:
            await child.close()


@pytest.mark.asyncio
async def test_an_error_at_the_second_call_and_only_there(stage: Stage) -> None:
    child = await stage.start(SyscallFault("fsync", error="EIO", first=2, last=2))
    await stage.goes_on(child, says="synced 1")
    await stage.goes_on(child, says="Input/output error 2")
    await stage.goes_on(child, says="synced 3")
    assert stage.calls.fired == 1
    child.send(signal.SIGTERM)
    assert str(await child.exited(LIMIT_S)) == "killed by SIGTERM"


@pytest.mark.asyncio
async def test_a_fault_begins_and_ends_in_a_running_process(stage: Stage) -> None:
    child = await stage.start()
    await stage.goes_on(child, says="synced 1")
    async with stage.calls.attached(child, SyscallFault(syscalls.SYNCS, error="ENOSPC"), stage.watchdog):
        await stage.goes_on(child, says="No space left on device 2")
    await stage.goes_on(child, says="synced 3")
    assert stage.calls.fired == 1


@pytest.mark.asyncio
async def test_a_kill_before_the_call_leaves_it_undone(stage: Stage) -> None:
    child = await stage.start(SyscallFault(syscalls.RENAMES, kill_before=True))
    stage.tell()
    assert str(await child.exited(LIMIT_S)) == "killed by SIGKILL"
    assert (stage.folder.file("file-1").exists(), stage.folder.file("done-1").exists()) == (True, False)
    await stage.calls.until_fired(deadline_s=LIMIT_S)


@pytest.mark.asyncio
async def test_a_kill_after_the_call_leaves_it_done_and_nothing_behind_it(stage: Stage) -> None:
    child = await stage.start()
    stage.folder.file("later").touch()

    async def killed() -> None:
        await stage.calls.kill_after(child, syscalls.RENAMES, stage.watchdog, deadline_s=LIMIT_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(killed())
        await child.ready(_traced(child), LIMIT_S, what="traced")
        stage.tell()
    assert str(child.status) == "killed by SIGKILL"
    assert stage.folder.file("done-1").exists()
    assert "synced 1" not in stage.folder.file("log").read_text()


def _is_traced(pid: int) -> bool:
    return "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text()


def _traced(child: ChildProcess) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return _is_traced(child.pid)

    return look


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"calls": "fsync; rm"}, "names of system calls"),
        ({"calls": "fsync", "error": "eio"}, "the name of an errno"),
        ({"calls": "fsync", "error": "EIO", "first": 3, "last": 2}, "first to last"),
        ({"calls": "fsync"}, "something to happen"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SyscallFault(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strace", "reason"),
    [(None, "strace was not found"), ("#!/bin/sh\necho 'PTRACE_TRACEME: not permitted' >&2; exit 1", "PTRACE_TRACEME")],
)
def test_a_machine_without_it_says_why_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strace: str | None, reason: str
) -> None:
    if strace is not None:
        (tmp_path / "strace").write_text(strace)
        (tmp_path / "strace").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    syscalls._probed.cache_clear()
    with pytest.raises(NotAvailableError, match=f"{reason}.*apt install strace"):
        syscalls.require_strace()
    syscalls._probed.cache_clear()
