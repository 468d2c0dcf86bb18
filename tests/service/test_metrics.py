"""Facts about the figures of a service (H5.6, C1.12, C2.7)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from pywats_reliability.health import ServiceStatus, TaskCondition, TaskState
from pywats_reliability.metrics import IPCFigures, MetricsSnapshot, ServiceMetrics


@dataclass(frozen=True, slots=True)
class Counts:
    """The store's counts, as the metrics need them."""

    pending: int = 3
    in_flight: int = 1
    failed: int = 2
    quarantined: int = 4
    pending_bytes: int = 2048
    highest: int = 9
    refused: int = 5
    evicted: int = 6


PING = TaskState("ping", critical=False, condition=TaskCondition.BACKOFF, failures=2, restarts=1)
SNAPSHOT = MetricsSnapshot(
    ServiceStatus.RUNNING,
    degraded=True,
    queue=Counts(),
    tasks=(PING,),
    ipc=IPCFigures(connections=7, requests=8, errors={"rate_limited": 9}),
    loop_blocks=10,
    forced_shutdowns_in_a_row=2,
)


def figures(metrics: ServiceMetrics) -> dict[str, float]:
    """Return every sample of the text, by its name and labels as Prometheus reads them."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        ("pywats_status Running", 1),
        ("pywats_status Error", 0),
        ("pywats_degraded", 1),
        ("pywats_queue_pending", 3),
        ("pywats_queue_in_flight", 1),
        ("pywats_queue_failed", 2),
        ("pywats_queue_quarantined", 4),
        ("pywats_queue_pending_bytes", 2048),
        ("pywats_queue_highest", 9),
        ("pywats_queue_refused_total", 5),
        ("pywats_queue_evicted_total", 6),
        ("pywats_task_restarts_total ping", 1),
        ("pywats_task_failures_total ping", 2),
        ("pywats_task_condition backoff ping", 1),
        ("pywats_task_condition running ping", 0),
        ("pywats_ipc_connections", 7),
        ("pywats_ipc_requests_total", 8),
        ("pywats_ipc_errors_total rate_limited", 9),
        ("pywats_loop_blocks_total", 10),
        ("pywats_forced_shutdowns_in_a_row", 2),
    ],
)
def test_each_figure_of_the_snapshot_is_shown(sample: str, value: float) -> None:
    assert figures(ServiceMetrics(lambda: SNAPSHOT))[sample] == value


def test_the_figures_are_those_of_the_moment_they_are_asked_for() -> None:
    now = [SNAPSHOT]
    metrics = ServiceMetrics(lambda: now[0])
    metrics.text()
    now[0] = replace(SNAPSHOT, queue=Counts(pending=10))
    assert figures(metrics)["pywats_queue_pending"] == 10


def test_uploads_are_counted_by_outcome_with_their_durations() -> None:
    metrics = ServiceMetrics(lambda: SNAPSHOT)
    metrics.upload_ended("sent", 0.2)
    metrics.upload_ended("sent", 2.0)
    found = figures(metrics)
    assert found["pywats_upload_duration_seconds_count sent"] == 2
    assert found["pywats_upload_duration_seconds_sum sent"] == 2.2


@pytest.mark.proves("C1.12")
def test_c1_12_shutdowns_are_counted_by_outcome_with_the_last_duration() -> None:
    metrics = ServiceMetrics(lambda: SNAPSHOT)
    metrics.shutdown_ended("forced", 61.5)
    found = figures(metrics)
    assert (found["pywats_shutdowns_total forced"], found["pywats_shutdown_duration_seconds"]) == (1, 61.5)


def test_two_services_do_not_mix_and_nothing_is_global() -> None:
    first, second = ServiceMetrics(lambda: SNAPSHOT), ServiceMetrics(lambda: SNAPSHOT)
    first.shutdown_ended("clean", 1)
    assert "pywats_shutdowns_total clean" not in figures(second)
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("pywats")]


def test_what_there_is_not_is_left_out() -> None:
    found = figures(ServiceMetrics(lambda: MetricsSnapshot(ServiceStatus.STOPPED)))
    assert not [name for name in found if name.startswith(("pywats_queue", "pywats_ipc", "pywats_task"))]
