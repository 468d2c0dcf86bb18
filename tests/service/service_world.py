"""What tests of the whole service share: a service in a folder, a server with a script, a bell to wait for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.config import ClientConfig
from pywats_reliability.disk import Disk
from pywats_reliability.ipc import AsyncIPCClient, UnixAddress, load_secret, secret_path
from pywats_reliability.ports import WallClock

ADDRESS = "http://wats.test"
TOKEN = "c3RhdGlvbjpzZWNyZXQ="
SETTINGS: dict[str, Any] = {
    "service_address": ADDRESS, "api_token": TOKEN, "health_port": 0, "min_free_disk_bytes": 0,
    "retry_interval_seconds": 1, "retry_cap_seconds": 1.0, "graceful_shutdown_seconds": 0.2,
    "force_shutdown_seconds": 5.0, "shutdown_poll_seconds": 0.05,
}  # fmt: skip


class Bell:
    """Lets a test wait for a fact: whoever may have changed it rings."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self, *_: object) -> None:
        """Tell whoever waits to look again."""
        self._rung.set()

    async def until(self, is_so: Callable[[], bool], within_s: float = 10.0) -> None:
        """Return once ``is_so``, looked at whenever the bell rings."""
        async with asyncio.timeout(within_s):
            while not is_so():
                self._rung.clear()
                await self._rung.wait()


class NoJitter:
    """Jitter that always chooses the shortest wait: retries follow each other at once."""

    def uniform(self, a: float, _b: float, /) -> float:
        """Return the lower bound."""
        return a


class SetClock:
    """A wall clock that stands still until it is set."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self.instant


Script = Callable[["Upload"], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as the server sees it; ``attempt`` counts those of its report from 1 on."""

    report_id: str
    body: bytes
    attempt: int
    authorization: str


async def storing(upload: Upload) -> httpx.Response:
    """Take the report: the script of a server without trouble."""
    return httpx.Response(200, json=[{"ID": upload.report_id}])


async def hanging(_: Upload) -> httpx.Response:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


def answering(status: int, text: str = "no") -> Script:
    """Return the script of a server that answers everything the same way."""

    async def script(_: Upload) -> httpx.Response:
        return httpx.Response(status, text=text)

    return script


class ScriptedServer(httpx.AsyncBaseTransport):
    """The network and the server behind it: follows its script, and remembers what it saw."""

    def __init__(self, script: Script = storing, *, bell: Bell | None = None) -> None:
        self.script, self.bell = script, bell or Bell()
        self.began: Callable[[str], object] = lambda _: None
        self.uploads: list[Upload] = []
        self.stored: list[Upload] = []
        self.under_way: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; a ping always works."""
        if request.method == "GET":
            return _streamed(httpx.Response(200, json="1.0"))
        self.began(request.url.path)
        body = await request.aread()
        report_id = str(json.loads(body)["id"])
        self.began(report_id)
        assert report_id not in self.under_way, f"{report_id} is in flight twice"
        attempt = 1 + sum(upload.report_id == report_id for upload in self.uploads)
        upload = Upload(report_id, body, attempt, request.headers.get("authorization", ""))
        self.uploads.append(upload)
        self.under_way.append(report_id)
        self.bell.ring()
        try:
            response = await self.script(upload)
        finally:
            self.under_way.remove(report_id)
        if response.status_code == 200:
            self.stored.append(upload)
        return _streamed(response)

    def ids(self) -> list[str]:
        """Return the ids that were stored, in order."""
        return [upload.report_id for upload in self.stored]


def _streamed(response: httpx.Response) -> httpx.Response:
    """Return the same answer as it comes out of a network: not read yet."""
    return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(response.content))


@dataclass
class ServiceWorld:
    """A service that runs, and everything around it."""

    service: AsyncClientService
    server: ScriptedServer
    folder: Path
    told: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """Where the reports are kept."""
        return self.service.data

    def client(self, **more: Any) -> AsyncIPCClient:
        """Return a client that knows the secret."""
        secret = load_secret(secret_path("default", folder=self.folder / "secrets"))
        return AsyncIPCClient(UnixAddress(self.folder / "s"), **{"secret": secret, **more})

    async def until(self, is_so: Callable[[], bool], within_s: float = 10.0) -> None:
        """Return once ``is_so``; looked at whenever the service or the server did something."""
        await self.server.bell.until(is_so, within_s)

    def kept(self, folder: str) -> list[bytes]:
        """Return the contents of the reports in a folder, in the order of their names."""
        return [path.read_bytes() for path in sorted((self.data / folder).glob("[!.]*Z_*.json")) if _is_record(path)]

    def names(self, folder: str) -> list[str]:
        """Return everything that stands in a folder."""
        return sorted(path.name for path in (self.data / folder).iterdir())

    async def paused(self) -> None:
        """Return once nothing is sent any more because the server's address or the credentials are not good."""
        queue = self.service._parts.pending_queue
        await self.until(lambda: queue.paused_reason is not None and not self.service.queue.counts.in_flight)


def _is_record(path: Path) -> bool:
    return not path.name.endswith((".history.json", ".reason.json"))


def make_world(
    folder: Path,
    script: Script = storing,
    *,
    disk: Disk | None = None,
    clock: WallClock | None = None,
    config_path: Path | None = None,
    **settings: Any,
) -> ServiceWorld:
    """Return a service that is not started yet; its reports are in ``folder/data``, its socket is ``folder/s``."""
    server = ScriptedServer(script)
    around = Surroundings(
        disk=disk or Disk(), clock=clock or SetClock(), randomness=NoJitter(), transport=server,
        secrets_folder=folder / "secrets", config_path=config_path,
    )  # fmt: skip
    config = ClientConfig(**{**SETTINGS, "ipc_socket": str(folder / "s"), **settings})
    world = ServiceWorld(AsyncClientService(folder / "data", config, around), server, folder)
    queue, told = world.service.queue, world.told
    queue.operation_sent.subscribe(lambda report_id: told.append(("sent", report_id)))
    queue.operation_failed.subscribe(lambda report_id, error: told.append(("failed", report_id, error)))
    queue.intake_paused.subscribe(lambda reason: told.append(("intake paused", reason)))
    queue.intake_resumed.subscribe(lambda: told.append(("intake resumed",)))
    queue.operation_sent.subscribe(server.bell.ring)
    queue.operation_failed.subscribe(server.bell.ring)
    queue.queue_changed.subscribe(server.bell.ring)
    world.service._parts.pending_queue.pause_changed.subscribe(server.bell.ring)
    return world


@asynccontextmanager
async def running(folder: Path, script: Script = storing, **more: Any) -> AsyncIterator[ServiceWorld]:
    """Run a service for as long as the block lasts (see ``make_world``)."""
    world = make_world(folder, script, **more)
    await world.service.start()
    try:
        yield world
    finally:
        await world.service.stop()
