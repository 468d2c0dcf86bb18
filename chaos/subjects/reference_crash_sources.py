"""Stories of files that become reports: a conversion, and the import of an upstream queue of either layout.

What was in a file is owed from the first instant: after every crash it is in its file, or in a record, or in both; in
the end it is one report, however often it was begun anew, and the file is put away.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaos.crash.story import FOLDER, CrashStory, End, Outside, Wrong
from chaos.sim.disk import syncfs
from chaos.storage import Contents
from chaos.subjects.reference_crash_reports import DATA, FOLDERS, abstracted, records_in, report_of
from pywats_reliability.cli.import_command import Import, take_all
from pywats_reliability.config import ClientConfig
from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool import AsyncConverterPool, PoolSettings, never_known
from pywats_reliability.converters import StationInfo
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, ReliabilityError
from pywats_reliability.events import Event
from pywats_reliability.ports import SystemClock
from pywats_reliability.report import Report
from pywats_reliability.store import ReportStore
from pywats_reliability.upstream_folders import survey

UP = Path(FOLDER) / "up"
LOG = b"sn,pn,rev,process_code,start,step,value,result\nS1,P,1,10,2026-01-01T00:00:00+00:00,U,1.5,P\n"
CONVERTER = ConverterConfig(name="csv", module_path="csv", watch_folder="drop")
STATION = StationInfo("Station", "Line 1", "Test")
LOOK_S = 0.5
END_LIMIT_S = 600.0
DROPPED: Contents = {**FOLDERS, "data/drop": None, "data/drop/a.csv": LOG}


class _Queue:
    """The queue as converting sees it: straight into the store, and the outside hears of each report accepted."""

    def __init__(self, store: ReportStore, outside: Outside) -> None:
        self.queue_changed: Event[[]] = Event("queue_changed")
        self._store, self._outside = store, outside

    async def submit(self, source: Report, *, priority: int = 5) -> str:
        record = await self._store.accept(source, priority=priority)
        self._outside.say("accepted", record.report_id)
        return record.report_id

    def is_full(self) -> bool:
        return False


def convert(outside: Outside) -> Callable[[], Any]:
    """Return a program that converts what it finds in the watched folder, until nothing waits there."""

    async def main() -> None:
        disk = Disk(syncfs=syncfs)
        store = ReportStore(DATA, disk=disk, clock=SystemClock())
        try:
            await store.open()
            await _until_put_away(store, disk, outside)
        except DiskError:
            outside.was_refused()
        finally:
            try:
                await store.close()
            except DiskError:
                outside.was_refused()
                await store.close()  # Harmless to repeat, and its threads end with it.

    return main


async def _until_put_away(store: ReportStore, disk: Disk, outside: Outside) -> None:
    """Let a pool work until the source is put away, or for so long that it never will be."""
    pool = AsyncConverterPool(
        [CONVERTER], _Queue(store, outside), data=DATA, disk=disk, clock=SystemClock(),
        settings=PoolSettings(settle_s=1.0, max_concurrent=1, station=STATION), is_being_written=never_known,
    )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(pool.run(lambda: None), name="converter_pool")
            outside.may_be_cancelled(running, by="stop")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_LIMIT_S):
                    while not (DATA / "drop/done/a.csv").exists() and not running.done():  # noqa: ASYNC110 - see below
                        await asyncio.sleep(LOOK_S)  # Nobody rings for a file, and in virtual time a look costs little.
            if running.cancelled():
                outside.was_refused()
            running.cancel()
    finally:
        await pool.close()


def converted_once(end: End) -> Wrong:
    """Return what is wrong with the conversion: one report, one source put away whole, nothing told and lost."""
    made = sorted(set(_by_id(end.contents, ("pending",))))
    reports = [name for name, _ in made]
    if len(made) > 1 or (not made and not end.outside.met_trouble):
        return {"C1.9": f"one source became {len(made)} reports: {', '.join(reports) or 'none'}"}
    places = [path for path, leaf in end.contents.items() if path.startswith("data/drop/") and leaf == LOG]
    wanted = ["data/drop/a.csv", "data/drop/done/a.csv"] if end.outside.met_trouble else ["data/drop/done/a.csv"]
    if len(places) != 1 or places[0] not in wanted:
        return {"C1.9": f"the source is whole in {', '.join(places) or 'no place'}, not where it is put away"}
    if lost := [name for name in end.outside.all_seen("accepted") if name not in reports]:
        return {"C1.9": f"report {lost[0]} was accepted, and the report of the source is another one"}
    return {}


def _by_id(contents: Contents, folders: tuple[str, ...]) -> list[tuple[str, bytes]]:
    bodies = [body for folder in folders for body in records_in(contents, folder).values()]
    return [(_id_in(body), body) for body in bodies]


def _id_in(body: bytes) -> str:
    """Return the id of the report in a record; a record that is not whole has none."""
    try:
        return str(json.loads(body)["id"])
    except (ValueError, TypeError, KeyError):
        return f"none, {len(body)} bytes that are no report"


def _envelope(report: Report, error: str | None = None) -> bytes:
    fields = {"id": "op-1", "operation_type": "submit_report", "data": json.loads(report.body), "attempts": 1}
    return json.dumps({**fields, "error": error, "status": "pending"}).encode()


SERVICE: Contents = {
    "up": None,
    "up/a.queued": report_of(1).body,
    "up/b.error": report_of(2).body,
    "up/b.error.info": b'{"error": "refused", "attempts": 5}',
    "up/imported": None,
    "up/imported/a.queued": b"of an import before",
}
GUI: Contents = {
    "up": None,
    "up/failed": None,
    "up/failed/2.json": _envelope(report_of(2), "refused"),
    "up/pending": None,
    "up/pending/1.json": _envelope(report_of(1)),
}
WANTED: Mapping[str, str] = {report_of(1).id: "pending", report_of(2).id: "failed"}


def take_over(outside: Outside) -> Callable[[], Any]:
    """Return a program that imports what is in the upstream folder, and moves what it has taken."""

    async def main() -> None:
        errand = Import(UP, Disk(syncfs=syncfs), move=True, retry_failed=False)
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            async with asyncio.TaskGroup() as tasks:
                outside.may_be_cancelled(tasks.create_task(_taken(errand, outside)), by="stop")
        if errand.code:
            outside.was_refused()
        if not outside.met_trouble:
            outside.say("imported")

    return main


async def _taken(errand: Import, outside: Outside) -> None:
    """Let the errand take everything, until the end, an error or a stop."""
    try:
        await take_all(errand, DATA, ClientConfig(), survey(errand.disk, UP))
    except (ReliabilityError, asyncio.CancelledError):
        outside.was_refused()


def taken_over(start: Contents) -> Callable[[End], Wrong]:
    """Return the judge of an import from ``start``: every report once, every file kept."""
    files = [leaf for path, leaf in start.items() if path.startswith("up/") and isinstance(leaf, bytes)]

    def judge(end: End) -> Wrong:
        found: dict[str, str] = {}
        left = [leaf for path, leaf in end.contents.items() if path.startswith("up/") and isinstance(leaf, bytes)]
        if gone := [leaf for leaf in files if leaf not in left]:
            found["H1.15"] = f"a file of the upstream queue is nowhere any more: {gone[0][:40]!r}"
        for report_id, folder in WANTED.items():
            records = [name for name, _ in _by_id(end.contents, ("pending", "failed"))].count(report_id)
            if not records and not end.outside.met_trouble:
                found["H1.1"] = f"the report of {folder}/ is in no folder of ours"
            if records > 1:
                found["H1.5"] = f"the report of {folder}/ was taken {records} times"
        return found

    return judge


STORIES = (
    CrashStory("convert_one", ("C1.9",), convert, converted_once, abstracted, DROPPED, is_disturbed=True),
    CrashStory(
        "import_service_queue", ("H1.1", "H1.5", "H1.15"), take_over, taken_over(SERVICE), abstracted,
        {**FOLDERS, **SERVICE}, is_disturbed=True,
    ),
    CrashStory(
        "import_gui_queue", ("H1.1", "H1.5", "H1.15"), take_over, taken_over(GUI), abstracted, {**FOLDERS, **GUI},
        is_disturbed=True,
    ),
)  # fmt: skip
