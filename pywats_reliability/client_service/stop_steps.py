"""What a stop does to the service: the steps between which ``shutdown`` keeps the time (C1).

* Intake: no report, no upload and no conversion begins any more, and watched folders are not looked into (C1.1).
* In flight are uploads and conversions; a conversion that ends hands its reports over all the same (C1.2).
* Cancelling takes both workers at once, so that neither uses up the other's time (C1.3). What is named in the end are
  tasks, threads and processes: whatever still runs of the service, with what it does, and threads with the report they
  are at and for how long (C1.4, C1.5).
"""

from __future__ import annotations

from collections.abc import Sequence

from pywats_reliability.client_service.parts import Parts
from pywats_reliability.scope import ResourceScope
from pywats_reliability.supervisor import Supervisor

WORKERS = ("converter_pool", "pending_queue")


class StopSteps:
    """The ``ShutdownSteps`` of one service."""

    def __init__(self, parts: Parts, supervisor: Supervisor, scope: ResourceScope) -> None:
        self._parts, self._supervisor, self._scope = parts, supervisor, scope

    def stop_intake(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._parts.queue.stop_accepting()
        self._parts.converter_pool.stop_accepting()
        self._parts.pending_queue.stop_taking()

    def in_flight(self) -> Sequence[str]:
        """Return the names of the uploads and conversions that run now."""
        return (*self._parts.pending_queue.in_flight(), *self._parts.converter_pool.in_flight())

    async def wait_idle(self) -> None:
        """Return the instant nothing is in flight: what is idle stays so, as nothing begins any more."""
        await self._parts.converter_pool.wait_idle()
        await self._parts.pending_queue.wait_idle()

    async def cancel_work(self, limit_s: float) -> Sequence[str]:
        """Cancel both workers with all they do; return the names of what has not ended after ``limit_s``."""
        deaf = await self._supervisor.stop_tasks(WORKERS, limit_s)
        return self.in_flight() if deaf else ()

    def pending(self) -> int:
        """Return how many reports wait for the next start."""
        return self._parts.store.counts.pending

    async def close(self, limit_s: float) -> None:
        """Close everything that the start has opened."""
        await self._scope.close(limit_s=limit_s)

    def left_behind(self) -> Sequence[str]:
        """Return the names of the tasks, threads and processes that were told to end and still run."""
        parts = self._parts
        threads = (*parts.store.workers.under_way(), *parts.workers.under_way())
        return (*self._supervisor.left_behind(), *parts.converter_pool.left_behind(), *threads)

    def __repr__(self) -> str:
        return f"StopSteps({len(self.in_flight())} in flight, {len(self.left_behind())} left behind)"
