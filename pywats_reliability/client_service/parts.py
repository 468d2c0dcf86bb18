"""The parts of a running service, built from configuration and surroundings; nothing is opened here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pywats_reliability.client_service import settings
from pywats_reliability.client_service.measured_sender import MeasuredSender
from pywats_reliability.client_service.rhythms import PING_S, REGISTER_S, WATCHDOG_S, Rhythms
from pywats_reliability.client_service.surroundings import Surroundings
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import LOOK_INTERVAL_S, ConfigWatcher
from pywats_reliability.converter_pool import AsyncConverterPool
from pywats_reliability.health import Condition, HealthSnapshot
from pywats_reliability.health_server import HealthServer
from pywats_reliability.ipc import AsyncIPCServer, CommandHandler, Hello
from pywats_reliability.pending_queue import AsyncPendingQueue
from pywats_reliability.queue_manager import QueueManager
from pywats_reliability.store import Record, ReportStore
from pywats_reliability.supervisor import TaskSpec
from pywats_reliability.wats_client import WatsClient
from pywats_reliability.workers import Workers

QUEUE_BEAT_S = 30.0
CONVERTERS_BEAT_S = 10.0
HEALTH_BEAT_S = 10.0
CAPABILITIES = ("auth", "config", "converters", "queue", "rate_limit", "sync")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of, in the order in which it is opened; it closes in reverse."""

    workers: Workers
    store: ReportStore
    client: WatsClient
    queue: QueueManager
    pending_queue: AsyncPendingQueue[Record]
    converter_pool: AsyncConverterPool
    rhythms: Rhythms
    health_server: HealthServer | None
    watcher: ConfigWatcher | None


def build_parts(
    data: Path,
    config: ClientConfig,
    around: Surroundings,
    *,
    condition: Callable[[], Condition],
    snapshot: Callable[[], HealthSnapshot],
    metrics_text: Callable[[], bytes],
    reload: Callable[[ClientConfig], object],
    upload_ended: Callable[[str, float], object],
) -> Parts:
    """Return the parts of a service whose reports are kept in ``data``."""
    workers = Workers("pywats-service")
    store = ReportStore(
        data, disk=around.disk, clock=around.clock,
        limits=settings.store_limits(config), close_timeout_s=settings.disk_limit_s(config),
    )  # fmt: skip
    client = _client(config, around)
    queue = QueueManager(store, full_action=config.queue_full_action)
    pending_queue: AsyncPendingQueue[Record] = AsyncPendingQueue(
        store,
        MeasuredSender(client, upload_ended),
        settings=settings.upload_settings(config),
        observer=queue,
        randomness=around.randomness,
    )
    watcher = None
    if around.config_path is not None:
        now = config.copy()
        watcher = ConfigWatcher(around.config_path, now, reload, environment=around.environment, workers=workers)
    health = None
    if config.health_port:
        health = HealthServer(config.health_host, config.health_port, snapshot, metrics_text)
    rhythms = Rhythms(config, queue, client, around.clock, condition)
    pool = _pool(data, config, around, queue)
    return Parts(workers, store, client, queue, pending_queue, pool, rhythms, health, watcher)


def _client(config: ClientConfig, around: Surroundings) -> WatsClient:
    return WatsClient(
        config.service_address,
        config.api_token,
        clock=around.clock,
        timeout_s=config.upload_timeout_seconds,
        max_concurrent=config.max_concurrent_uploads,
        proxy=settings.proxy_settings(config),
        transport=around.transport,
    )


def _pool(data: Path, config: ClientConfig, around: Surroundings, queue: QueueManager) -> AsyncConverterPool:
    """Return the pool, which pauses and goes on with the queue's intake (H5.3)."""
    pool = AsyncConverterPool(
        settings.converters(config),
        queue,
        data=data,
        disk=around.disk,
        clock=around.clock,
        settings=settings.pool_settings(config),
        converters_folder=data / config.converters_folder,
        submit=queue.submit_converted,
        is_being_written=around.is_being_written,
    )
    queue.intake_paused.subscribe(pool.pause)
    queue.intake_resumed.subscribe(pool.resume)
    return pool


def build_ipc(config: ClientConfig, handlers: dict[str, CommandHandler], secret: str) -> AsyncIPCServer:
    """Return the server that clients talk to."""
    hello = Hello(metadata.version("pywats-reliability"), config.instance_id, capabilities=CAPABILITIES)
    limits = settings.ipc_limits(config)
    address = settings.ipc_address(config)
    return AsyncIPCServer(address, handlers=handlers, secret=secret, hello=hello, limits=limits)


def task_specs(parts: Parts, ipc: AsyncIPCServer) -> list[TaskSpec]:
    """Return the background tasks; the supervisor brings its own, ``task_monitor``."""
    rhythms, pool = parts.rhythms, parts.converter_pool
    specs = [
        TaskSpec("pending_queue", parts.pending_queue.run, critical=True, heartbeat_interval_s=QUEUE_BEAT_S),
        TaskSpec("converter_pool", pool.run, critical=True, heartbeat_interval_s=CONVERTERS_BEAT_S),
        TaskSpec("watchdog", rhythms.watchdog, critical=False, heartbeat_interval_s=WATCHDOG_S),
        TaskSpec("ping", rhythms.ping, critical=False, heartbeat_interval_s=PING_S),
        TaskSpec("register", rhythms.register, critical=False, heartbeat_interval_s=REGISTER_S),
        TaskSpec("ipc_server", ipc.run, critical=False, heartbeat_interval_s=ipc.HEARTBEAT_S),
    ]
    if parts.watcher is not None:
        watch = parts.watcher.run
        specs.append(TaskSpec("config_watcher", watch, critical=False, heartbeat_interval_s=LOOK_INTERVAL_S))
    if parts.health_server is not None:
        serve = parts.health_server.run
        specs.append(TaskSpec("health_server", serve, critical=False, heartbeat_interval_s=HEALTH_BEAT_S))
    return specs
