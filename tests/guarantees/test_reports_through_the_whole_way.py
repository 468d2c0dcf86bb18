"""Report files, as a person hands them over on the command line, reach the server byte for byte.

Besides the samples of this repository, the folder named by ``PYWATS_CHAOS_REPORTS`` is tried: put real ones there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from chaos.live.server import LiveServer
from chaos.live.world import LiveWorld

SAMPLES = Path(__file__).parents[2] / "examples" / "reports"
FOLDERS = [SAMPLES, *(Path(place) for place in [os.environ.get("PYWATS_CHAOS_REPORTS", "")] if place)]
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*.json"))


async def handed_over(world: LiveWorld, *files: Path) -> list[str]:
    """Run ``pywats-service submit`` and return the ids it printed."""
    command = [sys.executable, "-m", "pywats_reliability", "submit", "--config", str(world.site.folder / "config.json")]
    environment = {**os.environ, "HOME": str(world.site.folder)}
    process = await asyncio.create_subprocess_exec(
        *command, *map(str, files), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    return [line.split()[0] for line in out.decode().splitlines()]


@pytest.mark.proves("H1.1", "C1.6")
@pytest.mark.asyncio
async def test_every_report_arrives_byte_for_byte(service_process: LiveWorld, wats_server: LiveServer) -> None:
    await service_process.start()
    ids = await handed_over(service_process, *FILES)
    for report_id, path in zip(ids, FILES, strict=True):
        await wats_server.saw("answered", report_id=report_id)
        wanted = path.read_bytes()
        if "id" not in json.loads(wanted):  # It was given one, in front of its first field.
            wanted = wanted.replace(b"{", f'{{"id": "{report_id}", '.encode(), 1)
        found = await wats_server.control.body(report_id)
        assert hashlib.sha256(found).hexdigest() == hashlib.sha256(wanted).hexdigest(), path.name


@pytest.mark.proves("C1.6")
@pytest.mark.asyncio
async def test_every_report_survives_a_kill_before_it_was_sent(
    service_process: LiveWorld, wats_server: LiveServer
) -> None:
    service = await service_process.start()
    await wats_server.misbehave({"action": "hang_after_body"})
    ids = await handed_over(service_process, *FILES)
    await wats_server.saw("body_read")
    await service.kill()
    await wats_server.misbehave()
    await service_process.start()
    for report_id in ids:
        await wats_server.saw("answered", report_id=report_id)
    there = await wats_server.control.deliveries()
    assert {report_id: there[report_id].effects for report_id in ids} == dict.fromkeys(ids, 1)
