"""Bugs that this service once had, put back: each was found by a proof, mended, and must be found again.

``chaos/old_bugs.toml`` says of each the commit that mended it and the run that shows it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.protocols import WorldKind
from chaos.replacements import Replacements

SERVICE = "pywats_reliability.client_service.service:AsyncClientService"
STORE = "pywats_reliability.store"
Result = Callable[..., Any]


@mutant("C2.5", subtle="only when the loop's timer comes a moment early")
def the_hold_waits_for_the_next_heartbeat(service: Replacements) -> None:
    """Compares the time that a restart has lived with the hold to the last bit, though timers may come early."""
    service.replace("pywats_reliability.supervisor.supervised_task:TIMER_EARLY_S", 0.0)


@mutant("C1.6", subtle="only when the power goes between the move and its sync", worlds=(WorldKind.CRASH,))
def the_sidecar_goes_with_the_rename(service: Replacements) -> None:
    """Removes the sidecar of a record as soon as that has moved, before the move is durable."""

    def rename(original: Result, plan: Any, batch: list[Any]) -> None:
        original(plan, batch)
        for move in batch:
            if not move.error:
                plan._remove_sidecar(move)

    service.wrap(f"{STORE}.batches:MovePlan._rename", rename)


@mutant("C1.4", subtle="only for a thread that blocks while the event loop closes")
def the_guard_leaves_with_the_stop(service: Replacements) -> None:
    """Takes the guard off when the stop is over, though closing the loop waits for threads that block."""
    service.replace("pywats_reliability.cli.process:ExitGuard.hurry", lambda guard: guard.disarm())


@mutant("H5.4", subtle="only for limits that change while it runs")
def new_limits_never_reach_the_store(service: Replacements) -> None:
    """Keeps the limits with which the store was made, whatever the configuration says since."""
    service.replace(f"{STORE}.report_store:ReportStore.limit", lambda _store, _limits: None)


@mutant("C1.7", subtle="only between the end of a stop and the next start")
def signals_stay_ignored_until_the_next_start(service: Replacements) -> None:
    """Ignores signals once the stop is over: another one must not change the exit code."""
    ignored = dict.fromkeys((signal.SIGTERM, signal.SIGINT), signal.SIG_IGN)
    service.replace("pywats_reliability.cli.process:SIGNALS", ignored)


@mutant("C1.7", subtle="only during the stop that a restart begins with")
def a_signal_only_hurries_a_restart(service: Replacements) -> None:
    """Takes a signal during the stop of a restart for a wish to have that sooner."""

    def restarts(original: Result, self: Any) -> None:
        original(self)
        self.wanted_again = self.restart_requested

    async def run(original: Result, self: Any) -> Any:
        report = await original(self)
        self.restart_requested = getattr(self, "wanted_again", False)
        return report

    service.wrap(f"{SERVICE}.request_restart", restarts)
    service.wrap(f"{SERVICE}.run", run)


@mutant("C1.9", subtle="only where a folder's name cannot be synced", worlds=(WorldKind.CRASH,))
def a_folder_that_is_there_is_durable(service: Replacements) -> None:
    """Leaves a folder whose name could not be synced where it is: the next call finds it there."""

    def make_folder(disk: Any, path: Any) -> None:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in reversed(missing):
            disk.sync_folder(folder.parent)

    service.replace("pywats_reliability.disk:Disk.make_folder", make_folder)


@mutant("H2.4", subtle="only when a stop meets the turn in which the health server begins to listen")
def a_server_is_lost_as_it_begins_to_listen(service: Replacements) -> None:
    """Has asyncio make the health server in one call, which forgets it when it is cancelled at its last step."""

    async def listening(server: Any) -> asyncio.Server:
        return await asyncio.start_server(server._serve, server.host, server._wanted_port, limit=16_384)

    service.replace("pywats_reliability.health_server:HealthServer._listening", listening)
