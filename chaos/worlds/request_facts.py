"""The requests that a WATS server saw, as facts of a history: for a run's picture, and for what faults have met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaos.history import History
from chaos.wats_server.events import EventKind
from chaos.wats_server.traces import RequestTrace

REQUESTS_TOLD_MAX = 400


def observe_requests(history: History, traces: Sequence[RequestTrace]) -> None:
    """Observe ``requests``: the newest of them, when each began and ended, and how."""
    newest = traces[-REQUESTS_TOLD_MAX:]
    history.observe("requests", requests=[_told(trace, history) for trace in newest if trace.times_ns])


def _told(trace: RequestTrace, history: History) -> dict[str, Any]:
    """Return a request as the picture needs it: ok (a 2xx answer), failed (another), or unknown (none)."""
    times_ns = [history.elapsed_ns(time_ns) for time_ns in trace.times_ns.values()]
    is_answered = EventKind.ANSWERED in trace.times_ns and trace.status is not None
    outcome = ("ok" if trace.status // 100 == 2 else "failed") if is_answered and trace.status else "unknown"
    return {
        "connection": trace.connection,
        "name": f"{trace.method or '?'} {(trace.report_id or trace.path or '')[:8]}",
        "outcome": outcome,
        "start_ns": min(times_ns),
        "end_ns": max(times_ns),
        "status": trace.status,
        "rule": trace.rule,
        "report_id": trace.report_id,
    }
