"""``pywats-service queue``: what is in the folders, and what a person may do about it.

* The running service answers, over IPC. Where none runs for the folder, the same questions go to the folder itself,
  opened as a service would open it: under its lock, so that the two can never race (H1.9).
* An export is a copy, written aside and never over another file (H1.15). Only a report that was given up can be
  discarded, and only after a yes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from pywats_reliability.cli.connection import config_at, patiently, with_service
from pywats_reliability.cli.options import (
    BAD_INPUT,
    DEFAULT_DATA,
    FAILED,
    complain,
    config_option,
    json_option,
    on_one_line,
    say_json,
)
from pywats_reliability.client_service.queue_commands import FOLDERS, QueueCommands
from pywats_reliability.client_service.settings import store_limits
from pywats_reliability.config import ClientConfig
from pywats_reliability.disk import Disk
from pywats_reliability.errors import (
    DiskError,
    ExportTargetError,
    IPCConnectionError,
    ReliabilityError,
    ReportInvalidError,
    ReportNotFoundError,
)
from pywats_reliability.ipc import AsyncIPCClient
from pywats_reliability.ports import SystemClock
from pywats_reliability.queue_manager import QueueManager
from pywats_reliability.store import ReportStore

T = TypeVar("T")
Ask: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
LOOKS_MAX = 3
data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for reports; without it that of the running service, or the default one.",
)
ids_argument = click.argument("ids", metavar="ID...", nargs=-1)


@click.group("queue")
def queue_group() -> None:
    """List, show, retry, discard or export reports; on the folder itself where no service runs."""


@queue_group.command("list")
@config_option
@data_option
@click.option("--folder", type=click.Choice(FOLDERS), default="pending", show_default=True)
@json_option
def list_folder(config_path: Path, data: Path | None, folder: str, *, as_json: bool) -> int:
    """List the reports in a folder, oldest first, at most 500."""
    answer = _asked(config_path, data, lambda ask: ask("get_queue", {"folder": folder}))
    if as_json:
        say_json(answer)
        return 0
    for record in answer["records"]:
        click.echo(on_one_line(_line(record)))
    shown = len(answer["records"])
    rest = "" if shown == answer["count"] else f", the oldest {shown} are shown"
    click.echo(f"{answer['count']} in {folder}/{rest}")
    return 0


def _line(record: Mapping[str, Any]) -> str:
    if "why" in record:
        return f"{record['file']}  {record['why']}"
    return f"{record['id']}  {record['accepted_at']}  priority {record['priority']}  {record['size']} bytes"


@queue_group.command()
@config_option
@data_option
@click.option("--contents", is_flag=True, help="Print the report itself, byte for byte, and nothing else.")
@json_option
@click.argument("report_id", metavar="ID")
def show(config_path: Path, data: Path | None, report_id: str, *, contents: bool, as_json: bool) -> int:
    """Say where a report is, and what became of it."""

    async def look(ask: Ask) -> tuple[Any, bytes]:
        answer = await ask("show_report", {"id": report_id})
        return answer, (await _copies(ask, report_id))[0][1] if contents else b""

    answer, body = _asked(config_path, data, look)
    if contents:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    elif as_json:
        say_json(answer)
    else:
        for place in answer["places"]:
            _say_place(place)
    return 0


def _say_place(place: Mapping[str, Any]) -> None:
    click.echo(on_one_line(f"{place['folder']}/  {_line(place)}"))
    click.echo(on_one_line(f"  file: {place['path']}"))
    if "sent_at" in place:
        click.echo(f"  sent: {place['sent_at']}")
    if place.get("attempts"):
        click.echo(on_one_line(f"  failed attempts: {place['attempts']}, the last error: {place['last_error']}"))
    for event in place.get("history", ()):
        click.echo(on_one_line(f"  {event['at']}  {event['what']}: {event['words']}"))


@queue_group.command()
@config_option
@data_option
@click.option("--all", "is_all", is_flag=True, help="Every report in failed/.")
@ids_argument
def retry(config_path: Path, data: Path | None, ids: tuple[str, ...], *, is_all: bool) -> int:
    """Queue reports from failed/ again, their attempts counted anew."""
    if is_all == bool(ids):
        raise click.UsageError("expected ids of reports, or --all; found neither or both; see queue list")
    if is_all:
        return _asked(config_path, data, _retry_all)
    return _asked(config_path, data, lambda ask: _each(ids, lambda one: ask("retry_failed", {"id": one}), "queued"))


async def _retry_all(ask: Ask) -> int:
    """Retry what is in failed/ now: page by page, until a page brings nothing that was not tried."""
    tried: dict[str, None] = {}
    code = 0
    while True:
        page = (await ask("get_queue", {"folder": "failed"}))["records"]
        ids = list(dict.fromkeys(record["id"] for record in page if record["id"] not in tried))
        if not ids:
            click.echo(f"{len(tried)} tried")
            return code
        tried |= dict.fromkeys(ids)
        code = await _each(ids, lambda one: ask("retry_failed", {"id": one}), "queued") or code


async def _each(ids: list[str] | tuple[str, ...], act: Callable[[str], Awaitable[Any]], done: str) -> int:
    code = 0
    for one in ids:
        try:
            await act(one)
            click.echo(f"{on_one_line(one)}  {done}")
        except ReliabilityError as error:
            complain(error)
            code = max(code, BAD_INPUT if isinstance(error, ReportInvalidError) else FAILED)
    return code


@queue_group.command()
@config_option
@data_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def discard(config_path: Path, data: Path | None, ids: tuple[str, ...], *, yes: bool) -> int:
    """Delete reports from failed/ for good."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("expected --yes where nobody can be asked, found no terminal; nothing was discarded")
    if not yes and not click.confirm(f"Delete {len(ids)} report(s) for good?", err=True):
        complain("nothing was discarded")
        return FAILED
    return _asked(
        config_path, data, lambda ask: _each(ids, lambda one: ask("discard_failed", {"id": one}), "discarded")
    )


@queue_group.command()
@config_option
@data_option
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def export(config_path: Path, data: Path | None, ids: tuple[str, ...], target: Path) -> int:
    """Copy reports from any folder, byte for byte, under the names they have; no file is overwritten."""

    async def copy(ask: Ask) -> int:
        code = 0
        for one in ids:
            try:
                for name, body in await _copies(ask, one):
                    await asyncio.to_thread(_write_new, target / name, body)
                    click.echo(on_one_line(f"{one}  {target / name}"))
            except ReliabilityError as error:
                complain(error)
                code = FAILED
        return code

    return _asked(config_path, data, copy)


async def _copies(ask: Ask, report_id: str) -> list[tuple[str, bytes]]:
    """Return name and bytes of every record of a report; looked for again when one moves meanwhile."""
    for _ in range(LOOKS_MAX):
        answer = await ask("show_report", {"id": report_id})
        try:
            return [
                (place["file"], await asyncio.to_thread(Disk().read, Path(place["path"]))) for place in answer["places"]
            ]
        except DiskError as error:
            if not isinstance(error.cause, FileNotFoundError):
                raise
    raise ReportNotFoundError(ascii(report_id), "pending, sent, failed or quarantine")


def _write_new(path: Path, body: bytes) -> None:
    """Write a file that was not there, durably, whole or not at all."""
    disk = Disk()
    disk.make_folder(path.parent)
    aside = disk.write_aside(path, body)
    try:
        disk.sync_aside(aside)
        disk.publish(aside)
    except DiskError as error:
        disk.discard(aside)
        if isinstance(error.cause, FileExistsError):
            raise ExportTargetError(path) from error
        raise
    disk.sync_folder(path.parent)


def _asked(config_path: Path, data: Path | None, work: Callable[[Ask], Awaitable[T]]) -> T:
    """Do ``work`` with who answers for the folder: the service that has it, or the folder itself where none runs.

    Raises ``StoreLockedError`` when somebody else has the folder, and ``click.UsageError`` when there is none.
    """
    config, connected = config_at(config_path), False

    async def with_client(client: AsyncIPCClient) -> tuple[T] | None:
        nonlocal connected
        connected = True

        def ask(command: str, arguments: Mapping[str, Any]) -> Awaitable[Any]:
            return patiently(client, command, arguments)

        if data is not None and not _is_same(data, Path((await ask("get_data_folder", {}))["data"])):
            return None
        return (await work(ask),)

    try:
        answered = with_service(config, with_client)
    except IPCConnectionError:
        if connected or (data is None and not DEFAULT_DATA.is_dir()):
            raise  # A service that goes away in the middle may have done a part: nothing is done twice.
        answered = None
    if answered is not None:
        return answered[0]
    return asyncio.run(_on_folder(config, data or DEFAULT_DATA, work))


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


async def _on_folder(config: ClientConfig, data: Path, work: Callable[[Ask], Awaitable[T]]) -> T:
    if not await asyncio.to_thread(data.is_dir):
        raise click.UsageError(f"{on_one_line(str(data))}: expected the folder of a service, found none; check --data")
    store = ReportStore(data, disk=Disk(), clock=SystemClock(), limits=store_limits(config))
    await store.open()
    try:
        queue = QueueManager(store, full_action=config.queue_full_action)
        handlers = QueueCommands(queue, data, store.workers).handlers()

        async def ask(command: str, arguments: Mapping[str, Any]) -> Any:
            return await handlers[command](arguments)

        return await work(ask)
    finally:
        await store.close()
