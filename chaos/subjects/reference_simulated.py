"""The reference service as a simulated process: the same composition as its command line, with its real timeouts."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from chaos.protocols import Site
from chaos.sim.disk import syncfs
from chaos.subjects.reference import TOKEN, ReferenceSubject
from pywats_reliability.cli.process import ExitGuard, serve
from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.client_service.settings import secrets_of
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import load_or_create
from pywats_reliability.converter_pool import never_known
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ReliabilityError, StartError
from pywats_reliability.logs import Secrets
from pywats_reliability.scope import Closer
from pywats_reliability.shutdown import EXIT_FAILED, ShutdownReport

log = logging.getLogger(__name__)
HEALTH_PORT = 8080
SETTLES_S = 1.0


class SimulatedReference(ReferenceSubject):
    """See ``chaos.sim.subject.SimulatedSubject``."""

    def __repr__(self) -> str:
        return "SimulatedReference()"

    def ipc_address(self, site: Site) -> str:
        """Return the path of the service's socket, in a folder that the service has to make."""
        return str(site.folder / "run" / "service.sock")

    def settings(self, site: Site) -> Mapping[str, Any]:
        """Return everything that it will be started with: its own defaults but for addresses and the token."""
        own = {"service_address": site.server_url, "ipc_socket": self.ipc_address(site), "health_port": HEALTH_PORT}
        return {"api_token": TOKEN, "min_free_disk_bytes": 0, **own, **site.settings}

    def prepare(self, site: Site) -> None:
        """Write the configuration and make it durable, as whoever set the station up long ago did."""
        self.start_line(site)
        os.sync()

    def main(self, site: Site, started: Callable[[], None]) -> Callable[[], Any]:
        """Return what ``pywats-service run`` does, but for the root logger and the command line."""

        async def main() -> int:
            while True:
                try:
                    service, report = await _serve_once(site, self._environment(site), started)
                except ReliabilityError as error:
                    log.error("did not start: %s", error)  # noqa: TRY400 - as its command line says it
                    return EXIT_FAILED
                if not service.restart_requested:
                    return report.exit_code

        return main

    def life(
        self, site: Site, calls: Sequence[tuple[float, str]], told: Callable[[Mapping[str, Any]], object]
    ) -> Callable[[], Any]:
        """See ``SimulatedSubject``."""

        async def main() -> int:
            service = AsyncClientService(site.data, *_prepared(site, self._environment(site)))
            outcomes = await asyncio.gather(*(_called(service, after_s, what) for after_s, what in calls))
            await asyncio.sleep(SETTLES_S)
            me = asyncio.current_task()
            told({
                "outcomes": [{"what": what, "error": error} for what, error, _ in outcomes],
                "status": service.status,
                "ends": len({id(end) for _, _, end in outcomes if end is not None}),
                "tasks": [task.get_name() for task in asyncio.all_tasks() if task is not me],
                "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()],
            })
            return 0

        return main

    def lives(
        self,
        site: Site,
        plans: Sequence[Sequence[int]],
        starting: Callable[[], AbstractContextManager[object]],
        told: Callable[[Mapping[str, Any]], object],
    ) -> Callable[[], Any]:
        """See ``SimulatedSubject``."""

        async def main() -> int:
            me = asyncio.current_task()
            for plan in plans:
                service = AsyncClientService(site.data, *_prepared(site, self._environment(site)))
                found = await _lived(service, plan, starting)
                found["left"] = await asyncio.to_thread(os.path.exists, self.ipc_address(site))
                threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
                others = [task.get_name() for task in asyncio.all_tasks() if task is not me]
                told({**found, "tasks": others, "threads": [n for n in threads if not n.startswith("asyncio")]})
            return 0

        return main

    def _settings(self, site: Site) -> dict[str, Any]:
        return dict(self.settings(site))

    def _health_port(self, site: Site) -> int:
        return int(site.settings.get("health_port", HEALTH_PORT))


async def _serve_once(
    site: Site, environment: Mapping[str, str], started: Callable[[], None]
) -> tuple[AsyncClientService, ShutdownReport]:
    config, around = _prepared(site, environment)
    guard = ExitGuard(lambda: float(config.force_shutdown_seconds), _leave)
    service, report = await serve(site.data, config, around, lambda _: started(), guard)
    if service.restart_requested:
        guard.disarm()  # Otherwise it stays armed, as in the real process: a thread that blocks would hold its exit.
    return service, report


async def _called(service: AsyncClientService, after_s: float, what: str) -> tuple[str, str, ShutdownReport | None]:
    """Make one call; return it, the name of the error that it raised, and what a stop reported."""
    await asyncio.sleep(after_s)
    try:
        if what == "stop":
            return what, "", await service.stop()
        await service.start()
    except ReliabilityError as error:
        return what, type(error).__name__, None
    return what, "", None


async def _lived(
    service: AsyncClientService, plan: Sequence[int], starting: Callable[[], AbstractContextManager[object]]
) -> dict[str, Any]:
    """Start and stop once, with the steps of ``plan`` failing; return what is said of it."""
    steps, ran, failed, error = list[str](), list[str](), list[str](), ""
    with starting():
        try:
            await service.start()
        except StartError as failure:
            error = str(failure)
    owned = service._scope._steps  # noqa: SLF001 - the subject knows its service; no other place has all the steps
    for place, (name, closer) in enumerate(owned):
        steps.append(name)
        owned[place] = (name, _noted(name, closer, ran, failed if place in plan else None))
    report = await service.stop()
    await asyncio.sleep(SETTLES_S)
    return {
        "start_error": error, "status": service.status, "steps": steps, "ran": ran, "failed": failed,
        "errors": list(report.errors),
    }  # fmt: skip


def _noted(name: str, closer: Closer, ran: list[str], failed: list[str] | None) -> Closer:
    """Return a step that notes that it ran, does its work, and then fails if it is to (``failed`` is given)."""

    async def close() -> None:
        ran.append(name)
        if inspect.isawaitable(result := closer()):
            await result
        if failed is not None:
            failed.append(name)
            raise OSError(errno.EIO, f"planted in {name}")

    return close


def _prepared(site: Site, environment: Mapping[str, str]) -> tuple[ClientConfig, Surroundings]:
    """Return the configuration in force and what is around the service."""
    path, disk = site.folder / "config.json", Disk(syncfs=syncfs)
    config = load_or_create(path, disk=disk, environment=environment)
    around = Surroundings(
        disk=disk,
        config_path=path,
        environment=environment,
        secrets=Secrets(secrets_of(config)),
        secrets_folder=site.folder / ".config" / "pywats" / "secrets",
        blocked_loop_thread=False,  # It is for real clocks; the loop's own watch sees a block when it ends.
        is_being_written=never_known,
    )
    return config, around


def _leave(code: int) -> None:
    """End the simulated process: ``os._exit`` as it is when this is called, not as it was when it was imported."""
    os._exit(code)
