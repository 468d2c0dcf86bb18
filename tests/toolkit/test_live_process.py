"""A child process is watched by events, signalled only as itself, and ended with everything that it has started."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.errors import ChaosError, DeadlineError, ProcessEndedError, RefusedError, UsageError
from chaos.live import process_table
from chaos.live.ledger import Kind
from chaos.live.process import ChildProcess, ExitStatus
from chaos.live.run_folder import RunFolder
from chaos.live.watchdog import Guard, Watchdog

pytestmark = pytest.mark.asyncio
LIMIT_S = 10
READY = "print('{}', flush=True); "
FOREVER = f"import signal; {READY}signal.pause()"
A_FAMILY = (
    "import os, signal\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        print('{}', flush=True)\n"
    "        signal.pause()\n"
    "    os._exit(0)\n"
    "signal.pause()\n"
)


class Start:
    """Starts Python programs as children in a run's folder."""

    def __init__(self, watchdog: Watchdog, folder: RunFolder) -> None:
        self.watchdog, self.folder = watchdog, folder
        self.children: list[ChildProcess] = []

    async def __call__(
        self,
        program: str,
        *,
        announces: bool = False,
        env: dict[str, str] | None = None,
        limits: dict[str, int] | None = None,
    ) -> ChildProcess:
        child = await ChildProcess.start(
            [sys.executable, "-c", program],
            watchdog=self.watchdog,
            log=self.folder.file(f"{len(self.children)}.log"),
            env=env,
            limits=limits,
            announces=announces,
        )
        self.children.append(child)
        return child


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    with Watchdog.start() as started:
        yield started


@pytest_asyncio.fixture
async def start(watchdog: Watchdog) -> AsyncIterator[Start]:
    with RunFolder.create(watchdog) as folder:
        starting = Start(watchdog, folder)
        yield starting
        for child in starting.children:
            await child.close()


async def test_a_child_that_ends_by_itself_has_a_code(start: Start) -> None:
    child = await start("raise SystemExit(3)")
    assert await child.exited(LIMIT_S) == ExitStatus(3, None)


async def test_a_child_that_is_killed_has_a_signal(start: Start) -> None:
    child = await start(FOREVER, announces=True)
    await child.announced(LIMIT_S)
    child.kill()
    assert str(await child.exited(LIMIT_S)) == "killed by SIGKILL"


async def test_the_program_begins_only_when_the_child_is_guarded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the watchdog is being told, the child is still the shell at the gate."""
    guard, seen = Watchdog.guard_process, []

    def look_first(self: Watchdog, pid: int, started: int, mark: str) -> Guard:
        seen.append(command_of(pid))
        return guard(self, pid, started, mark)

    monkeypatch.setattr(Watchdog, "guard_process", look_first)
    child = await start(FOREVER, announces=True)
    await child.announced(LIMIT_S)
    assert not seen[0].startswith("python")
    assert command_of(child.pid).startswith("python")


async def test_a_child_that_cannot_be_guarded_never_runs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    gated: list[tuple[int, int]] = []

    def refuse(_: Watchdog, pid: int, started: int, mark: str) -> Guard:
        gated.append((pid, started))
        raise RefusedError("guarding", mark)

    monkeypatch.setattr(Watchdog, "guard_process", refuse)
    with pytest.raises(RefusedError):
        await start(f"open({str(start.folder.file('ran'))!r}, 'w')")
    assert not process_table.is_alive(*gated[0])
    assert not start.folder.file("ran").exists()


async def test_a_cancelled_start_leaves_no_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn, pids = ChildProcess._spawn, []

    async def spawn_and_be_cancelled(self: ChildProcess, *arguments: object, **named: object) -> int:
        gate = await spawn(self, *arguments, **named)  # type: ignore[arg-type]
        pids.append(self.pid)
        os.close(gate)
        raise asyncio.CancelledError

    monkeypatch.setattr(ChildProcess, "_spawn", spawn_and_be_cancelled)
    with pytest.raises(asyncio.CancelledError):
        await start(FOREVER)
    assert process_table.read_row(pids[0]) is None


async def test_a_program_that_is_not_there_is_named(start: Start) -> None:
    with pytest.raises(UsageError, match="no-such-program"):
        await ChildProcess.start(["no-such-program"], watchdog=start.watchdog, log=start.folder.file("log"))


async def test_env_is_added_and_stdin_is_empty(start: Start) -> None:
    child = await start("import os, sys; print(os.environ['ADDED'], repr(sys.stdin.read()))", env={"ADDED": "yes"})
    await child.exited(LIMIT_S)
    assert child.log_tail() == ["yes ''"]


async def test_a_child_leads_its_own_session(start: Start) -> None:
    child = await start(FOREVER)
    row = process_table.read_row(child.pid)
    assert row is not None
    assert row.session == child.pid


async def test_stdout_and_stderr_are_in_the_log(start: Start) -> None:
    child = await start("import sys; print('out', flush=True); print('err', file=sys.stderr)")
    await child.exited(LIMIT_S)
    assert child.log_tail() == ["out", "err"]


async def test_the_first_line_is_the_announcement_and_stays_in_the_log(start: Start) -> None:
    child = await start("print('{\"port\": 80}', flush=True); print('more')", announces=True)
    announced = await child.announced(LIMIT_S)
    await child.exited(LIMIT_S)
    assert (announced, child.log_tail()) == ({"port": 80}, ['{"port": 80}', "more"])


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("print('hello')", ChaosError, "expected a JSON object as first line, found b'hello'"),
        ("raise SystemExit('broken')", ProcessEndedError, "exit code 1, last said: broken"),
    ],
)
async def test_another_announcement_is_told_at_once(
    start: Start, program: str, error: type[ChaosError], words: str
) -> None:
    child = await start(program, announces=True)
    with pytest.raises(error, match=words):
        await child.announced(60)


async def test_a_deadline_tells_what_the_child_said_last(start: Start) -> None:
    child = await start(FOREVER, announces=True)
    await child.announced(LIMIT_S)
    with pytest.raises(DeadlineError, match=rf"end of child within 0.01 s, saw pid {child.pid} runs, last said: {{}}"):
        await child.exited(0.01)


async def test_a_socket_is_waited_for_until_it_accepts(start: Start) -> None:
    path = start.folder.socket_path("s")
    child = await start(
        f"import signal, socket; s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen(); signal.pause()"
    )
    await child.accepts(path, LIMIT_S)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


async def test_who_waits_for_a_socket_hears_at_once_that_the_child_has_ended(start: Start) -> None:
    child = await start("raise SystemExit('no socket today')")
    with pytest.raises(ProcessEndedError, match="no socket today"):
        await child.accepts(start.folder.socket_path("s"), 60)


async def test_a_paused_child_stands_still_and_goes_on(start: Start) -> None:
    child = await start(f"import sys, signal; signal.signal(15, lambda *_: sys.exit(4)); {FOREVER}", announces=True)
    await child.announced(LIMIT_S)
    await child.pause()
    child.send(signal.SIGTERM)
    with pytest.raises(DeadlineError):
        await child.exited(0.05)
    child.resume()
    assert await child.exited(LIMIT_S) == ExitStatus(4, None)


async def test_a_child_that_has_ended_cannot_be_signalled(start: Start) -> None:
    child = await start("pass")
    await child.exited(LIMIT_S)
    with pytest.raises(ProcessEndedError, match="to send it SIGKILL"):
        child.kill()


async def test_a_killed_child_leaves_survivors_until_it_is_closed(start: Start) -> None:
    """A grandchild that left the session and lost its parents is still known for what it is."""
    child = await start(A_FAMILY, announces=True)
    await child.announced(LIMIT_S)
    child.kill()
    await child.exited(LIMIT_S)
    survivors = child.survivors()
    await child.close()
    assert len(survivors) == 1
    assert child.survivors() == []


async def test_closing_takes_the_child_off_the_undo_list(start: Start) -> None:
    child = await start(FOREVER)
    guarded = [guard.what for guard in start.watchdog.entries]
    await child.close()
    await child.close()
    assert guarded[1:] == [f"process {child.pid}"]
    assert len(start.watchdog.entries) == 1


async def test_a_limit_holds_in_the_child(start: Start) -> None:
    child = await start("for n in range(99): __import__('os').dup(1)", limits={"NOFILE": 20})
    await child.exited(LIMIT_S)
    assert "Too many open files" in child.log_tail()[-1]


async def test_the_resources_of_a_child_are_named(start: Start) -> None:
    opened = start.folder.file("opened")
    child = await start(
        "import os, signal, socket, threading\n"
        f"file = open({str(opened)!r}, 'w'); s = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Thread(target=signal.sigwait, args=({10},), daemon=True).start()\n"
        "os.fork() or signal.pause(); print('{}', flush=True); signal.pause()",
        announces=True,
    )
    await child.announced(LIMIT_S)
    ledger = child.resources()
    assert [len(ledger.of(kind)) for kind in (Kind.PROCESS, Kind.THREAD, Kind.SOCKET)] == [1, 2, 1]
    assert ledger.of(Kind.SOCKET)[0].name.endswith("LISTEN")
    assert any(str(opened) in entry.name for entry in ledger.of(Kind.DESCRIPTOR))
    assert ledger.rss_bytes > 1 << 20


async def test_a_child_tells_how_it_is(start: Start) -> None:
    child = await start("raise SystemExit(2)")
    running = repr(child)
    await child.exited(LIMIT_S)
    assert running == f"ChildProcess(child, pid {child.pid}, running)"
    assert repr(child) == f"ChildProcess(child, pid {child.pid}, exit code 2)"
