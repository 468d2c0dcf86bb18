"""The whole service, killed at every storage call between accepting and sent/, and again while it recovers (C1.6).

The server is a file beside the service: what it stores is appended before it answers, so that a kill may come between
the two (H1.5). A process is forked for each life; it is killed for real, so that nothing of it goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.service.store_world import contents

pytestmark = [
    pytest.mark.proves("C1.6", "H1.5"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]
REPORTS = 3
PROGRAM = """
import asyncio, json, os, signal, sys, threading
from pathlib import Path
import httpx
from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.config import ClientConfig

CALLS = ("open", "write", "close", "rename", "unlink", "mkdir", "fsync")
REPORTS, STEP, PLACE, ROOT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
REAL = {name: getattr(os, name) for name in CALLS}

def append(path, line):
    descriptor = REAL["open"](path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    REAL["write"](descriptor, line.encode() + b"\\n")
    REAL["close"](descriptor)

class Server(httpx.AsyncBaseTransport):
    def __init__(self, folder):
        self.folder = folder
    async def handle_async_request(self, request):
        if request.method == "GET":
            answer = '"1.0"'
        else:
            body = await request.aread()
            append(self.folder / "server", body.decode())
            answer = json.dumps({"ID": json.loads(body)["id"]})
        length = {"content-length": str(len(answer))}
        return httpx.Response(200, stream=httpx.ByteStream(answer.encode()), headers=length)

def die_at(at):
    made, lock = 0, threading.Lock()
    def dying(name):
        real = (lambda *_: None) if name == "fsync" else REAL[name]  # A kill leaves what was written to the system.
        def call(*args, **more):
            nonlocal made
            with lock:
                made += 1
                is_it = made == at
            if not is_it:
                return real(*args, **more)
            try:
                return real(*args, **more) if PLACE == "after" else None
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        return call
    for name in CALLS:
        setattr(os, name, dying(name))

async def live(folder, bodies):
    config = ClientConfig(service_address="http://wats.test", ipc_socket=str(folder / "s"), health_port=0,
                          min_free_disk_bytes=0, retry_interval_seconds=1, retry_cap_seconds=0.05)
    service = AsyncClientService(folder / "data", config, Surroundings(transport=Server(folder), secrets_folder=folder))
    done = asyncio.Event()
    service.queue.queue_changed.subscribe(lambda counts: counts.pending or done.set())
    await service.start()
    async def hand_over(body):
        append(folder / "accepted", await service.queue.submit(body))
    await asyncio.gather(*map(hand_over, bodies))
    while service.queue.counts.pending:
        done.clear()
        await done.wait()
    await service.stop()

def life(folder, bodies, at):
    child = os.fork()
    if not child:
        try:
            if at:
                die_at(at)
            asyncio.run(asyncio.wait_for(live(folder, bodies), 30))
        except BaseException as error:
            append(folder / "errors", repr(error))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

bodies = [(ROOT / f"{number}.json").read_bytes() for number in range(REPORTS)]
for at in range(1, 10_000, STEP):
    folder = ROOT / str(at)
    folder.mkdir()
    was_killed = life(folder, bodies, at)
    if was_killed:
        life(folder, (), 1 + at * 7 % 60)
    life(folder, (), 0)
    if not was_killed:
        break
    print(at, flush=True)
"""


def lives(folder: Path, place: str, step: int) -> list[str]:
    for number in range(REPORTS):
        (folder / f"{number}.json").write_bytes(contents(id=f"00000000-0000-4000-8000-{number:012d}"))
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(REPORTS), str(step), place, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=True)
    return done.stdout.split()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(".history.json"))


@pytest.mark.parametrize("place", ["before", "after"])
def test_every_accepted_report_reaches_the_server_with_one_effect(tmp_path: Path, place: str) -> None:
    killed_at = lives(tmp_path, place, step=4)
    assert len(killed_at) > 15
    bodies = {json.loads(body)["id"]: body for body in (
        (tmp_path / f"{number}.json").read_text() for number in range(REPORTS)
    )}  # fmt: skip
    for at in killed_at:
        folder, found = tmp_path / at, lines(tmp_path / at / "server")
        assert lines(folder / "errors") == []
        effect: dict[str, Any] = {json.loads(body)["id"]: body for body in found}
        assert [each for each in lines(folder / "accepted") if effect.get(each) != bodies[each]] == []
        assert Counter(body for body in found if bodies[json.loads(body)["id"]] != body) == Counter()
        assert (left_in(folder / "data" / "pending"), left_in(folder / "data" / "quarantine")) == ([], [])
        assert len(left_in(folder / "data" / "sent")) >= len(lines(folder / "accepted"))
