"""The simulated disk and a real process agree: the same story, told by either, is the same steps in the same order."""

from __future__ import annotations

import asyncio
import difflib
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.crash.log_file import load
from chaos.crash.recorder.strace import strace_available
from chaos.crash.steps import steps_of
from chaos.errors import NotAvailableError
from chaos.mutants import find_mutant, planted
from chaos.protocols import Site
from chaos.sample_reports import report_id, sample_report
from chaos.sim.stage import Stage
from chaos.sim.world import SimWorld
from chaos.subjects.reference_simulated import SimulatedReference
from chaos.trial import Trial
from tests.crash.test_service_recorded import LIMIT_S, recording_service, server, submitted_and_sent

BODY = sample_report(random.Random(0))


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with server() as url:
        yield url


async def recorded_steps(folder: Path, server_url: str) -> list[str]:
    """Let the real service accept a report, send it and stop, and return what it did to its data folder."""
    site = Site(folder, server_url, {})
    site.data.mkdir()
    with recording_service(site, folder / "log.jsonl") as process:
        try:
            await submitted_and_sent(site, [BODY])
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
        except BaseException:
            process.kill()
            raise
    recording = load(folder / "log.jsonl")
    return steps_of(recording.start, recording.entries)


def simulated_steps() -> list[str]:
    """Let the simulated service do the same."""
    trial = Trial("one report", 1, "fifo")
    stage = Stage(trial)

    async def tester() -> None:
        world = SimWorld(stage, SimulatedReference(), trial)
        await world.open()
        world.site.data.mkdir()
        service = await world.start()
        assert await service.submit(BODY) == report_id(BODY)
        await world.converge(LIMIT_S)
        await service.stop()
        stage.kernel.stop()

    with stage:
        stage.drive(tester)
    steps = steps_of(stage.volume.start, stage.volume.log, "data")
    return steps[steps.index("sync of everything") + 1 :]  # Before it, the station was set up.


@pytest.mark.asyncio
async def test_the_simulated_and_the_recorded_service_do_the_same_to_the_disk_in_the_same_order(
    tmp_path: Path, server_url: str
) -> None:
    try:
        strace_available()
    except NotAvailableError as error:
        pytest.skip(str(error))
    recorded, simulated = await recorded_steps(tmp_path, server_url), simulated_steps()
    assert recorded == simulated, "\n".join(difflib.ndiff(recorded, simulated))
    assert {"sync pending", "sync sent"} <= set(recorded), "the way of the report is in it"


def test_a_sync_that_one_of_them_leaves_out_is_a_difference() -> None:
    with planted(find_mutant("no_folder_is_synced")):
        careless = simulated_steps()
    assert set(difflib.ndiff(simulated_steps(), careless)) >= {"- sync pending", "- sync sent"}
