"""The service's figures as Prometheus text: read from a snapshot when asked for, counted only where nothing else does.

* Each service instance has a registry of its own: nothing is global, two services in one process do not mix.
* Queue, tasks, status and IPC are pulled: what keeps the figure is asked for it, so no figure can drift from the truth
  (H5.6, C2.7). Uploads and shutdowns are events and are pushed (C1.12).
* Labels are names of ours only: no report id, no server text, so neither number nor contents of reports can leak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pywats_reliability.health import ServiceStatus, TaskCondition, TaskState

UPLOAD_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
QUEUE_GAUGES = ("pending", "in_flight", "failed", "quarantined", "pending_bytes", "highest")
QUEUE_COUNTERS = ("refused", "evicted")
CONVERTER_GAUGES = ("queue_size", "active_conversions")
CONVERTER_COUNTERS = ("successful", "errors")


class QueueFigures(Protocol):
    """The counts of the store, as it keeps them."""

    @property
    def pending(self) -> int:
        """Reports kept for sending, those in flight and those waiting for a retry included."""

    @property
    def in_flight(self) -> int:
        """Reports being sent now."""

    @property
    def failed(self) -> int:
        """Reports in failed/, waiting for somebody to retry or discard them."""

    @property
    def quarantined(self) -> int:
        """Files in quarantine/."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of the reports kept for sending."""

    @property
    def highest(self) -> int:
        """The most reports ever kept for sending at once."""

    @property
    def refused(self) -> int:
        """Reports refused because the queue was full."""

    @property
    def evicted(self) -> int:
        """Reports moved to failed/ to make room."""


class ConverterFigures(Protocol):
    """The counts of the converters, as their pool keeps them."""

    @property
    def successful(self) -> int:
        """Conversions whose reports were all accepted."""

    @property
    def errors(self) -> int:
        """Conversions that failed; each attempt counts."""

    @property
    def queue_size(self) -> int:
        """Sources that wait to be converted."""

    @property
    def active_conversions(self) -> int:
        """Conversions under way."""


@dataclass(frozen=True, slots=True)
class IPCFigures:
    """The counts of the IPC server: connections now, requests and errors (by code) since the start."""

    connections: int = 0
    requests: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """What the figures are read from; what is None is left out."""

    status: ServiceStatus
    degraded: bool = False
    queue: QueueFigures | None = None
    tasks: tuple[TaskState, ...] = ()
    ipc: IPCFigures | None = None
    converters: ConverterFigures | None = None
    loop_blocks: int = 0
    forced_shutdowns_in_a_row: int = 0


class ServiceMetrics:
    """The figures of one service; ``snapshot`` is called for each ``text``."""

    def __init__(self, snapshot: Callable[[], MetricsSnapshot]) -> None:
        self._uploads_seen = self._shutdowns_seen = 0
        self._registry = CollectorRegistry()
        self._registry.register(_SnapshotCollector(snapshot))
        self._uploads = Histogram(
            "pywats_upload_duration_seconds",
            "How long uploads took, by outcome.",
            ["outcome"],
            buckets=UPLOAD_BUCKETS_S,
            registry=self._registry,
        )
        self._shutdowns = Counter("pywats_shutdowns", "Shutdowns, by outcome.", ["outcome"], registry=self._registry)
        self._shutdown_seconds = Gauge(
            "pywats_shutdown_duration_seconds", "How long the last shutdown took.", registry=self._registry
        )

    def upload_ended(self, outcome: str, seconds: float) -> None:
        """Count one upload; ``outcome`` is one of a few fixed words."""
        self._uploads_seen += 1
        self._uploads.labels(outcome).observe(seconds)

    def shutdown_ended(self, outcome: str, seconds: float) -> None:
        """Count one shutdown; ``outcome`` is one of a few fixed words."""
        self._shutdowns_seen += 1
        self._shutdowns.labels(outcome).inc()
        self._shutdown_seconds.set(seconds)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def __repr__(self) -> str:
        return f"ServiceMetrics({self._uploads_seen} uploads, {self._shutdowns_seen} shutdowns)"


class _SnapshotCollector(Collector):
    """Turns a snapshot into metric families, whenever the registry asks."""

    def __init__(self, snapshot: Callable[[], MetricsSnapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the families of one snapshot."""
        snapshot = self._snapshot()
        yield _one_of("pywats_status", "The service's status.", "status", list(ServiceStatus), snapshot.status)
        yield GaugeMetricFamily("pywats_degraded", "Whether anything at all is wrong.", value=int(snapshot.degraded))
        yield CounterMetricFamily("pywats_loop_blocks", "Times the loop was found blocked.", value=snapshot.loop_blocks)
        in_a_row = snapshot.forced_shutdowns_in_a_row
        yield GaugeMetricFamily("pywats_forced_shutdowns_in_a_row", "Forced shutdowns up to now.", value=in_a_row)
        if snapshot.queue is not None:
            yield from _queue(snapshot.queue)
        yield from _tasks(snapshot.tasks)
        if snapshot.ipc is not None:
            yield from _ipc(snapshot.ipc)
        if snapshot.converters is not None:
            yield from _converters(snapshot.converters)


def _queue(figures: QueueFigures) -> Iterator[Metric]:
    for name in QUEUE_GAUGES:
        yield GaugeMetricFamily(f"pywats_queue_{name}", _words(name), value=getattr(figures, name))
    for name in QUEUE_COUNTERS:
        yield CounterMetricFamily(f"pywats_queue_{name}", _words(name), value=getattr(figures, name))


def _converters(figures: ConverterFigures) -> Iterator[Metric]:
    for name in CONVERTER_GAUGES:
        words = _words(name, ConverterFigures)
        yield GaugeMetricFamily(f"pywats_converter_{name}", words, value=getattr(figures, name))
    for name in CONVERTER_COUNTERS:
        words = _words(name, ConverterFigures)
        yield CounterMetricFamily(f"pywats_converter_{name}", words, value=getattr(figures, name))


def _words(name: str, protocol: type = QueueFigures) -> str:
    """Return what the protocol says about a figure, so that it is said once."""
    return str(getattr(protocol, name).__doc__ or name)


def _tasks(tasks: tuple[TaskState, ...]) -> Iterator[Metric]:
    restarts = CounterMetricFamily("pywats_task_restarts", "Restarts of a background task.", labels=["task"])
    failures = CounterMetricFamily("pywats_task_failures", "Failures of a background task.", labels=["task"])
    condition = GaugeMetricFamily("pywats_task_condition", "The task's condition.", labels=["task", "condition"])
    for task in tasks:
        restarts.add_metric([task.name], task.restarts)
        failures.add_metric([task.name], task.failures)
        for each in TaskCondition:
            condition.add_metric([task.name, str(each)], int(each is task.condition))
    yield from (restarts, failures, condition)


def _ipc(figures: IPCFigures) -> Iterator[Metric]:
    yield GaugeMetricFamily("pywats_ipc_connections", "Open IPC connections.", value=figures.connections)
    yield CounterMetricFamily("pywats_ipc_requests", "IPC requests.", value=figures.requests)
    errors = CounterMetricFamily("pywats_ipc_errors", "IPC requests answered with an error.", labels=["code"])
    for code in sorted(figures.errors):
        errors.add_metric([code], figures.errors[code])
    yield errors


def _one_of(name: str, words: str, label: str, values: list[ServiceStatus], value: ServiceStatus) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for each in values:
        family.add_metric([str(each)], int(each is value))
    return family
