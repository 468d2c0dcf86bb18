"""``AsyncClientService``: starts the parts in order, tells how they are, and stops them in three phases.

* Whatever a start opened is owned by one scope, which closes in reverse; a start that fails half-way releases it all
  and raises ``StartError`` naming the step (H2.4, C1.8). Each is done once, however many callers ask.
* ``request_shutdown`` asks for the graceful stop; asked again it goes straight to the forced phase (C1.7).
* The status is judged from facts at the instant somebody asks, so it never says more than is true (C2.9).
* It needs a running event loop and nothing else of asyncio: signals and the process's exit are its caller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pywats_reliability.client_service import settings
from pywats_reliability.client_service.commands import Commands
from pywats_reliability.client_service.new_settings import NewSettings
from pywats_reliability.client_service.parts import Parts, build_ipc, build_parts, task_specs
from pywats_reliability.client_service.status import ipc_figures, status_data
from pywats_reliability.client_service.stop_steps import StopSteps
from pywats_reliability.client_service.surroundings import Surroundings
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import save_config
from pywats_reliability.converter_pool import AsyncConverterPool
from pywats_reliability.disk import Disk
from pywats_reliability.errors import (
    CleanupError,
    QueueCriticalError,
    ReliabilityError,
    ServiceStoppingError,
    StartError,
)
from pywats_reliability.events import Event
from pywats_reliability.health import ApiStatus, Condition, Facts, HealthSnapshot, Phase, assess
from pywats_reliability.ipc import AsyncIPCServer, load_or_create_secret, secret_path
from pywats_reliability.metrics import MetricsSnapshot, ServiceMetrics
from pywats_reliability.pending_queue import UploadStats
from pywats_reliability.queue_manager import QueueManager
from pywats_reliability.scope import ResourceScope
from pywats_reliability.shutdown import ForcedShutdowns, Shutdown, ShutdownReport
from pywats_reliability.supervisor import Supervisor
from pywats_reliability.workers import Workers

MEMORY_NAME = "shutdowns.json"
log = logging.getLogger(__name__)


class AsyncClientService:
    """The service of one station, for one run: ``start`` it once, ``stop`` it once, or let ``run`` do both."""

    def __init__(self, data: Path, config: ClientConfig, surroundings: Surroundings | None = None) -> None:
        self.data, self.config = data, config
        self._around = surroundings or Surroundings()
        for secret in settings.secrets_of(config):
            self._around.secrets.register(secret)
        self._phase = Phase.STOPPED
        self._supervisor = Supervisor(
            settings.supervision_limits(config),
            scrub=self._around.secrets.mask,
            blocked_loop_thread=self._around.blocked_loop_thread,
        )
        self._scope = ResourceScope("service", tasks=self._supervisor)
        self._metrics = ServiceMetrics(self._metrics_snapshot)
        self._parts: Parts = build_parts(
            data,
            config,
            self._around,
            condition=lambda: self.condition,
            snapshot=self.health_snapshot,
            metrics_text=self.metrics_text,
            reload=self._adopt,
            upload_ended=self._metrics.upload_ended,
        )
        steps = StopSteps(self._parts, self._supervisor, self._scope)
        self.shutdown = Shutdown(settings.shutdown_limits(config), steps, tasks=self._supervisor)
        self._new_settings = NewSettings(config, self._parts, self._supervisor, self.shutdown)
        self.shutdown_requested = asyncio.Event()
        self.restart_requested = False
        self.on_started: Event[[]] = Event("on_started")
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[ShutdownReport] | None = None
        self._critical: dict[str, str] = {}
        self._remembered = ForcedShutdowns()
        self._ipc: AsyncIPCServer | None = None
        self._api_reason = ""
        self._not_online_since: float | None = None
        self._start_time = self._around.clock.now()
        self._started_at = 0.0

    @property
    def queue(self) -> QueueManager:
        """Where reports are handed over."""
        return self._parts.queue

    @property
    def workers(self) -> Workers:
        """Threads for what may block."""
        return self._parts.workers

    @property
    def converters(self) -> AsyncConverterPool:
        """What turns dropped files into reports."""
        return self._parts.converter_pool

    @property
    def status(self) -> str:
        """One of Stopped, StartPending, Running, StopPending, Paused, Error."""
        return str(self.condition.status)

    @property
    def stats(self) -> UploadStats:
        """What became of the uploads so far."""
        return self._parts.pending_queue.stats

    @property
    def condition(self) -> Condition:
        """How the service is at this instant, with every reason against "all is well"."""
        return assess(self._facts())

    async def start(self) -> None:
        """Open the store, recover what is in it, listen, and start the background tasks.

        Raises ``StartError``; everything opened by then is released again. Raises ``ServiceStoppingError`` once a stop
        was asked for. Cancelling a caller leaves the start going: ``stop`` ends it.
        """
        if self.shutdown_requested.is_set() or self._stopping is not None:
            raise ServiceStoppingError("start")
        if self._starting is None:
            self._starting = self._supervisor.spawn("start", self._start())
        await asyncio.wait([self._starting])
        if self._starting.cancelled():
            raise ServiceStoppingError("start")
        self._starting.result()

    async def stop(self) -> ShutdownReport:
        """Stop in three phases and return what came of it; safe at any time, from any number of callers."""
        if not self.shutdown_requested.is_set():
            self.request_shutdown()
        if self._stopping is None:
            self._stopping = self._supervisor.spawn("stop", self._stop())
        return await asyncio.shield(self._stopping)

    async def run(self) -> ShutdownReport:
        """Start, serve until a stop is asked for (also during the start), stop. Raises ``StartError``.

        Cancelling it asks for the stop, too; the cancellation passes through when that is over.
        """
        try:
            await self.start()
            await self.shutdown_requested.wait()
        except ServiceStoppingError:
            log.info("asked to stop before the start was through")
        except asyncio.CancelledError:
            await self.stop()
            raise
        return await self.stop()

    def request_shutdown(self) -> None:
        """Ask for the graceful stop; asked again, what is in flight is cancelled at once (C1.7). Returns at once."""
        self.restart_requested = False  # Whoever asks wants an end, also of a restart under way.
        if self.shutdown_requested.is_set():
            self.shutdown.escalate()
        elif self._starting is not None and not self._starting.done():
            self._starting.cancel()
        self.queue.stop_accepting()  # Now, and not when the stop gets its turn of the loop (C1.1).
        self.converters.stop_accepting()
        self.shutdown_requested.set()

    def request_restart(self) -> None:
        """Ask for the graceful stop and then a new start; does nothing where it is stopping already."""
        if not self.shutdown_requested.is_set():
            self.request_shutdown()
            self.restart_requested = True

    def sync_now(self) -> int:
        """Let every report that waits for its retry be tried at once; return how many waited."""
        return self._parts.pending_queue.sync_now()

    async def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Check, save and apply ``changes``, all or none. Raises ``ConfigError`` or ``DiskError``."""
        new = self.config.copy()
        new.update(changes)
        if (path := self._around.config_path) is not None:
            await self.workers.run(f"saving {path}", save_config, path, new, disk=self._around.disk)
        self._adopt(new)

    def status_data(self) -> dict[str, Any]:
        """Return the data of ``get_status``."""
        now = asyncio.get_running_loop().time()
        return status_data(
            self.condition,
            self._supervisor.states(),
            counts=self._parts.store.counts,
            uploads=self.stats,
            conversions=self.converters.stats,
            needs_restart=self._new_settings.waiting,
            submitted=self.queue.submitted,
            limit=self.config.max_queue_size,
            start_time=self._start_time,
            uptime_s=now - self._started_at if self._phase is not Phase.STOPPED else 0.0,
            progress=self.shutdown.progress,
        )

    def health_snapshot(self) -> HealthSnapshot:
        """Return what the health endpoints answer from."""
        accepted, reason = self.queue.can_enqueue()
        ready = self._phase is Phase.STARTED and accepted
        not_ready = None if ready else reason or f"the service is {self._phase}"
        return HealthSnapshot(self.condition, not_ready, self.status_data())

    def metrics_text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self._metrics.text()

    def _metrics_snapshot(self) -> MetricsSnapshot:
        condition = self.condition
        return MetricsSnapshot(
            condition.status,
            condition.degraded,
            queue=self._parts.store.counts,
            tasks=self._supervisor.states(),
            ipc=ipc_figures(self._ipc),
            converters=self.converters.stats,
            loop_blocks=self._supervisor.loop_blocks,
            forced_shutdowns_in_a_row=self._remembered.in_a_row,
        )

    async def _start(self) -> None:
        self._phase, self._started_at = Phase.STARTING, asyncio.get_running_loop().time()
        self._not_online_since = self._started_at
        try:
            await self._open()
        except BaseException as failure:
            try:
                await self._scope.close()
            except CleanupError as error:  # Logged there, step by step; what failed the start is what its caller hears.
                failure.add_note(str(error))
            finally:
                self._phase = Phase.STOPPED
            raise
        self._phase = Phase.STARTED
        log.info("started: %r", self)
        self.on_started.emit()

    async def _open(self) -> None:
        step = "the report store"
        try:
            parts = self._parts
            self._scope.push("calls that may block", self._close_workers)
            await parts.store.open()
            self._scope.push(step, parts.store.close)
            await self._remember_forced_shutdowns()
            self._scope.push("the connection to the server", parts.client.aclose)
            self._scope.push("the queue", parts.queue.close)
            self._scope.push("the converters", self._close_converters)
            self._observe(parts)
            step = "the background tasks"
            self._scope.push(step, self._end_tasks)
            step = "IPC"
            self._ipc = ipc = await self._open_ipc()
            if parts.health_server is not None:
                self._scope.push("the health server", self._close_health)
            self._scope.push(step, lambda: self._close_ipc(ipc))
            for spec in task_specs(parts, ipc):
                self._supervisor.add(spec)
            self._supervisor.start()
        except (ReliabilityError, OSError) as error:
            raise StartError(step, error) from error

    async def _open_ipc(self) -> AsyncIPCServer:
        path = secret_path(self.config.instance_id, folder=self._around.secrets_folder)
        secret = await self.workers.run(f"reading {path}", load_or_create_secret, path)
        ipc = build_ipc(self.config, Commands(self).handlers(), secret)
        await ipc.start()
        return ipc

    async def _close_workers(self) -> None:
        await self.workers.close(settings.disk_limit_s(self.config))

    async def _close_ipc(self, ipc: AsyncIPCServer) -> None:
        await self._supervisor.stop_task("ipc_server")
        await ipc.close()

    async def _close_health(self) -> None:
        assert self._parts.health_server is not None, "it was pushed because there is one"
        await self._supervisor.stop_task("health_server")
        await self._parts.health_server.close()

    async def _close_converters(self) -> None:
        await self.converters.close(settings.converter_threads_limit_s(self.config))

    async def _end_tasks(self) -> None:
        await self._supervisor.cancel_all(timeout_s=CANCEL_TASKS_S)

    def _observe(self, parts: Parts) -> None:
        parts.client.api_status_changed.subscribe(self._api_changed)
        parts.rhythms.ping_failed.subscribe(self._note_api_reason)
        parts.queue.queue_critical.subscribe(self._note_critical)
        parts.queue.operation_sent.subscribe(lambda report_id: self._critical.pop(report_id, None))

    async def _stop(self) -> ShutdownReport:
        if self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])  # The request has cancelled it; it releases what it opened.
        opened = self._phase is Phase.STARTED
        self._phase = Phase.STOPPING
        report = await self.shutdown.run()
        self._phase = Phase.STOPPED
        if opened:
            await self._remember_this_shutdown(report)
        return report

    async def _remember_forced_shutdowns(self) -> None:
        path = self.data / MEMORY_NAME
        self._remembered = await self.workers.run(f"reading {path}", _read_memory, path)
        if self._remembered.sentence is not None:
            log.warning("%s", self._remembered.sentence)

    async def _remember_this_shutdown(self, report: ShutdownReport) -> None:
        self._metrics.shutdown_ended(str(report.outcome), report.duration_s)
        self._remembered = self._remembered.after(report)
        contents, path = self._remembered.to_bytes(), self.data / MEMORY_NAME
        writer = Workers("pywats-shutdowns", 1)  # All others have been closed.
        try:
            async with asyncio.timeout(settings.disk_limit_s(self.config)):
                await writer.run(f"saving {path}", _save_memory, self._around.disk, path, contents)
        except (ReliabilityError, TimeoutError) as error:
            log.warning("this shutdown is not remembered: %s", str(error) or "the disk is stuck")
        await writer.close(0.0)

    def _adopt(self, new: ClientConfig) -> None:
        """Take a new configuration into force (see ``new_settings``)."""
        for secret in settings.secrets_of(new):
            self._around.secrets.register(secret)
        self.config.adopt(new)
        self._new_settings.apply(new, self._ipc)

    def _api_changed(self, status: str, reason: str) -> None:
        self._api_reason = reason
        log.info("server %s: %s", status, reason)
        now, since = asyncio.get_running_loop().time(), self._not_online_since
        if status != ApiStatus.ONLINE:
            self._not_online_since = now if since is None else since
            return
        self._not_online_since = None
        if since is not None and now - since >= OUTAGE_S:
            due = self._parts.pending_queue.sync_now(by_hand=False)
            log.info("the server is back: %d reports that waited for their retry are due now", due)

    def _note_api_reason(self, reason: str) -> None:
        self._api_reason = reason

    def _note_critical(self, error: QueueCriticalError) -> None:
        self._critical[error.report_id] = str(error)

    def _facts(self) -> Facts:
        parts = self._parts
        bad_file = parts.watcher.last_error if parts.watcher is not None else None
        notes = [self._remembered.sentence, bad_file and f"configuration refused: {bad_file}"]
        if parts.converter_pool.paused_reason is None:  # A pause tells of it itself.
            notes.append(str(parts.store.can_accept() or ""))
        return Facts(
            self._phase,
            self._supervisor.states(),
            api=ApiStatus(parts.client.api_status),
            api_reason=self._api_reason,
            critical_errors=tuple(list(self._critical.values())[:CRITICAL_SHOWN]),
            failed_converters=parts.converter_pool.failed_converters(),
            loop_blocked=self._supervisor.loop_blocked if self._phase is not Phase.STOPPED else None,
            pause_reason=_together(parts.pending_queue.paused_reason, parts.converter_pool.paused_reason),
            notes=tuple(note for note in notes if note),
        )

    def __repr__(self) -> str:
        counts = self._parts.store.counts
        return f"AsyncClientService({self.config.instance_id}, {self._phase}, {counts.pending} pending)"


CANCEL_TASKS_S = 3.0
OUTAGE_S = 60.0
"""From this long on an absence of the server is an outage, after which nobody need wait for the rest of a backoff. A
shorter one is not: a report that makes the server break off must not get all its attempts in a row."""
CRITICAL_SHOWN = 10


def _together(*reasons: str | None) -> str | None:
    return "; ".join(reason for reason in reasons if reason is not None) or None


def _save_memory(disk: Disk, path: Path, contents: bytes) -> None:
    disk.write_atomically(path, contents)


def _read_memory(path: Path) -> ForcedShutdowns:
    try:
        return ForcedShutdowns.from_bytes(path.read_bytes())
    except OSError:
        return ForcedShutdowns()
