"""The ledger names what leaked and where it was created, and nothing that did not leak (H2.6)."""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from chaos.errors import ProcessEndedError
from chaos.live.ledger import Entry, Kind, Ledger, difference, take

Plant = Callable[[], AbstractContextManager[object]]


@contextmanager
def a_descriptor() -> Iterator[None]:
    with open(__file__, encoding="utf-8"):
        yield


@contextmanager
def a_listening_socket() -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)):
        yield


@contextmanager
def a_thread() -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=wait_for, args=[done], name="forgotten thread")
    thread.start()
    yield
    done.set()
    thread.join()


def wait_for(done: threading.Event) -> None:
    done.wait()


@contextmanager
def a_process() -> Iterator[None]:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        while psutil.Process(process.pid).cmdline() != ["/bin/sleep", "600"]:  # It has none while it is starting.
            assert process.poll() is None
        yield
        process.kill()


@contextmanager
def a_process_not_waited_for() -> Iterator[None]:
    with subprocess.Popen(["/bin/true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield


@contextmanager
def shared_memory() -> Iterator[None]:
    path = Path("/dev/shm") / f"pywats-chaos-test-{os.getpid()}"
    with open(path, "w+b") as file:
        file.truncate(4096)
        memory = mmap.mmap(file.fileno(), 4096)
    try:
        yield
    finally:
        memory.close()
        path.unlink()


PLANTS: list[tuple[Plant, list[Kind], str]] = [
    (a_descriptor, [Kind.DESCRIPTOR], f"→ {__file__}"),
    (a_listening_socket, [Kind.SOCKET], "inet stream 127.0.0.1"),
    (a_thread, [Kind.THREAD], "forgotten thread, runs wait_for (test_ledger.py:"),
    (a_process, [Kind.PROCESS], f"sleep 600, started by {os.getpid()}"),
    (a_process_not_waited_for, [Kind.PROCESS], "true (ended, not waited for)"),
    (shared_memory, [Kind.DESCRIPTOR, Kind.SHARED_MEMORY],  # A mapping of Python keeps a descriptor too.
     "/dev/shm/pywats-chaos-test-"),
]


@pytest.mark.parametrize(("plant", "kinds", "words"), PLANTS, ids=[plant.__name__ for plant, _, _ in PLANTS])
def test_what_is_held_afterwards_is_named(plant: Plant, kinds: list[Kind], words: str) -> None:
    before = take()
    with plant():
        leaks = difference(before, take())
    assert [leak.kind for leak in leaks] == kinds
    assert words in str(leaks[-1])


@pytest.mark.parametrize("plant", [plant for plant, _, _ in PLANTS])
def test_what_was_given_back_is_no_leak(plant: Plant) -> None:
    before = take()
    with plant():
        pass
    assert difference(before, take()) == ()


def test_what_was_there_before_is_no_leak() -> None:
    with ExitStack() as stack:
        for plant, _, _ in PLANTS:
            stack.enter_context(plant())
        assert difference(take(), take()) == ()


def test_the_same_thing_twice_is_one_leak_with_its_count() -> None:
    before = take()
    with a_descriptor(), a_descriptor():
        (leak,) = difference(before, take())
    assert leak.times == 2


def test_a_file_in_a_folder_of_the_run_is_named(tmp_path: Path) -> None:
    before = take(folders=[tmp_path])
    (tmp_path / "left.tmp").write_text("")
    assert [str(leak) for leak in difference(before, take(folders=[tmp_path]))] == [f"file {tmp_path}/left.tmp"]


@pytest.mark.asyncio
async def test_a_task_is_named_with_its_coroutine_and_where_it_waits() -> None:
    before = take()
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(forgotten(done), name="upload 7")
        await asyncio.sleep(0)
        (leak,) = difference(before, take())
        done.set()
    line = forgotten.__code__.co_firstlineno
    assert str(leak) == f"task upload 7, coroutine forgotten (test_ledger.py:{line}, waits at line {line + 1})"


@pytest.mark.asyncio
async def test_a_task_with_the_name_of_one_that_ended_is_another_task() -> None:
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(forgotten(done), name="upload")
        before = take()
        done.set()
        await first
        del first
        group.create_task(forgotten(asyncio.Event()), name="upload").add_done_callback(lambda _: None)
        leaks = difference(before, take())
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            assert task is not None
            task.cancel()
    assert [leak.name for leak in leaks] == ["upload"]


async def forgotten(done: asyncio.Event) -> None:
    await done.wait()


def test_a_process_that_is_gone_cannot_be_looked_at() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    with pytest.raises(ProcessEndedError, match="it is gone"):
        take(process.pid)


def test_a_ledger_tells_its_counts() -> None:
    ledger = Ledger(7, (Entry(Kind.THREAD, 1, "a"), Entry(Kind.THREAD, 2, "b"), Entry(Kind.SOCKET, 3, "c")), 3 << 20)
    assert str(ledger) == "pid 7: 2 thread, 1 socket, 3 MiB"
