"""Mistakes by which starts and stops leave something behind, descriptors run out, or the leak check is blind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.protocols import WorldKind
from chaos.replacements import Replacements

SERVICE = "pywats_reliability.client_service.service:AsyncClientService"
IPC = "pywats_reliability.ipc.server:AsyncIPCServer"
LEDGER = "chaos.live.ledger"
Result = Callable[..., Any]


@mutant("H2.4")
def the_socket_stays_open(service: Replacements) -> None:
    """Leaves the socket that it listens on to the system, which closes it with the process."""
    kept: list[Any] = []
    service.replace("pywats_reliability.ipc.listener:Listener.close", kept.append)


@mutant("H2.4")
def threads_are_left_to_the_interpreter(service: Replacements) -> None:
    """Does not end the store's threads: they are idle, and cost nothing."""

    async def close(workers: Any, timeout_s: float = 0.0) -> bool:
        kept.append(workers)
        return True

    kept: list[Any] = []
    service.replace("pywats_reliability.workers:Workers.close", close)


@mutant("H2.4", subtle="only a descriptor for each start", worlds=[WorldKind.LIVE])
def the_lock_is_never_let_go(service: Replacements) -> None:
    """Opens a file to hold the folder with, and lets the garbage collector close it."""
    kept: list[Any] = []

    async def start(original: Result, self: Any) -> Any:
        kept.append(os.open(__file__, os.O_RDONLY))
        return await original(self)

    service.wrap(f"{SERVICE}.start", start)


@mutant("H2.4", subtle="only when the start fails half-way", worlds=[WorldKind.SIMULATION])
def a_failed_start_is_left_as_it_is(service: Replacements) -> None:
    """Leaves what a failed start had opened to the end of the process, which is near anyway."""

    async def opens(original: Result, self: Any) -> Any:
        try:
            return await original(self)
        except BaseException:
            kept.append(self._scope._steps[:])
            self._scope._steps.clear()
            raise

    kept: list[Any] = []
    service.wrap(f"{SERVICE}._open", opens)


@mutant("H2.4", subtle="only when the start fails between two calls", worlds=[WorldKind.SIMULATION])
def a_socket_file_that_is_not_served_stays(service: Replacements) -> None:
    """Leaves the file of a socket that it could not listen on: the next start replaces it, after all."""
    service.replace("pywats_reliability.ipc.listener:_remove_own", lambda path: None)


@mutant("H2.6", subtle="only timers")
def timers_are_not_looked_for(service: Replacements) -> None:
    """Leaves timers out of the ledger: they end by themselves."""
    service.replace(f"{LEDGER}:_own_timers", lambda: iter(()))


@mutant("H2.6", subtle="only the place is missing")
def tasks_have_no_origin(service: Replacements) -> None:
    """Names a task and not where it was made: its name says enough."""
    service.replace("chaos.live.origins:Origins.of_task", lambda origins, task: "")


@mutant("H2.6", subtle="only one leak of a kind that was there before")
def threads_are_the_system_s_affair(service: Replacements) -> None:
    """Leaves threads out of the ledger, as pools come and go."""
    service.replace(f"{LEDGER}:_own_threads", lambda: iter(()))
    service.replace(f"{LEDGER}:_threads", lambda process: iter(()))


@mutant("H6.10")
def a_failed_accept_ends_the_server(service: Replacements) -> None:
    """Lets an error of ``accept`` end the task: the supervisor starts it again, after all."""

    async def raises(server: Any, listener: Any, error: OSError) -> None:
        await original_wait(server, listener, error)
        raise error

    original_wait = service.replace(f"{IPC}._wait_for_a_descriptor", raises)


@mutant("H6.10", subtle="only while nobody new can come in")
def sends_the_served_away_for_a_descriptor(service: Replacements) -> None:
    """Closes whichever connection has been quiet for longest to make room, also one that is being served."""

    async def closes_all(original: Result, server: Any, *given: Any) -> None:
        await original(server, *given)
        for connection in list(server._connections):
            connection.abort()

    service.wrap(f"{IPC}._wait_for_a_descriptor", closes_all)


@mutant("H6.10", subtle="only when there are descriptors again")
def stops_accepting_for_an_hour(service: Replacements) -> None:
    """Waits for an hour when there is no descriptor, so that somebody has the time to raise the limit."""

    async def rests(original: Result, server: Any, *given: Any) -> None:
        await original(server, *given)
        server.HEARTBEAT_S = 3600.0
        await asyncio.sleep(3600)

    service.wrap(f"{IPC}._wait_for_a_descriptor", rests)
