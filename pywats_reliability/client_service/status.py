"""What the service says of itself over IPC: the names that clients know, and ours beside them (wats.md, 1.4)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pywats_reliability.converter_pool import ConverterStats
from pywats_reliability.health import Condition, TaskState, describe
from pywats_reliability.ipc import AsyncIPCServer
from pywats_reliability.metrics import IPCFigures
from pywats_reliability.pending_queue import UploadStats
from pywats_reliability.shutdown import ShutdownProgress
from pywats_reliability.store import StoreCounts


def ipc_figures(server: AsyncIPCServer | None) -> IPCFigures | None:
    """Return what the metrics tell of IPC; nothing while there is no server."""
    if server is None:
        return None
    counts = server.counts
    refused = counts.connections_refused + counts.connections_evicted
    errors = {"refused_connection": refused, "error_answer": counts.errors, "timeout": counts.timeouts}
    return IPCFigures(counts.connections_open, counts.requests, errors)


def status_data(
    condition: Condition,
    tasks: tuple[TaskState, ...],
    *,
    counts: StoreCounts,
    uploads: UploadStats,
    conversions: ConverterStats,
    needs_restart: tuple[str, ...],
    submitted: int,
    limit: int,
    start_time: datetime,
    uptime_s: float,
    progress: ShutdownProgress,
) -> dict[str, Any]:
    """Return the data of ``get_status``; nothing in it is secret."""
    return {
        **describe(condition, tasks),
        "start_time": start_time.isoformat(),
        "uptime_seconds": round(uptime_s, 3),
        "reports_submitted": submitted,
        "conversions_completed": conversions.successful,
        "errors": uploads.errors + conversions.errors,
        "needs_restart": list(needs_restart),
        "pending_queue": _pending_queue(counts, uploads, submitted, limit),
        "converter_pool": asdict(conversions),
        "pending_count": counts.pending,
        "processing_count": counts.in_flight,
        "completed_count": uploads.successful,
        "failed_count": counts.failed,
        "converter_active": conversions.active_conversions,
        "converter_pending": conversions.queue_size,
        "shutdown": {
            "phase": str(progress.phase),
            "in_flight": progress.in_flight,
            "seconds_left": round(progress.seconds_left, 3),
        },
    }


def _pending_queue(counts: StoreCounts, uploads: UploadStats, submitted: int, limit: int) -> dict[str, Any]:
    return {
        "total_submitted": submitted,
        "successful": uploads.successful,
        "errors": uploads.errors,
        "retries": uploads.retries,
        "queued_files": counts.pending,
        "stuck_files": counts.failed,
        "active_uploads": uploads.active_uploads,
        "max_queue_size": limit,
        "highest": counts.highest,
        "refused": counts.refused,
        "evicted": counts.evicted,
        "quarantined": counts.quarantined,
    }
