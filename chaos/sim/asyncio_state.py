"""The seam to asyncio's own state: which loop runs, whose loop is made, and in which order its sets iterate."""

from __future__ import annotations

import asyncio
import sys
from asyncio import tasks
from typing import TYPE_CHECKING, Any

from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel


class SimulatedPolicy(asyncio.DefaultEventLoopPolicy):
    """Gives each simulated process its own loops, and everybody else what the policy before gave."""

    def __init__(self, kernel: SimKernel, before: Any) -> None:
        super().__init__()
        self._kernel, self._before = kernel, before

    def get_event_loop(self) -> Any:
        """Return the loop that the process set, or made."""
        if self._kernel.current is None:
            return self._before.get_event_loop()
        return self._kernel.current.loop

    def set_event_loop(self, loop: Any) -> None:
        """Remember nothing inside a process: its loop is the one it made last."""
        if self._kernel.current is None:
            self._before.set_event_loop(loop)

    def new_event_loop(self) -> Any:
        """Return a new loop of the process."""
        if self._kernel.current is None:
            return self._before.new_event_loop()
        return self._kernel.current.new_loop()


class AsyncioState(PatchingSeam):
    """Puts a running loop aside, and gives asyncio's sets an order that two runs share."""

    def enter(self, kernel: SimKernel) -> None:
        """Put a loop that is running in this thread aside, and take over."""
        self._running = asyncio._get_running_loop()  # noqa: SLF001 - public by its documentation, for event loops
        asyncio._set_running_loop(None)  # noqa: SLF001 - as above
        self._hooks = sys.get_asyncgen_hooks()
        self._policy = asyncio.get_event_loop_policy()
        sys.set_asyncgen_hooks(*_hooks_of(kernel))
        asyncio.set_event_loop_policy(SimulatedPolicy(kernel, self._policy))
        super().enter(kernel)

    def patch(self, kernel: SimKernel) -> None:  # noqa: ARG002 - as the seam asks
        """Order the set of all tasks."""
        real_all_tasks = tasks.all_tasks

        def all_tasks(loop: Any = None) -> set[Any]:
            found = real_all_tasks(loop)
            in_order = sorted(found, key=lambda task: getattr(task, "number", 0))
            return set(in_order)

        self.patches.set(tasks, "all_tasks", all_tasks)
        self.patches.set(asyncio, "all_tasks", all_tasks)

    def leave(self) -> None:
        """Give back what was put aside."""
        super().leave()
        asyncio.set_event_loop_policy(self._policy)
        sys.set_asyncgen_hooks(*self._hooks)
        asyncio._set_running_loop(self._running)  # noqa: SLF001 - public by its documentation, for event loops


def _hooks_of(kernel: SimKernel) -> tuple[Any, Any]:
    def first_iteration(agen: Any) -> None:
        if (process := kernel.current) is not None and not process.loop.is_closed():
            process.loop.asyncgens.add(agen)

    def finalize(agen: Any) -> None:
        process = kernel.current
        if process is not None and process.is_alive and not process.loop.is_closed():
            process.loop.asyncgens.discard(agen)
            process.loop.call_soon_threadsafe(process.loop.create_task, agen.aclose())

    return first_iteration, finalize
