"""The reference service's store and configuration as stories to crash: what they do, and what must hold in the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.crash.story import FOLDER, CrashStory, End, Outside, Wrong
from chaos.errors import UsageError
from chaos.sim.disk import syncfs
from chaos.storage import MODELS, Contents
from chaos.subjects.reference_crash_lock import STORY as TAKE_OVER
from chaos.subjects.reference_crash_reports import (
    DATA,
    FOLDERS,
    KEEPING,
    Reports,
    abstracted,
    names_in,
    records_in,
    report_of,
)
from chaos.subjects.reference_crash_sources import STORIES as OF_SOURCES
from pywats_reliability.config import ClientConfig
from pywats_reliability.config.document import encoded
from pywats_reliability.config_file import load_config, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConfigFileError, DiskError, ReliabilityError
from pywats_reliability.ports import SystemClock
from pywats_reliability.report import Report
from pywats_reliability.store import ReportStore, StoreLimits
from pywats_reliability.store.names import Record

CONFIG = Path(FOLDER) / "config.json"
ATTEMPTS = 2
LOOKS = 2  # As the service takes every half minute: what an error left in one look is found by the next.
OLD, NEW = ClientConfig(station_name="OLD"), ClientConfig(station_name="NEW")
Work = Callable[[ReportStore, Outside, Reports], Awaitable[Mapping[str, Any] | None]]
"""What it returns is told to the judge. It asks the outside only for what it acts upon: see ``Outside``."""


@dataclass(frozen=True, slots=True)
class StoreStory:
    """A store that is opened, does some work, and is closed; ``judge`` adds to what must hold of every store."""

    reports: Reports
    work: Work
    limits: StoreLimits = field(default_factory=StoreLimits)
    judge: Callable[[End, Reports], Wrong] = lambda _end, _reports: {}

    def program(self, outside: Outside) -> Callable[[], Any]:
        """Return the program's main function."""

        async def main() -> dict[str, Any]:
            store = ReportStore(DATA, disk=Disk(syncfs=syncfs), clock=SystemClock(), limits=self.limits)
            found: dict[str, Any] = {}
            try:
                async with asyncio.TaskGroup() as tasks:
                    living = tasks.create_task(self._live(store, outside, found))
                    outside.may_be_cancelled(living, by="stop")
                if "recovered" in found:
                    if outside.met_trouble:
                        await store.scan()  # What the service does every half minute, and what mends its counts.
                    found["pending"] = store.counts.pending
            except DiskError:
                outside.was_refused()
            finally:
                try:
                    await store.close()
                except DiskError:
                    outside.was_refused()
            return found

        return main

    async def _live(self, store: ReportStore, outside: Outside, found: dict[str, Any]) -> None:
        """Open the store and do the work, until the end, an error or a stop; add to ``found`` what there was."""
        try:
            await store.open()
            found["recovered"] = await _recovered(store)
            found |= await self.work(store, outside, self.reports) or {}
        except (DiskError, asyncio.CancelledError):
            outside.was_refused()

    def wrong(self, end: End) -> Wrong:
        """Return what is broken in the end: first what must hold of every store, then what this story adds."""
        result, contents = end.result or {}, end.contents
        found = self._no_record(end)
        kept = [name for folder in KEEPING for name in names_in(contents, folder, self.reports)]
        for name in end.outside.all_seen("accepted"):
            if name not in kept and not end.outside.has_seen("delivered", name):
                words = f"report {name} was accepted and is in no folder, whole"
                found |= {"H1.1": words, "C1.6": words}
        if "recovered" in result:
            for name in (of for what, of in sorted(end.outside.before) if what == "sending"):
                if self.reports.by_name[name].id not in result["recovered"]:
                    found["H1.2"] = f"report {name} went to the network, and the next start does not have it"
        listed = len(records_in(contents, "pending"))
        if "pending" in result and result["pending"] != listed:
            found["H5.4"] = f"the count of what is pending says {result['pending']}, the folder has {listed}"
        return {**found, **self.judge(end, self.reports)}

    def _no_record(self, end: End) -> dict[str, str]:
        """Return what is wrong with files that are, or were, called a record and are none."""
        if torn := [path for path in end.contents if path.startswith("data/quarantine/") and "Z_" in path]:
            return {"C1.6": f"a record of ours was quarantined, as it was not whole: {torn[0]}"}
        for path, body in records_in(end.contents, "pending").items():
            if end.outside.met_trouble and FOREIGN.get(f"data/pending/{path}") == body:
                continue  # The start was refused: what was no report before lies where it lay.
            if self.reports.named(body) not in self.reports.by_name:
                return {"C1.6": f"pending/{path} looks like a record and holds {len(body)} bytes that are none"}
        return {}


async def _recovered(store: ReportStore) -> set[str]:
    """Return which reports are in the folders, right after recovery."""
    known: set[str] = set()
    for folder in KEEPING:
        for record in await store.list_records(folder):  # type: ignore[arg-type] # The three names are its own.
            known.add(record.report_id)
    return known


async def accept_all(store: ReportStore, outside: Outside, reports: Reports) -> None:
    """Hand over, all at once, what has not been accepted yet."""

    async def produce(name: str, report: Report) -> None:
        try:
            await store.accept(report)
        except ReliabilityError:
            outside.was_refused()  # Nothing is kept, it was told; it may try again after the next start.
            return
        outside.say("accepted", name)

    async with asyncio.TaskGroup() as group:
        for name, report in reports.by_name.items():
            if not outside.has_seen("accepted", name):
                outside.may_be_cancelled(group.create_task(produce(name, report)))


async def accept_and_send(store: ReportStore, outside: Outside, reports: Reports) -> None:
    """Hand over what has not been accepted, then send everything there is to a server that always answers."""
    await accept_all(store, outside, reports)
    while record := store.take():
        try:
            name = reports.named(await store.read(record))
            outside.say("sending", name)
            outside.say("delivered", name)
            await store.mark_sent(record)
        except ReliabilityError:
            outside.was_refused()
            store.release(record)
            return


def sent_once(end: End, reports: Reports) -> Wrong:
    """Return what is wrong with deliveries: nothing foreign, nothing accepted left out, nothing left behind."""
    delivered = end.outside.all_seen("delivered")
    if strange := [name for name in delivered if name not in reports.by_name]:
        return {"H1.5": f"something else than the accepted reports was delivered: {strange[0]}"}
    if end.outside.met_trouble:
        return {}
    if lost := [name for name in end.outside.all_seen("accepted") if name not in delivered]:
        return {"C1.6": f"report {lost[0]} was accepted and never delivered"}
    return {}


async def retry_and_fail(store: ReportStore, outside: Outside, reports: Reports) -> Mapping[str, Any]:
    """Hand over, fail twice, give up, queue again by hand; return how many attempts were known at first."""
    await accept_all(store, outside, reports)
    attempts = await _attempts(store)
    try:
        while not outside.has_seen("failed") and (record := store.take()):
            await _give_up(store, outside, record)
        if outside.has_seen("failed") and not outside.has_seen("retried"):
            outside.say("retrying")  # From here on, the attempts begin anew.
            for record in await store.list_records("failed"):
                await store.retry_failed(record.report_id)
            outside.say("retried")
    except ReliabilityError:
        outside.was_refused()
    return {"attempts": attempts}


async def _give_up(store: ReportStore, outside: Outside, record: Record) -> None:
    """Fail to send a record twice and give it up; an error lets it wait again, as the service does."""
    try:
        attempts = (await store.history(record)).attempts
        while attempts < ATTEMPTS:
            attempts = await store.record_attempt(record, "500")
            outside.say("attempt", str(attempts))
        await store.mark_failed(record, "given up")
        outside.say("failed")
    except ReliabilityError:
        store.release(record)
        raise


async def _attempts(store: ReportStore) -> int:
    """Return the attempts of the record that knows most of them."""
    known = 0
    for folder in ("pending", "failed"):
        for record in await store.list_records(folder):
            known = max(known, (await store.history(record, folder)).attempts)
    return known


def _lost_attempts(end: End) -> Wrong:
    """Return what is wrong with attempts that were told before the crash: some record of the report must know them."""
    told = max((int(of) for what, of in end.outside.before if what == "attempt"), default=0)
    known = (end.result or {}).get("attempts", told)
    if known < told and ("retrying", "") not in end.outside.before:
        return {"C1.6": f"{told} attempts were told, the next start knows {known}"}
    return {}


def story_is_kept(end: End, reports: Reports) -> Wrong:
    """Return what is wrong with the attempts that were told, and with the story of a failed report."""
    found = dict(_lost_attempts(end))
    for name, body in records_in(end.contents, "failed").items():
        sidecar = f"data/failed/{name.removesuffix('.json')}.history.json"
        if not isinstance(end.contents.get(sidecar), bytes):
            found["C1.6"] = f"report {reports.named(body)} is in failed/ without its story"
    for path, leaf in end.contents.items():
        if path.endswith(".history.json") and isinstance(leaf, bytes) and not _is_json(leaf):
            found["C1.6"] = f"the story {path} is not whole"
    return found


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


async def evict(store: ReportStore, outside: Outside, reports: Reports) -> None:
    """Fill the queue, then make room for another by giving up the oldest."""
    for name, report in reports.by_name.items():
        if outside.has_seen("accepted", name):
            continue
        try:
            while store.can_accept(len(report.body)) is not None and await store.evict_oldest("queue full"):
                outside.say("evicted")
            await store.accept(report)
        except ReliabilityError:
            outside.was_refused()
            return
        outside.say("accepted", name)


def within_its_limit(end: End, _reports: Reports) -> Wrong:
    """Return what is wrong with a queue of one place."""
    pending = len(records_in(end.contents, "pending"))
    return {"H5.4": f"{pending} reports are pending in a queue of one place"} if pending > 1 else {}


async def look_round(store: ReportStore, outside: Outside, _reports: Reports) -> None:
    """Take everything there is to take, so that what is no report goes to quarantine."""
    while record := store.take():
        try:
            await store.read(record)
        except ReliabilityError:
            continue
    for _ in range(LOOKS):
        await store.scan()
    outside.say("looked")


def nothing_deleted(end: End, _reports: Reports) -> Wrong:
    """Return what is wrong with files of others: each must still be somewhere, as it was."""
    bodies = [leaf for leaf in end.contents.values() if isinstance(leaf, bytes)]
    gone = [path for path, leaf in FOREIGN.items() if isinstance(leaf, bytes) and leaf not in bodies]
    return {"C1.6": f"{gone[0]} is nowhere any more"} if gone else {}


FOREIGN: Contents = {**FOLDERS, "data/pending/torn.json": b'{"id": "00'}


def save_settings(outside: Outside) -> Callable[[], Any]:
    """Return a program that saves new settings over old ones."""

    def main() -> str:
        try:
            found: str = load_config(CONFIG).station_name
        except ConfigFileError as error:
            if isinstance(error.__cause__, OSError):
                outside.was_refused()
                return ""
            raise
        if not outside.has_seen("saved"):
            try:
                save_config(CONFIG, NEW, disk=Disk(syncfs=syncfs))
            except ReliabilityError:
                outside.was_refused()
                return found
            outside.say("saved")
        return found

    return main


def settings_whole(end: End) -> Wrong:
    """Return what is wrong with the settings: they must be the old or the new ones; the new ones once saved."""
    if ("saved", "") in end.outside.before and not end.outside.met_trouble and end.result != NEW.station_name:
        return {"C1.10": f"the settings were saved, and the next start finds those of {end.result!r}"}
    return {}


def _story(
    name: str,
    proves: tuple[str, ...],
    how: StoreStory,
    start: Contents = FOLDERS,
    models: tuple[str, ...] = tuple(MODELS),
) -> CrashStory:
    return CrashStory(name, proves, how.program, how.wrong, abstracted, start, models, is_disturbed=True)


def _reports(count: int) -> Reports:
    return Reports({f"r{number}": report_of(number) for number in range(1, count + 1)})


TWINS = Reports({"one": report_of(1, serial="A"), "other": report_of(1, serial="B")})
ACCEPTING = ("H1.1", "C1.6", "H5.4")
SENDING = ("C1.6", "H1.2", "H1.5", "H1.1", "H5.4")
STORIES = {
    story.name: story
    for story in (
        _story("first_start", ACCEPTING, StoreStory(_reports(1), accept_all), {}),
        _story("accept_one", ACCEPTING, StoreStory(_reports(1), accept_all)),
        _story("accept_two", ACCEPTING, StoreStory(_reports(2), accept_all)),
        _story("accept_three", ACCEPTING, StoreStory(_reports(3), accept_all)),
        _story("accept_four_with_syncfs", ACCEPTING, StoreStory(_reports(4), accept_all)),
        _story("accept_twins", ("H1.15", "H1.1", "C1.6"), StoreStory(TWINS, accept_all)),
        _story(
            "send_one",
            ("C1.6", "H1.2", "H1.5", "H1.1", "H5.4"),
            StoreStory(_reports(1), accept_and_send, judge=sent_once),
        ),
        _story(
            "send_two",
            ("C1.6", "H1.2", "H1.5", "H1.1", "H5.4"),
            StoreStory(_reports(2), accept_and_send, judge=sent_once),
        ),
        _story("retry_and_fail", ("C1.6", "H5.4"), StoreStory(_reports(1), retry_and_fail, judge=story_is_kept)),
        _story("evict", ("H5.4", "C1.6"), StoreStory(_reports(2), evict, StoreLimits(max_reports=1), within_its_limit)),
        _story("quarantine", ("C1.6", "H5.4"), StoreStory(_reports(1), look_round, judge=nothing_deleted), FOREIGN),
        CrashStory(
            "save_settings",
            ("C1.10",),
            save_settings,
            settings_whole,
            start={"config.json": encoded(OLD.to_dict())},
            is_disturbed=True,
        ),
        *OF_SOURCES,
        TAKE_OVER,
    )
}


def crash_story(name: str) -> CrashStory:
    """Return the story of that name. Raises ``UsageError``."""
    if name not in STORIES:
        raise UsageError("the name of a story to crash", repr(name), f"there are {', '.join(STORIES)}")
    return STORIES[name]
