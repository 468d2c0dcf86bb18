"""Probes of the reference service's parts, each run as a process of its own; it prints what it found as one JSON line.

python -m chaos.subjects.reference_probes start_stop --folder DIR --arguments '{"cycles": 100}'
"""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from chaos.live.ledger import difference, take
from chaos.sample_reports import sample_report
from chaos.seed import Seed
from chaos.subjects.config_probe import try_configurations
from chaos.subjects.settings_probe import fuzz_settings
from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.config import ClientConfig
from pywats_reliability.disk import Disk
from pywats_reliability.errors import StartError
from pywats_reliability.ports import SystemClock
from pywats_reliability.report import parse_report
from pywats_reliability.store import ReportStore, StoreLimits

WARM_UP_CYCLES = 3
PRODUCERS = 64


def start_stop(folder: Path, *, cycles: int) -> dict[str, Any]:
    """Start and stop the service again and again in one process; return what is left over by name.

    The first cycles warm up what is made once per process (imports, caches); what grows after them is a leak.
    """
    warnings.simplefilter("error", ResourceWarning)
    return asyncio.run(_cycled(folder, cycles))


async def _cycled(folder: Path, cycles: int) -> dict[str, Any]:
    # The loop's own pool of threads is the loop's, and grows at its leisure: with one thread it is full from the start.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(str(told["message"])))
    for _ in range(WARM_UP_CYCLES):
        complaints += await _cycle(folder)
    before = _ledger(folder)
    for number in range(cycles):
        if complaints:
            return {"cycles": number, "leaks": complaints}
        complaints += await _cycle(folder)
    leaks = [str(leak) for leak in difference(before, _ledger(folder))]
    return {"cycles": cycles, "leaks": complaints + leaks}


async def _cycle(folder: Path) -> list[str]:
    """Start and stop once; return what tells at once that something was left behind."""
    config = ClientConfig(
        ipc_socket=str(folder / "probe.sock"),
        health_port=0,
        min_free_disk_bytes=0,
        service_address="http://127.0.0.1:9",
    )
    around = Surroundings(secrets_folder=folder / "secrets", blocked_loop_thread=True)
    service = AsyncClientService(folder / "probe", config, around)
    try:
        await service.start()
    except StartError as error:
        return [f"a later start failed: {error}"]
    report = await service.stop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    return [f"task {task.get_name()}" for task in left] + list(report.errors) + list(report.left_behind)


def _ledger(folder: Path) -> Any:
    gc.collect()  # What only waits for the garbage collector is no leak.
    return take(folders=[folder])


def settings(folder: Path, *, seed: int) -> dict[str, Any]:  # noqa: ARG001 - every probe gets its folder
    """Try bad and good values against every setter; return how many were refused, and every wrong answer."""
    return fuzz_settings(seed)


def fill(folder: Path, *, count: int) -> dict[str, Any]:
    """Accept so many reports into the folder of a service that does not run, sixty-four at a time."""
    return asyncio.run(_filled(folder / "data", count))


async def _filled(data: Path, count: int) -> dict[str, Any]:
    store = ReportStore(data, disk=Disk(), clock=SystemClock(), limits=StoreLimits(max_reports=0))
    await store.open()
    stream = Seed(count).stream("fill")
    left = iter([parse_report(sample_report(stream)) for _ in range(count)])

    async def produce() -> None:
        for report in left:
            await store.accept(report)

    async with asyncio.TaskGroup() as group:
        for _ in range(PRODUCERS):
            group.create_task(produce())
    pending = store.counts.pending
    await store.close()
    return {"accepted": count, "pending": pending}


def configurations(folder: Path, *, seed: int) -> dict[str, Any]:
    """Try the configuration by every way in, in every order, through its file and back."""
    return try_configurations(folder, seed)


PROBES: Mapping[str, Callable[..., dict[str, Any]]] = {
    "start_stop": start_stop,
    "settings": settings,
    "configurations": configurations,
    "fill": fill,
}


@click.command()
@click.argument("probe", type=click.Choice(list(PROBES)))
@click.option("--folder", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--arguments", default="{}", help="The probe's arguments, a JSON object.")
def main(probe: str, folder: Path, arguments: str) -> None:
    """Run one probe and print what it found."""
    click.echo(json.dumps(PROBES[probe](folder, **json.loads(arguments))))


if __name__ == "__main__":
    main()
