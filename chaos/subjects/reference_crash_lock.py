"""The story of two living services on one data folder: the second takes over when the first ends or dies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from chaos.crash.story import CrashStory, End, Outside, Wrong
from chaos.sim.disk import syncfs
from chaos.subjects.reference_crash_reports import DATA, KEEPING, Reports, abstracted, names_in, report_of
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ReliabilityError, StoreLockedError
from pywats_reliability.ports import SystemClock
from pywats_reliability.store import ReportStore

REPORTS = Reports({"first": report_of(1), "second": report_of(2)})
Holders = WeakKeyDictionary[Outside, list[int]]
"""Which processes of a run hold the folder."""
STAYS_S, TRIES_AGAIN_S, TAKEN_OVER_WITHIN_S = 1.0, 0.3, 60.0


def service(name: str, holders: Holders) -> Callable[[Outside], Callable[[], Any]]:
    """Return a service that tries to get the folder until it has it, accepts its report, stays a while, and goes."""

    def program(outside: Outside) -> Callable[[], Any]:
        async def main() -> None:
            try:
                async with asyncio.timeout(TAKEN_OVER_WITHIN_S):
                    store = await _opened(outside, holders)
            except TimeoutError:
                outside.complaints["H1.9"] = f"the {name} service cannot have the folder, which nobody holds"
                return
            except ReliabilityError:
                outside.was_refused()
                return
            try:
                if not outside.has_seen("accepted", name):
                    await store.accept(REPORTS.by_name[name])
                    outside.say("accepted", name)
                await asyncio.sleep(STAYS_S)
            except ReliabilityError as error:
                outside.complaints["H1.9"] = f"the {name} service was disturbed while it held the folder: {error}"
            holders[outside].remove(os.getpid())
            await store.close()

        return main

    return program


async def _opened(outside: Outside, holders: Holders) -> ReportStore:
    """Return a store once the folder is free; note whoever else holds it then, and who is not named before."""
    while True:
        store = ReportStore(DATA, disk=Disk(syncfs=syncfs), clock=SystemClock())
        try:
            await store.open()
        except StoreLockedError as error:
            named = [number for number in _living(outside, holders) if f"process {number} " in error.holder]
            if _living(outside, holders) and not named:
                outside.complaints["H1.9"] = (
                    f"the folder is held by {_living(outside, holders)}, named is {error.holder}"
                )
            await asyncio.sleep(TRIES_AGAIN_S)
            continue
        if others := _living(outside, holders):
            outside.complaints["H1.9"] = f"{len(others) + 1} services hold the folder at a time"
        holders.setdefault(outside, []).append(os.getpid())
        return store


def _living(outside: Outside, holders: Holders) -> list[int]:
    """Return the processes of this run that hold the folder and are alive."""
    return [number for number in holders.get(outside, ()) if outside.lives(number)]


def nothing_lost(end: End) -> Wrong:
    """Return what is wrong in the end: every accepted report is kept."""
    kept = [name for folder in KEEPING for name in names_in(end.contents, folder, REPORTS)]
    if lost := [name for name in end.outside.all_seen("accepted") if name not in kept]:
        return {"C1.6": f"the report of the {lost[0]} service was accepted and is in no folder"}
    return {}


def _story() -> CrashStory:
    holders = Holders()
    first, second = service("first", holders), service("second", holders)
    return CrashStory("take_over", ("H1.9", "C1.6"), first, nothing_lost, abstracted, beside=second)


STORY = _story()
