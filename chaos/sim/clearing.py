"""Clearing a world away: every stack and coroutine that was left in the middle is unwound, and reaches nothing.

The processes are dead by then, so that whatever the unwinding code calls (files, sockets, locks, sleeps) raises at its
pause point, and what it schedules is dropped. Without this, suspended stacks would keep all their objects for ever.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import tasks
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.process import SimProcess


def clear_away(kernel: SimKernel) -> None:
    """Unwind everything; to be called once, while the seams are still in force and nothing drives the world."""
    kernel.is_stopping = True
    kernel.recorder = None
    logging_was, logging.root.manager.disable = logging.root.manager.disable, logging.CRITICAL
    try:
        _clear(kernel)
    finally:
        logging.root.manager.disable = logging_was


def _clear(kernel: SimKernel) -> None:
    for process in kernel.processes:
        _bury(process)
    if kernel.network is not None:
        kernel.network.world_ended()
    _unwind_all(kernel)
    for process in kernel.processes:
        _forget(process)
    kernel.enter_world()
    kernel.drop_everything()


def _unwind_all(kernel: SimKernel) -> None:
    kernel.loop = None
    for stack, process, strand in kernel.abandoned:
        kernel.current, kernel.strand = process, strand
        _unwind(stack)
    for process in kernel.processes:
        kernel.current = process
        for wait in list(process.waits):
            kernel.strand = wait.strand
            _unwind(wait.stack)
        kernel.strand = None
        for remains in process.remains:
            if isinstance(remains, asyncio.Task):
                _close(remains)
    for stack in kernel.spare_stacks():
        _unwind(stack)
    kernel.abandoned.clear()


def _bury(process: SimProcess) -> None:
    """Let a process that still lives be dead, telling nobody: the run is over."""
    for loop in process.loops:
        loop.is_held = True
        process.remains += [*asyncio.all_tasks(loop), *loop.asyncgens]
    process.is_alive = False


def _unwind(stack: greenlet) -> None:
    if not stack.dead and stack:
        stack.parent = getcurrent()
        try:
            stack.throw(GreenletExit)
        except Exception:  # noqa: BLE001 - whatever the dead program's own clean-up raises is nobody's concern now
            stack.parent = getcurrent()


def _close(task: asyncio.Task[Any]) -> None:
    """Close a task's coroutine, and say nothing of it."""
    unfinished: Any = task
    unfinished._log_destroy_pending = False  # noqa: SLF001 - as asyncio's own runner does
    coroutine: Any = task.get_coro()
    try:
        if coroutine is not None and not task.done():
            coroutine.close()
    except (Exception, GreenletExit):  # noqa: BLE001 - as above; also: "coroutine ignored GeneratorExit"
        unfinished._log_traceback = False  # noqa: SLF001 - as above


def _forget(process: SimProcess) -> None:
    for loop in process.loops:
        if (current := asyncio.current_task(loop)) is not None:
            tasks._leave_task(loop, current)  # noqa: SLF001 - public by its documentation, for event loops
        loop.held.clear()
        loop.asyncgens.clear()
    process.remains.clear()
    process.strands.clear()
    process.waits.clear()
