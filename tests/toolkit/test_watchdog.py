"""The watchdog undoes what a run has made, however the run ends, and touches nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import chaos
from chaos.errors import RefusedError, WatchdogError
from chaos.live import process_table
from chaos.live.run_folder import RunFolder
from chaos.live.undo import refusal, remove_tree
from chaos.live.watchdog import Watchdog, temporary_folder

LIMIT_S = 15
ROOT = Path(str(chaos.__file__)).parents[1]
# A run: a folder, and a child with a child, one that left its session, and one without any environment.
RUNNER = '''
import asyncio, json, os, signal, sys
from pathlib import Path
from chaos.live.process import ChildProcess
from chaos.live.run_folder import RunFolder
from chaos.live.watchdog import Watchdog

SUBJECT = """
import json, os, signal
def child(environment, leave):
    reading, writing = os.pipe()
    if os.fork() == 0:
        if leave:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
        os.write(writing, str(os.getpid()).encode())
        os.close(writing)
        os.close(reading)
        os.execve("/bin/sleep", ["sleep", "600"], environment)
    os.close(writing)
    return int(os.read(reading, 20))
pids = [child(dict(os.environ), False), child(dict(os.environ), True), child({}, False), os.getpid()]
print(json.dumps(pids), flush=True)
signal.pause()
"""

async def run():
    with Watchdog.start() as watchdog, RunFolder.create(watchdog) as folder:
        (folder.folder("data") / "report.json").write_text("{}")
        command = [sys.executable, "-c", SUBJECT.replace("json.dumps(pids)", "json.dumps({'pids': pids})")]
        log = folder.file("log")
        async with await ChildProcess.start(command, watchdog=watchdog, log=log, announces=True) as child:
            pids = (await child.announced(10))["pids"]
            print(json.dumps({"pids": pids, "folder": str(folder.path), "watchdog": watchdog.pid}), flush=True)
            await asyncio.Event().wait()

def fork_that_stays():
    if os.fork() == 0:
        os.setsid()
        os.close(1)
        os.close(2)
        sys.stdin.buffer.read()
        os._exit(0)

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "stop" in sys.argv:
        with Watchdog.start() as watchdog:
            RunFolder.create(watchdog)
    if "fork" in sys.argv:
        watchdog = Watchdog.start()
        folder = RunFolder.create(watchdog)
        fork_that_stays()
        print(json.dumps({"pids": [], "folder": str(folder.path), "watchdog": watchdog.pid}), flush=True)
        signal.pause()
    asyncio.run(run())
'''


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    with Watchdog.start() as started:
        yield started


@pytest.fixture
def stranger() -> Iterator[tuple[int, int]]:
    """A process that is not on any list: its pid and its start."""
    process = subprocess.Popen(["/bin/sleep", "600"])
    started = process_table.start_of(process.pid)
    assert started is not None
    yield process.pid, started
    process.kill()
    process.wait()


class Run:
    """A runner with a process group of its own, known by a token that everything it starts inherits."""

    def __init__(self, process: asyncio.subprocess.Process, token: str, outer: Watchdog) -> None:
        self.process, self._token, self._outer = process, token, outer
        self.words: dict[str, Any] = {}

    async def is_up(self) -> None:
        """Read what it has made, and have the test's own watchdog end what it should leave behind."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            self.words = json.loads(await self.process.stdout.readline())
        for pid in self.words["pids"]:
            self._outer.guard_process(pid, process_table.start_of(pid) or 0, self._token)

    async def said(self) -> str:
        """Return what it said on stderr, once runner and watchdog have let go of that: both are at their end then."""
        assert self.process.stderr is not None
        async with asyncio.timeout(LIMIT_S):
            said = await self.process.stderr.read()
            await self.process.wait()
        return said.decode()

    def left(self) -> list[process_table.Row]:
        """Return the living processes that the run has started."""
        sought = f"TOKEN_OF_THE_TEST={self._token}".encode()
        named = self.words.get("pids", [])
        return [row for row in process_table.read_table() if row.pid in named or sought in environment(row.pid)]

    def folders(self) -> list[Path]:
        return list(Path(temporary_folder()).glob(f"pywats-chaos-{self.process.pid}-*"))


def environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@asynccontextmanager
async def a_run(folder: Path, *arguments: str, failpoints: str = "") -> AsyncIterator[Run]:
    (folder / "the_runner.py").write_text(RUNNER)
    token = secrets.token_hex(8)
    outer = Watchdog.start()
    try:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "chaos.live.bootstrap", "--", "the_runner:main", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
                "CHAOS_FAILPOINTS": failpoints,
                "TOKEN_OF_THE_TEST": token,
            },
            start_new_session=True,
        )
        outer.guard_process(process.pid, process_table.start_of(process.pid) or 0, token)
        yield Run(process, token, outer)
    finally:
        outer.close()
    async with asyncio.timeout(LIMIT_S):
        await process.communicate()


def kill(run: Run) -> None:
    started = process_table.start_of(run.process.pid)
    assert started is not None
    assert process_table.send_signal(run.process.pid, started, signal.SIGKILL)


@pytest.mark.asyncio
async def test_a_killed_runner_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    """Neither the child, nor its child, nor one that left the session, nor one that has no environment."""
    async with a_run(tmp_path) as run:
        await run.is_up()
        assert len(run.left()) >= 6
        kill(run)
        said = await run.said()
        assert (run.left(), run.folders()) == ([], [])
        assert said.count("killed process") == 4


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "instant",
    [
        "chaos.live.watchdog:Watchdog.start#after",
        "chaos.live.watchdog:Watchdog.guard_folder#before",
        "chaos.live.watchdog:Watchdog.guard_folder#after",
        "chaos.live.run_folder:RunFolder.create#after",
        "chaos.live.process:ChildProcess._spawn#after",
        "chaos.live.watchdog:Watchdog.guard_process#before",
        "chaos.live.watchdog:Watchdog.guard_process#after",
        "chaos.live.process:ChildProcess.start#after",
        "chaos.live.watchdog:Watchdog.close#before",
    ],
)
async def test_a_runner_killed_at_any_instant_of_its_start_leaves_nothing(tmp_path: Path, instant: str) -> None:
    entry = "stop" if instant.endswith("close#before") else "run"
    async with a_run(tmp_path, entry, failpoints=f"{instant}=kill") as run:
        await run.said()
        assert (run.process.returncode, run.left(), run.folders()) == (-signal.SIGKILL, [], [])


@pytest.mark.asyncio
async def test_ctrl_c_leaves_nothing_and_needs_no_watchdog_for_it(tmp_path: Path) -> None:
    """SIGINT goes to the runner's whole process group, as a terminal sends it."""
    async with a_run(tmp_path) as run:
        await run.is_up()
        os.killpg(run.process.pid, signal.SIGINT)
        said = await run.said()
        assert (run.left(), run.folders()) == ([], [])
        assert "KeyboardInterrupt" in said
        assert "without cleaning up" not in said


@pytest.mark.asyncio
async def test_a_fork_that_outlives_the_runner_does_not_keep_its_folder(tmp_path: Path) -> None:
    """The fork holds the runner's end of the socket open, so only the end of the runner's process tells."""
    async with a_run(tmp_path, "fork") as run:
        await run.is_up()
        kill(run)
        await run.said()
        assert (len(run.left()), run.folders()) == (1, [])


def test_a_process_whose_start_differs_is_not_signalled(watchdog: Watchdog, stranger: tuple[int, int]) -> None:
    """The recorded process is gone and its pid has been given to another one."""
    pid, started = stranger
    watchdog.guard_process(pid, started - 1, "no mark")
    assert watchdog.close().done == ()
    assert process_table.is_alive(pid, started)


def test_a_signal_needs_the_right_start(stranger: tuple[int, int]) -> None:
    pid, started = stranger
    assert not process_table.send_signal(pid, started + 1, signal.SIGKILL)
    assert process_table.send_signal(pid, started, signal.SIGCONT)


def test_closing_undoes_what_was_not_forgotten(watchdog: Watchdog, stranger: tuple[int, int]) -> None:
    watchdog.guard_process(*stranger, "no mark")
    folder = RunFolder.create(watchdog)
    assert watchdog.close().done == (f"killed process {stranger[0]}", f"removed {folder.path}")
    assert not folder.path.exists()


def test_a_stopped_process_is_killed_too(watchdog: Watchdog, stranger: tuple[int, int]) -> None:
    process_table.send_signal(*stranger, signal.SIGSTOP)
    watchdog.guard_process(*stranger, "no mark")
    watchdog.close()
    assert not process_table.is_alive(*stranger)


def test_what_was_forgotten_is_left_alone(watchdog: Watchdog, stranger: tuple[int, int]) -> None:
    guard = watchdog.guard_process(*stranger, "no mark")
    watchdog.forget(guard)
    watchdog.forget(guard)
    assert watchdog.close().done == ()
    assert process_table.is_alive(*stranger)


@pytest.mark.parametrize("name", ["/", "/etc", "/tmp", "/tmp/other", "/tmp/pywats-chaos-1/inner", "/tmp/../etc"])
def test_a_folder_that_is_not_a_runs_own_is_refused(name: str) -> None:
    """Asked of the pure rule: no real path is ever handed to something that removes, should the rule be broken."""
    assert refusal(name, "/tmp")


def test_the_watchdog_passes_on_a_refusal(watchdog: Watchdog, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="touches only what its own run has made"):
        watchdog.guard_folder(tmp_path / "not-ours")


def test_removing_has_a_second_lock_of_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "not-ours"
    kept.mkdir()
    with pytest.raises(ValueError, match="nothing was removed"):
        remove_tree(str(kept))
    assert kept.exists()


def test_a_link_in_the_place_of_a_folder_is_refused(watchdog: Watchdog, tmp_path: Path) -> None:
    link = Path(temporary_folder()) / f"pywats-chaos-link-{secrets.token_hex(4)}"
    link.symlink_to(tmp_path)
    try:
        with pytest.raises(RefusedError, match="no folder"):
            watchdog.guard_folder(link)
    finally:
        link.unlink()


def test_removing_a_tree_does_not_follow_links(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    tree = tmp_path / "pywats-chaos-tree"
    (tree / "closed").mkdir(parents=True)
    (tree / "closed" / "link").symlink_to(kept)
    (tree / "closed").chmod(0o500)
    assert remove_tree(str(tree))
    assert (tree.exists(), (kept / "file").read_text()) == (False, "mine")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_watchdog_is_deaf_to_the_terminal(watchdog: Watchdog, number: signal.Signals) -> None:
    folder = RunFolder.create(watchdog)
    os.kill(watchdog.pid, number)
    assert watchdog.close().done == (f"removed {folder.path}",)


def test_a_watchdog_that_is_gone_is_noticed(watchdog: Watchdog) -> None:
    folder = RunFolder.create(watchdog)
    os.kill(watchdog.pid, signal.SIGKILL)
    with pytest.raises(WatchdogError, match=r"its process ended with -9"):
        RunFolder.create(watchdog)
    with pytest.raises(WatchdogError):
        folder.remove()
    with pytest.raises(WatchdogError):
        watchdog.close()


def test_closing_twice_is_closing_once(watchdog: Watchdog) -> None:
    watchdog.close()
    assert watchdog.close().done == ()


def test_the_watchdog_tells_how_much_it_guards(watchdog: Watchdog, stranger: tuple[int, int]) -> None:
    watchdog.guard_process(*stranger, "no mark")
    assert repr(watchdog) == f"Watchdog(pid {watchdog.pid}, 1 entries)"
