"""``pywats-service import``: takes over a queue of the public client, of either layout, without losing a file.

* A report is durable in our store before its file is touched (H1.1), and only with ``--move``, which never
  overwrites (H1.15). A crash at any instant leaves the file, or the record, or both; the next import finds the
  record by its id and contents and does not take the report again (H1.5).
* What upstream gave up goes to ``failed/`` with upstream's reason, or is queued with ``--retry-failed``; what upstream
  has sent is left. A file that was not taken is named with the reason, and stays where it is.
* The data folder is opened under its lock: a running service must be stopped first (H1.9).
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click

from pywats_reliability.cli.connection import config_at
from pywats_reliability.cli.options import BAD_INPUT, DEFAULT_DATA, FAILED, complain, config_option, on_one_line
from pywats_reliability.client_service.settings import store_limits
from pywats_reliability.config import ClientConfig
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, ReliabilityError, ReportInvalidError
from pywats_reliability.ports import SystemClock
from pywats_reliability.store import FolderName, ReportStore
from pywats_reliability.store.folders import list_records
from pywats_reliability.upstream_folders import (
    IMPORTED,
    State,
    Survey,
    UpstreamFile,
    UpstreamReport,
    read_report,
    survey,
)

OUR_FOLDERS: tuple[FolderName, ...] = ("pending", "sent", "failed")
Known = dict[str, list[tuple[FolderName, Path]]]


@click.command("import")
@config_option
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA,
    help="The folder for reports that takes them over; no service may run on it.",
)  # fmt: skip
@click.option("--layout", type=click.Choice(["auto", "service", "gui"]), default="auto", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--move", is_flag=True, help=f"Move each file that was taken to FOLDER/{IMPORTED}/.")
@click.option("--retry-failed", is_flag=True, help="Queue also what upstream gave up, which else goes to failed/.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def import_folder(
    config_path: Path,
    data: Path,
    layout: Literal["auto", "service", "gui"],
    folder: Path,
    *,
    dry_run: bool,
    move: bool,
    retry_failed: bool,
) -> int:
    """Take over the reports of a queue FOLDER of the public client; stop that client first."""
    if _is_within(folder, data):
        raise click.UsageError(f"{on_one_line(str(folder))}: expected a folder of the public client, found our own")
    disk = Disk()
    found = survey(disk, folder, None if layout == "auto" else layout)
    if not found.layouts:
        raise click.UsageError(
            f"{on_one_line(str(folder))}: expected *.queued and the like, or pending/ sent/ failed/, found neither;"
            " choose the queue's own folder"
        )
    errand = Import(folder, disk, move=move and not dry_run, retry_failed=retry_failed)
    if dry_run:
        errand.look_at_all(found, _known(disk, data))
    else:
        asyncio.run(take_all(errand, data, config_at(config_path), found))
    return errand.said(found, verb="would be queued" if dry_run else "queued")


async def take_all(errand: Import, data: Path, config: ClientConfig, found: Survey) -> None:
    """Let ``errand`` take every file that was found into the store in ``data``. Raises ``ReliabilityError``."""
    store = ReportStore(data, disk=errand.disk, clock=SystemClock(), limits=store_limits(config))
    await store.open()
    try:
        known = await asyncio.to_thread(_known, errand.disk, data)
        for file in found.to_take():
            await errand.take(file, store, known)
    finally:
        await store.close()


class Fate(enum.Enum):
    """What becomes of a report."""

    QUEUED = "queued"
    RETRIED = "queued from our failed/"
    FAILED = "to failed/"
    THERE = "there already"


@dataclass
class Import:
    """One import: takes file by file, and counts what became of them."""

    folder: Path
    disk: Disk
    move: bool
    retry_failed: bool
    counts: Counter[Fate] = field(default_factory=Counter)
    left: int = 0
    code: int = 0

    def look_at_all(self, found: Survey, known: Known) -> None:
        """Count what would become of each file, and name those that would not be taken."""
        for file in found.to_take():
            try:
                self.counts[self._judged(file, known)[0]] += 1
            except ReliabilityError as error:
                self._not_taken(file, error)

    async def take(self, file: UpstreamFile, store: ReportStore, known: Known) -> None:
        """Make the report in a file durable, then move the file if that is asked for."""
        try:
            fate, found = await asyncio.to_thread(self._judged, file, known)
            if fate is Fate.RETRIED:
                await store.retry_failed(found.report.id)
            elif fate is not Fate.THERE:
                await self._keep(fate, found, store, known)
        except ReliabilityError as error:
            self._not_taken(file, error)
            return
        self.counts[fate] += 1
        try:
            if self.move:
                await asyncio.to_thread(self._move, file)
        except DiskError as error:
            self.code = FAILED
            complain(f"{file.name}: taken, but not moved: {error}")

    def _judged(self, file: UpstreamFile, known: Known) -> tuple[Fate, UpstreamReport]:
        found = read_report(self.disk, self.folder, file)
        place = self._place(found, known)
        if place == "failed" and self.retry_failed:
            return Fate.RETRIED, found
        if place is not None:
            return Fate.THERE, found
        return Fate.FAILED if file.state is State.FAILED and not self.retry_failed else Fate.QUEUED, found

    async def _keep(self, fate: Fate, found: UpstreamReport, store: ReportStore, known: Known) -> None:
        record = await store.accept(found.report)
        folder: FolderName = "pending"
        if fate is Fate.FAILED:
            await store.mark_failed(record, found.reason)
            folder = "failed"
        known.setdefault(record.report_id, []).append((folder, store.folder / folder / record.name))

    def _place(self, found: UpstreamReport, known: Known) -> FolderName | None:
        """Return where our store has this very report already. Raises ``DiskError``."""
        for folder, path in known.get(found.report.id, ()):
            if self.disk.exists(path) and self.disk.read(path) == found.report.body:
                return folder
        return None

    def _move(self, file: UpstreamFile) -> None:
        for name in (file.name, file.info):
            if name is not None:
                source, target = self.folder / name, _free(self.disk, self.folder / IMPORTED / name)
                self.disk.make_folder(self.folder / IMPORTED, target.parent)
                self.disk.move(source, target)
                self.disk.sync_folder(target.parent)
                self.disk.sync_folder(source.parent)

    def _not_taken(self, file: UpstreamFile, error: ReliabilityError) -> None:
        self.left += 1
        self.code = BAD_INPUT if isinstance(error, ReportInvalidError) and self.code != FAILED else FAILED
        complain(f"{file.name}: not taken: {error}")

    def said(self, found: Survey, *, verb: str) -> int:
        """Name the strangers, print the summary, return the exit code."""
        for stranger in found.strangers:
            complain(f"{stranger.name}: not taken: {stranger.why}; it stays")
        counts = self.counts
        click.echo(
            f"{counts[Fate.QUEUED] + counts[Fate.RETRIED]} {verb}, {counts[Fate.FAILED]} to failed/,"
            f" {counts[Fate.THERE]} there already, {found.count(State.SENT)} sent by upstream,"
            f" {self.left + len(found.strangers)} not taken"
        )
        return self.code


def _known(disk: Disk, data: Path) -> Known:
    """Return which reports our store has, by id, and where."""
    known: Known = {}
    for name in OUR_FOLDERS:
        if (data / name).is_dir():
            for record in list_records(disk, data / name):
                known.setdefault(record.report_id, []).append((name, data / name / record.name))
    return known


def _free(disk: Disk, path: Path) -> Path:
    """Return ``path``, or one beside it that is free."""
    free, number = path, 1
    while disk.exists(free):
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def _is_within(folder: Path, data: Path) -> bool:
    """Tell whether the folder is the data folder, or one in it."""
    return folder.resolve() == data.resolve() or data.resolve() in folder.resolve().parents
