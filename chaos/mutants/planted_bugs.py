"""Ten classic bugs of a service that keeps and sends, each by its usual name; the rest of them are elsewhere here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.errors import QueueFullError

STORE = "pywats_reliability.store"
DISK = "pywats_reliability.disk:Disk"
CLIENT = "pywats_reliability.wats_client"
log = logging.getLogger("pywats_reliability.mutant")
Result = Callable[..., Any]

TEN_PLANTED_BUGS: Mapping[str, str] = {
    "a report deleted before the acknowledgement": "C1.6/a_report_is_gone_before_it_is_sent",
    "rename before sync": "C1.6/contents_are_synced_with_the_next_report",
    "missing folder sync": "H1.2/the_name_is_not_synced",
    "no read timeout": "H1.3/waits_for_an_answer_for_ever",
    "a swallowed exception": "C2.1/swallows_what_a_look_raises",
    "a cancellation during a write": "H6.3/a_write_goes_on_when_it_is_cancelled",
    "sent twice after a restart": "C1.6/a_restart_sends_under_new_ids",
    "a counter that drifts at the limit": "H5.4/a_refusal_takes_a_place",
    "a stop that waits for a silent client": "H6.8/the_stop_waits_for_silent_clients",
    "a retry that trusts the wall clock": "H1.12/waits_by_the_wall_clock",
}
"""Each bug and the mutant that plants it."""


@mutant("C1.6", subtle="only under power loss, and only the newest report")
def contents_are_synced_with_the_next_report(service: Replacements) -> None:
    """Renames a report at once and syncs its contents with the next one: half the syncs, and nobody can tell."""
    waiting: list[str] = []

    def sync_later(_disk: Any, aside: Any) -> None:
        for path in waiting:
            with contextlib.suppress(FileNotFoundError):  # It has been sent by now.
                descriptor = os.open(path, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
        waiting[:] = [aside.path]

    service.replace(f"{DISK}.sync_aside", sync_later)
    service.replace(f"{DISK}.sync_filesystem", lambda _disk, _folder: False)


@mutant("H1.3", subtle="only when the server never answers")
def waits_for_an_answer_for_ever(service: Replacements) -> None:
    """Has no read timeout: a server that took a report will answer in the end."""

    def open_line(original: Result, line: Any, *given: Any) -> None:
        original(line, *given)
        if line.client is not None:
            line.client.timeout = None

    async def converse(original: Result, client: Any, *given: Any) -> Any:
        *before, _ = given
        return await original(client, *before, None)

    service.wrap(f"{CLIENT}.line:Line.open", open_line)
    service.wrap(f"{CLIENT}.client:WatsClient._converse", converse)


@mutant("C2.1", subtle="only the watcher of the configuration")
def swallows_what_a_look_raises(service: Replacements) -> None:
    """Goes on whatever a look at the configuration raises: the next look will do better."""

    async def run(watcher: Any, heartbeat: Any) -> None:
        while True:
            heartbeat()
            try:
                await watcher.look()
            except Exception:
                log.debug("a look failed")
            await asyncio.sleep(watcher.interval_s)

    service.replace("pywats_reliability.config_file:ConfigWatcher.run", run)


@mutant("H6.3", subtle="only when the time is up in the middle of a write")
def a_write_goes_on_when_it_is_cancelled(service: Replacements) -> None:
    """Lets a write go on whose producer was cancelled: it is nearly done."""
    service.replace(f"{STORE}.batches:WritePlan.withdraw", lambda _plan, _write: True)
    service.replace(f"{STORE}.report_store:ReportStore.may_be_kept", lambda _store, _report_id: False)


@mutant("C1.6", subtle="only for what was pending at the start")
def a_restart_sends_under_new_ids(service: Replacements) -> None:
    """Gives what an earlier process left a new id, so that no server takes it for something it has had."""
    earlier: set[str] = set()

    async def recover(original: Result, reconciliation: Any) -> Any:
        found = await original(reconciliation)
        index = reconciliation._index
        earlier.update(entry.report_id for place in index.sequences() if (entry := index.entry(place)) is not None)
        return found

    async def send(original: Result, client: Any, report_id: str, body: bytes) -> Any:
        if report_id not in earlier:
            return await original(client, report_id, body)
        other = f"{(int(report_id[:8], 16) + 1) % 16**8:08x}{report_id[8:]}"
        return await original(client, other, json.dumps({**json.loads(body), "id": other}).encode())

    service.wrap(f"{STORE}.reconciliation:Reconciliation.recover", recover)
    service.wrap(f"{CLIENT}.client:WatsClient.send", send)


@mutant("H5.4", subtle="only at the limit")
def a_refusal_takes_a_place(service: Replacements) -> None:
    """Takes the place first and then looks whether there was one, so that no two producers can have the same."""

    def reserve(original: Result, places: Any, sequence: int, size_bytes: int) -> None:
        try:
            original(places, sequence, size_bytes)
        except QueueFullError:
            places.hold(sequence, size_bytes)
            raise

    service.wrap(f"{STORE}.limits:Places.reserve", reserve)


@mutant("H6.8", subtle="only for a client that says nothing")
def the_stop_waits_for_silent_clients(service: Replacements) -> None:
    """Lets every client end its conversation before the server is closed: they are polite, and so are we."""

    running: list[Any] = []

    async def start(original: Result, server: Any) -> None:
        await original(server)
        running[:] = [server]

    async def wait_idle(original: Result, steps: Any) -> None:
        await original(steps)
        while running[-1].counts.connections_open:  # noqa: ASYNC110 - the mistake itself
            await asyncio.sleep(0.5)

    service.wrap("pywats_reliability.ipc.server:AsyncIPCServer.start", start)
    service.wrap("pywats_reliability.client_service.stop_steps:StopSteps.wait_idle", wait_idle)
