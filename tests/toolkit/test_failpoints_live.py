"""Failpoints in real child processes act exactly where they are named, and their counts outlive the child (C1.6)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

import chaos
from chaos.errors import DeadlineError, ProcessEndedError, UsageError
from chaos.live.failpoints import Failpoints
from chaos.live.process import ChildProcess, ExitStatus
from chaos.live.run_folder import RunFolder
from chaos.live.watchdog import Watchdog

pytestmark = pytest.mark.asyncio
LIMIT_S = 10
KILLED = ExitStatus(None, signal.SIGKILL)
SHELF = '''
import asyncio, os

class Base:
    def __init__(self):
        self.kept = []

    def keep(self, number):
        self.kept.append(number)
        return number

class Shelf(Base):
    def keep(self, number, *, twice=False):
        return super().keep(number) * (2 if twice else 1)

    async def send(self, number):
        await asyncio.sleep(0)
        return number

    @classmethod
    def named(cls, name="shelf"):
        return f"{cls.__name__} {name}"

    @staticmethod
    def add(first, second=2):
        return first + second

def numbers():
    yield 1

taken_early = Shelf.keep
'''
PROGRAM = '''
import asyncio, os, signal, sys, threading
from shelf import Shelf, taken_early, numbers

def say(*words):
    print(*words, flush=True)

def attempt(call, *arguments, **named):
    try:
        say(call(*arguments, **named))
    except Exception as error:
        say(type(error).__name__)

async def calls():
    shelf = Shelf()
    for number in (1, 2, 3):
        attempt(taken_early, shelf, number, twice=True)
        try:
            say("sent", await shelf.send(number))
        except Exception as error:
            say(type(error).__name__)
    attempt(shelf.named, name="x")
    attempt(shelf.add, 1)
    say("kept", shelf.kept)

async def ticking():
    shelf = Shelf()
    sending = asyncio.ensure_future(shelf.send(1))
    for _ in range(3):
        await asyncio.sleep(0)
    say("loop runs", "done" if sending.done() else "waiting")
    say("sent", await sending)

def main():
    asyncio.run({"calls": calls, "ticking": ticking}[sys.argv[1]]())

def in_fork():
    pid = os.fork()
    Shelf.add(1)
    if pid == 0:
        os._exit(0)
    say("fork ended with", os.waitpid(pid, 0)[1])

def on_disk():
    from os import fsync
    attempt(os.fsync, 0)
    attempt(fsync, 0)

def forever():
    say("kept", Shelf().keep(1))
    signal.pause()

def ending():
    signal.signal(signal.SIGTERM, lambda *_: say("told to end"))
    Shelf().keep(1)
    say("went on")
'''


@pytest.fixture
def folder() -> Iterator[RunFolder]:
    with Watchdog.start() as watchdog, RunFolder.create(watchdog) as made:
        made.file("shelf.py").write_text(SHELF)
        made.file("program.py").write_text(PROGRAM)
        yield made


class Stage:
    """Starts the program with failpoints, and reads what it said."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.children: list[ChildProcess] = []

    async def start(self, entry: str, specifications: dict[str, str], *arguments: str, seed: int = 0) -> Failpoints:
        failpoints = Failpoints(self.folder.path, specifications, name=f"{len(self.children)}", seed=seed)
        search = os.pathsep.join([str(self.folder.path), str(Path(str(chaos.__file__)).parents[1])])
        child = await ChildProcess.start(
            [sys.executable, "-m", entry, *arguments],
            watchdog=self.folder._watchdog,
            log=self.folder.file(f"{len(self.children)}.log"),
            env={"PYTHONPATH": search},
            failpoints=failpoints,
        )
        self.children.append(child)
        return failpoints

    async def run(self, specifications: dict[str, str], entry: str = "program:main", what: str = "calls") -> list[str]:
        """Return what the program said until it ended."""
        await self.start(entry, specifications, what)
        await self.children[-1].exited(LIMIT_S)
        return self.said()

    def said(self) -> list[str]:
        return self.children[-1].log_tail()


@pytest_asyncio.fixture
async def stage(folder: RunFolder) -> AsyncIterator[Stage]:
    made = Stage(folder)
    yield made
    for child in made.children:
        await child.close()


async def test_without_an_action_the_program_says_what_it_always_says(stage: Stage) -> None:
    said = await stage.run({"shelf:Shelf.keep": "off", "shelf:Shelf.send": "off", "shelf:Shelf.named": "off"})
    assert said == ["2", "sent 1", "4", "sent 2", "6", "sent 3", "Shelf x", "3", "kept [1, 2, 3]"]


async def test_a_function_taken_before_is_hooked_too_and_super_still_works(stage: Stage) -> None:
    said = await stage.run({"shelf:Shelf.keep": '1*raise(OSError)->1*raise(KeyError, "x")'})
    assert said[:6:2] == ["OSError", "KeyError", "6"]


async def test_kill_before_the_second_call_leaves_exactly_one_done(stage: Stage) -> None:
    said = await stage.run({"shelf:Shelf.send#before@2": "kill"})
    assert said == ["2", "sent 1", "4"]
    assert await stage.children[0].exited(0) == KILLED


async def test_kill_after_the_second_call_leaves_it_done_but_unsaid(stage: Stage) -> None:
    assert await stage.run({"shelf:Base.keep#after@2": "kill"}) == ["2", "sent 1"]


async def test_the_counts_survive_the_kill_they_announce(stage: Stage) -> None:
    failpoints = await stage.start("program:main", {"shelf:Shelf.send": "2*off->kill"}, "calls")
    await failpoints["shelf:Shelf.send"].wait_fired(deadline_s=LIMIT_S)
    await stage.children[0].close()
    assert (failpoints["shelf:Shelf.send"].reached, failpoints["shelf:Shelf.send"].fired) == (3, 1)


async def test_a_coroutine_function_raises_returns_and_is_left_alone_in_turn(stage: Stage) -> None:
    said = await stage.run({"shelf:Shelf.send": "1*raise(ValueError)->1*return([7])"})
    assert said[1:6:2] == ["ValueError", "sent [7]", "sent 3"]


async def test_class_methods_and_static_methods_can_be_hooked(stage: Stage) -> None:
    said = await stage.run({"shelf:Shelf.named#after": 'return("else")', "shelf:Shelf.add": 'print("adding")'})
    assert said[-4:] == ["else", "adding", "3", "kept [1, 2, 3]"]


async def test_a_builtin_can_be_hooked_also_where_it_was_imported_by_name(stage: Stage) -> None:
    said = await stage.run({"os:fsync": "raise(OSError, EIO)"}, "program:on_disk")
    assert said == ["OSError", "OSError"]


async def test_exit_ends_the_process_with_its_code(stage: Stage) -> None:
    await stage.run({"shelf:Base.keep#before@1": "exit(7)"})
    assert await stage.children[0].exited(0) == ExitStatus(7, None)


async def test_term_reaches_the_programs_own_handler(stage: Stage) -> None:
    assert await stage.run({"shelf:Base.keep#before": "term"}, "program:ending") == ["told to end", "went on"]


@pytest.mark.parametrize("terms", ["hang", "pause", "sleep(3600)"])
async def test_a_waiting_coroutine_does_not_hold_its_loop(stage: Stage, terms: str) -> None:
    failpoints = await stage.start("program:main", {"shelf:Shelf.send": terms}, "ticking")
    await failpoints["shelf:Shelf.send"].wait_reached(deadline_s=LIMIT_S)
    await stage.children[0].ready(lambda: _answer("loop runs waiting" in stage.said()), LIMIT_S)


async def test_block_holds_the_loop(stage: Stage) -> None:
    failpoints = await stage.start("program:main", {"shelf:Shelf.send": "block"}, "ticking")
    await failpoints["shelf:Shelf.send"].wait_fired(deadline_s=LIMIT_S)
    with pytest.raises(DeadlineError):
        await stage.children[0].ready(lambda: _answer(stage.said()), 0.1)


@pytest.mark.parametrize(
    ("entry", "target"), [("program:main", "shelf:Shelf.send"), ("program:forever", "shelf:Shelf.keep")]
)
async def test_a_pause_lasts_until_it_is_released(stage: Stage, entry: str, target: str) -> None:
    failpoints = await stage.start(entry, {target: "pause"}, "ticking")
    await failpoints[target].wait_fired(deadline_s=LIMIT_S)
    before = [line for line in stage.said() if line.startswith(("sent", "kept"))]
    failpoints[target].release()
    await stage.children[0].ready(lambda: _answer({"sent 1", "kept 1"} & set(stage.said())), LIMIT_S)
    assert before == []


async def test_new_terms_hold_from_the_next_passing_on(stage: Stage) -> None:
    """The first call is paused; while it is, the place is armed to kill, and the second call dies."""
    failpoints = await stage.start("program:main", {"shelf:Base.keep": "pause"}, "calls")
    point = failpoints["shelf:Base.keep"]
    await point.wait_reached(deadline_s=LIMIT_S)
    point.arm("kill")
    point.release()
    await stage.children[0].exited(LIMIT_S)
    assert (point.reached, point.fired, stage.said()) == (2, 2, ["2", "sent 1"])


async def test_disarming_lets_go_of_what_is_paused_and_of_all_that_follows(stage: Stage) -> None:
    failpoints = await stage.start("program:main", {"shelf:Base.keep": "pause"}, "calls")
    point = failpoints["shelf:Base.keep"]
    await point.wait_reached(deadline_s=LIMIT_S)
    point.disarm()
    assert await stage.children[0].exited(LIMIT_S) == ExitStatus(0, None)
    assert (point.reached, point.fired) == (3, 1)


async def test_failpoints_do_nothing_in_a_forked_child(stage: Stage) -> None:
    failpoints = await stage.start("program:in_fork", {"shelf:Shelf.add": "1*off->kill"})
    await stage.children[0].exited(LIMIT_S)
    assert (stage.said(), failpoints["shelf:Shelf.add"].reached) == (["fork ended with 0"], 1)


async def test_the_same_seed_fires_at_the_same_passings(stage: Stage) -> None:
    specifications = {"shelf:Shelf.keep": "50%raise(OSError)", "shelf:Shelf.send": "50%raise(OSError)"}
    said = []
    for _ in range(2):
        await stage.start("program:main", specifications, "calls", seed=5)
        await stage.children[-1].exited(LIMIT_S)
        said.append(stage.said())
    assert said[0] == said[1]
    assert "OSError" in said[0]


async def test_who_waits_for_a_child_that_ends_hears_so_at_once(stage: Stage) -> None:
    failpoints = await stage.start("program:main", {"shelf:Shelf.send": "off"}, "calls")
    with pytest.raises(ProcessEndedError, match=r"reached 4 times.*reached 3, fired 0"):
        await failpoints["shelf:Shelf.send"].wait_reached(4, deadline_s=60)


async def test_who_waits_too_long_is_told_the_counts(stage: Stage) -> None:
    failpoints = await stage.start("program:forever", {"shelf:Base.keep": "off", "shelf:Shelf.add": "kill"})
    await failpoints["shelf:Base.keep"].wait_reached(deadline_s=LIMIT_S)
    with pytest.raises(DeadlineError, match=r"fired 1 times within 0.05 s.*Shelf.add#before reached 0, fired 0"):
        await failpoints["shelf:Shelf.add"].wait_fired(deadline_s=0.05)


@pytest.mark.parametrize(
    ("target", "terms", "complaint"),
    [
        ("shelf:Shelf.kepe", "off", "did you mean keep"),
        ("shefl:Shelf", "off", "No module named 'shefl'"),
        ("shelf:numbers", "off", "a generator"),
        ("shelf:Shelf", "off", "expected a function"),
        ("shelf:Shelf.keep", "hang", "use block"),
        ("shelf:Shelf.keep", "raise(NoSuchError)", "an exception named NoSuchError"),
        ("program:main", "off", "start module:function"),
        ("builtins:str.join", "off", "can be replaced"),
    ],
)
async def test_what_cannot_be_armed_is_one_line_and_exit_code_3(
    stage: Stage, target: str, terms: str, complaint: str
) -> None:
    said = await stage.run({target: terms}, entry="program")
    assert (await stage.children[0].exited(0), len(said)) == (ExitStatus(3, None), 1)
    assert complaint in said[0]


async def test_a_command_without_a_module_cannot_have_failpoints(folder: RunFolder) -> None:
    with Failpoints(folder.path, {"shelf:numbers": "off"}) as failpoints, pytest.raises(UsageError, match="-m MODULE"):
        failpoints.command(["/bin/true"])


async def test_what_stands_before_the_module_stays(folder: RunFolder) -> None:
    with Failpoints(folder.path, {"shelf:numbers": "off"}) as failpoints:
        command = failpoints.command(["strace", "-f", "python", "-X", "dev", "-m", "service", "run"])
    assert (command[:6], command[-3:]) == (["strace", "-f", "python", "-X", "dev", "-m"], ["--", "service", "run"])


async def _answer(value: object) -> bool:
    await asyncio.sleep(0)
    return bool(value)
